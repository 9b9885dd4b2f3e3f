"""The agent as a pilot: slots, stops, walltime, heartbeats, full disks."""

import ast
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from spool_folder import AGENT, NAMED_TRAINING, ROOT, lives, wait_for

# Writes a checkpoint and leaves when its stop file appears.
OBEDIENT = 'while [ ! -e "$HOLDFAST_STOP_FILE" ]; do sleep 0.05; done; mkdir -p "$HOLDFAST_OUT/checkpoint"; echo "from $1" > "$HOLDFAST_OUT/checkpoint/state"'


def obedient():
    return ["/bin/sh", "-c", OBEDIENT, "training", "{x}"]


# They leave when asked to; on a loaded computer that may take a moment.
PATIENT = {"grace_seconds": 60}


def test_each_slot_holds_one_trial_and_is_filled_again_at_once(spool):
    launch = spool(["/bin/sh", "-c", 'echo "$HOLDFAST_SLOT" > "$HOLDFAST_OUT/slot"; sleep 0.3; echo "{\\"y\\": 1}" > "$HOLDFAST_OUT/results.json"'])
    for trial in range(1, 10):
        launch.offer(trial)
    records = launch.run(slots=3)
    assert {record["slot"] for record in records.values()} == {0, 1, 2}
    for trial in range(1, 10):
        assert int((launch.attempt(trial) / "slot").read_text()) == records["trial-%04d.1" % trial]["slot"]
    log = launch.path("pilots/p1/agent.log").read_text()
    most, now = 0, 0
    for line in log.splitlines():
        now += ("started on slot" in line) - ("completed" in line)
        most = max(most, now)
    assert most == 3


def test_a_trial_on_several_slots_gets_their_variables_and_processors(spool, tmp_path):
    rows = [{"env": {"ZE_AFFINITY_MASK": str(slot), "KIND": "gpu"}, "cpus": [0]} for slot in range(4)]
    settings = tmp_path / "slots.json"
    settings.write_text(json.dumps(rows))
    line = "cpus=$(grep Cpus_allowed_list /proc/self/status | cut -f2); sleep 0.5; "
    line += 'echo "$HOLDFAST_SLOT $HOLDFAST_SLOTS $ZE_AFFINITY_MASK $KIND $cpus" > "$HOLDFAST_OUT/seen"'
    launch = spool(["/bin/sh", "-c", line], slots_per_trial=2)
    for trial in (1, 2):
        launch.offer(trial)
    launch.run("--slot-env", str(settings), slots=4)
    assert sorted((launch.attempt(trial) / "seen").read_text().split() for trial in (1, 2)) == [
        ["0", "0,1", "0,1", "gpu", "0"],
        ["2", "2,3", "2,3", "gpu", "0"],
    ]


def test_an_agent_with_fewer_slots_than_a_trial_needs_says_so(spool):
    launch = spool(obedient(), slots_per_trial=3)
    assert launch.agent(slots=2).wait(timeout=60) == 4


def test_a_stop_file_ends_one_trial_and_leaves_the_others(spool):
    launch = spool(obedient(), limits=PATIENT)
    for trial in (1, 2):
        launch.offer(trial)
    agent = launch.agent()
    wait_for(lambda: len(launch.heartbeat()["busy"]) == 2)
    launch.path("spool/stop/trial-0001.1").write_text("pruned at rung 3\n")
    wait_for(lambda: launch.names("done"))
    record = launch.done("trial-0001.1")
    assert (record["status"], record["error"]["message"], record["has_checkpoint"]) == ("stopped", "pruned at rung 3", True)
    wait_for(lambda: [busy["trial"] for busy in launch.heartbeat()["busy"]] == ["trial-0002"])
    assert launch.names("done") == ["trial-0001.1"]
    wait_for(lambda: not launch.path("spool/stop/trial-0001.1").exists())
    agent.terminate()
    assert agent.wait(timeout=60) == 0


def test_a_stop_file_that_is_there_before_the_start_prevents_it(spool):
    launch = spool(["/bin/sh", "-c", NAMED_TRAINING, "training", "0", "{x}"])
    launch.path("spool/stop").mkdir()
    launch.path("spool/stop/trial-0001.1").write_text("cancelled\n")
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["status"], record["run_seconds"], launch.starts()) == ("stopped", 0, [])


def test_stopping_everything_ends_the_agent_and_starts_nothing_more(spool):
    launch = spool(obedient())
    for trial in (1, 2, 3):
        launch.offer(trial)
    agent = launch.agent()
    wait_for(lambda: len(launch.heartbeat()["busy"]) == 2)
    launch.path("spool/stop/all").write_text("the campaign is over\n")
    assert agent.wait(timeout=60) == 0
    assert {record["status"] for record in launch.all_done().values()} == {"stopped"}
    assert launch.names("ready") == ["trial-0003.1"]
    assert launch.heartbeat()["state"] == "ended"
    assert launch.agent(pilot="p2").wait(timeout=60) == 0
    assert launch.names("ready") == ["trial-0003.1"]


@pytest.mark.parametrize("how", ["a stop file", "SIGTERM", "walltime"])
def test_a_pilot_that_must_go_gives_its_trials_back_with_their_checkpoints(spool, how):
    launch = spool(obedient(), limits=PATIENT)
    for trial in (1, 2, 3):
        launch.offer(trial)
    agent = launch.agent(*(["--walltime", "6"] if how == "walltime" else []))
    # One whose walltime ends may be gone before we look.
    wait_for(lambda: len(launch.heartbeat()["busy"]) == 2 or how == "walltime")
    if how == "a stop file":
        launch.path("spool/stop/pilot-p1").write_text("nothing is left to do\n")
    elif how == "SIGTERM":
        agent.terminate()
    assert agent.wait(timeout=60) == 0
    records = launch.all_done()
    assert sorted(records) == ["trial-0001.1", "trial-0002.1"]
    for record in records.values():
        assert (record["status"], record["error"]["class"]) == ("returned", "walltime" if how == "walltime" else "returned")
        assert record["has_checkpoint"] is True
    assert launch.names("ready") == ["trial-0003.1"]


def test_a_slow_checkpoint_has_its_grace_when_a_job_script_hands_on_the_signal_that_the_agent_has_had(spool, tmp_path):
    go = tmp_path / "go"
    line = 'while [ ! -e "$HOLDFAST_STOP_FILE" ] || [ ! -e "$1" ]; do sleep 0.05; done; mkdir "$HOLDFAST_OUT/checkpoint"; touch "$HOLDFAST_OUT/checkpoint/a"'
    launch = spool(["/bin/sh", "-c", line, "training", str(go)], limits=PATIENT)
    launch.offer(1)
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["busy"])
    before = time.monotonic()
    agent.terminate()
    wait_for((launch.attempt(1) / "stop").exists)
    agent.terminate()
    if time.monotonic() - before > 4:
        pytest.skip("the second signal was sent too late to be the same request")
    beat = launch.heartbeat()["beat"]
    wait_for(lambda: launch.heartbeat()["beat"] > beat + 3)
    go.touch()
    assert agent.wait(timeout=60) == 0
    record = launch.done("trial-0001.1")
    assert (record["status"], record["exit_code"], record["has_checkpoint"]) == ("returned", 0, True)


def test_signals_that_come_soon_after_each_other_are_one_request_to_end(monkeypatch):
    spec = importlib.util.spec_from_file_location("agent", str(AGENT))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    agent = module.Agent.__new__(module.Agent)
    agent.terms, agent.term_at = 0, 0.0
    told = []
    for now in (100, 100.1, 104.9, 105, 106, 110):
        monkeypatch.setattr(module.time, "monotonic", lambda now=now: now)
        agent.on_term(signal.SIGTERM, None)
        told.append(agent.terms)
    assert told == [1, 1, 1, 2, 2, 3]


def test_a_trial_that_was_given_back_goes_on_from_its_checkpoint(spool):
    line = 'cat "$HOLDFAST_RESUME_FROM/state" > "$HOLDFAST_OUT/from"; echo "{\\"y\\": 1}" > "$HOLDFAST_OUT/results.json"'
    launch = spool(["/bin/sh", "-c", 'if [ -n "$HOLDFAST_RESUME_FROM" ]; then ' + line + "; else " + OBEDIENT + "; fi", "training", "{x}"], limits=PATIENT)
    launch.offer(1)
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["busy"])
    agent.terminate()
    agent.wait(timeout=60)
    launch.offer(1, attempt=2, resume_from=1)
    record = launch.run(pilot="p2")["trial-0001.2"]
    assert (record["status"], record["resumed_from"]) == ("completed", 1)
    assert (launch.attempt(1, 2) / "from").read_text() == "from 0.01\n"


def test_a_training_that_completes_while_its_pilot_goes_is_complete(spool):
    code = [
        "import os, time, holdfast",
        "while not os.path.exists(os.environ['HOLDFAST_STOP_FILE']): time.sleep(0.05)",
        "holdfast.result(y=4)",
    ]
    launch = spool([sys.executable, "-c", "\n".join(code)], limits={"grace_seconds": 20})
    launch.offer(1)
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["busy"])
    agent.terminate()
    assert agent.wait(timeout=60) == 0
    record = launch.done("trial-0001.1")
    assert (record["status"], record["values"]) == ("completed", [4])


def test_a_training_that_leaves_when_asked_is_not_complete_even_with_a_result(spool):
    code = ["import time, holdfast", "while not holdfast.should_stop(): time.sleep(0.05)", "holdfast.result(y=4)"]
    launch = spool([sys.executable, "-c", "\n".join(code)], limits={"grace_seconds": 20})
    launch.offer(1)
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["busy"])
    agent.terminate()
    assert agent.wait(timeout=60) == 0
    assert launch.done("trial-0001.1")["status"] == "returned"


def test_near_the_walltime_nothing_is_started_that_could_not_finish(spool):
    launch = spool(["/bin/sh", "-c", 'sleep 1; echo "{\\"y\\": 1}" > "$HOLDFAST_OUT/results.json"'], limits={"grace_seconds": 5})
    for trial in range(1, 101):
        launch.offer(trial)
    assert launch.agent("--walltime", "10", slots=4).wait(timeout=60) == 0
    statuses = [record["status"] for record in launch.all_done().values()]
    assert statuses.count("completed") >= 5
    # On a loaded computer the last round may take longer than nine in ten before it did.
    assert statuses.count("completed") + statuses.count("returned") == len(statuses)
    assert statuses.count("returned") <= 4
    assert len(statuses) + len(launch.names("ready")) == 100
    assert "walltime" in launch.heartbeat()["reason"]


def test_heartbeats_count_on_and_show_what_runs(spool):
    code = ["import os, time, holdfast"]
    code += ["for epoch in range(1, 6): holdfast.report(epoch=epoch, y=epoch / 10)", "while not holdfast.should_stop(): time.sleep(0.05)"]
    launch = spool([sys.executable, "-c", "\n".join(code)], report_steps=[1, 3, 9])
    launch.offer(1)
    agent = launch.agent()
    first = wait_for(lambda: launch.heartbeat()["busy"] and launch.heartbeat()["busy"][0]["step"] == 5 and launch.heartbeat())
    busy = first["busy"][0]
    assert (busy["value"], busy["rungs"]) == (0.5, [[1, 0.1], [3, 0.3]])
    assert busy["recent"] == [[epoch, epoch / 10] for epoch in range(1, 6)]
    later = wait_for(lambda: launch.heartbeat()["beat"] > first["beat"] and launch.heartbeat())
    assert later["allocated_slot_seconds"] > later["busy_slot_seconds"] > 0
    agent.terminate()
    agent.wait(timeout=60)
    last = launch.heartbeat()
    assert (last["state"], last["finished"], last["busy"]) == ("ended", 1, [])


def test_a_training_that_goes_on_from_a_checkpoint_says_nothing_of_the_rungs_before_it(spool):
    code = ["import time, holdfast"]
    code += ["for epoch in range(5, 11): holdfast.report(epoch=epoch, y=epoch / 10)", "while not holdfast.should_stop(): time.sleep(0.05)"]
    launch = spool([sys.executable, "-c", "\n".join(code)], report_steps=[1, 3, 9])
    launch.offer(1)
    agent = launch.agent()
    busy = wait_for(lambda: launch.heartbeat()["busy"] and launch.heartbeat()["busy"][0]["step"] == 10 and launch.heartbeat())["busy"][0]
    assert busy["rungs"] == [[5, 0.5], [5, 0.5], [9, 0.9]]
    agent.terminate()


def test_an_idle_agent_hardly_uses_the_processor(spool):
    launch = spool(obedient())
    agent = launch.agent()
    wait_for(lambda: launch.heartbeat()["state"] == "running")

    def processor_seconds():
        fields = pathlib.Path("/proc/{}/stat".format(agent.pid)).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = processor_seconds()
    time.sleep(5)
    # Processor time, not the clock: 5 s of waiting may cost at most a twentieth of a processor.
    assert processor_seconds() - before < 0.25


def test_an_offer_that_cannot_be_read_is_kept_aside(spool):
    launch = spool(obedient())
    launch.path("spool/ready/trial-0001.1.json").write_text('{"version": 1, "tri')
    launch.path("spool/ready/trial-0002.1.json").write_text(json.dumps(launch.offer_record(3)))
    launch.path("spool/ready/README.json").write_text("{}")
    launch.run()
    assert launch.names("broken") == ["README", "trial-0001.1", "trial-0002.1"]
    assert launch.names("ready") == launch.claims() == []


def test_an_agent_starts_trials_in_the_order_of_their_numbers(spool):
    launch = spool(["/bin/sh", "-c", NAMED_TRAINING, "training", "0", "{x}"])
    for trial in (10001, 9, 100, 2):
        launch.offer(trial)
    launch.run(slots=1)
    assert launch.starts_file.read_text().split() == ["trial-0002.1", "trial-0009.1", "trial-0100.1", "trial-10001.1"]


def test_on_a_full_disk_no_trial_is_blamed_and_the_agent_goes_on_when_there_is_space_again(spool, small_disk):
    line = 'head -c 900000 /dev/zero > "$HOLDFAST_OUT/big" || exit 1; echo "{\\"y\\": 1}" > "$HOLDFAST_OUT/results.json"'
    launch = spool(["/bin/sh", "-c", line], folder=small_disk)
    for trial in (1, 2):
        launch.offer(trial)
    agent = launch.agent(slots=1)
    wait_for(lambda: len(launch.names("done")) >= 2)
    records = launch.all_done()
    assert records["trial-0001.1"]["status"] == "completed"
    assert records["trial-0002.1"]["error"]["class"] == "storage"
    for trial in (1, 2):
        (launch.attempt(trial) / "big").unlink(missing_ok=True)
    launch.offer(3)
    wait_for(lambda: launch.names("done") == ["trial-0001.1", "trial-0002.1", "trial-0003.1"])
    assert launch.done("trial-0003.1")["status"] == "completed"
    agent.terminate()
    assert agent.wait(timeout=60) == 0


def test_a_record_that_does_not_fit_on_the_disk_is_written_when_it_does(spool, small_disk):
    # The training itself fills the disk to the last byte and takes the space away from its own record.
    line = 'cat /dev/zero > "$HOLDFAST_OUT/big" 2>/dev/null; exit 0'
    launch = spool(["/bin/sh", "-c", line], folder=small_disk)
    launch.offer(1)
    agent = launch.agent(slots=1)
    wait_for(lambda: launch.names("done"))
    assert launch.done("trial-0001.1")["error"]["class"] == "storage"
    wait_for(lambda: not launch.claims())
    agent.terminate()
    assert agent.wait(timeout=60) == 0


def test_an_attempt_alone_whose_end_has_no_place_leaves_when_it_is_told_twice_and_says_its_end_itself(spool):
    launch = spool(["/bin/sh", "-c", 'while [ ! -e "$HOLDFAST_OUT/go" ]; do sleep 0.05; done; exit 3'])
    agent = launch.one(1)
    wait_for((launch.attempt(1) / "process.json").exists)
    done = launch.path("spool", "done")
    done.rmdir()
    done.write_text("")
    (launch.attempt(1) / "go").touch()
    wait_for((launch.attempt(1) / "exit.json").exists)

    def is_gone():
        agent.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        return agent.poll() is not None

    wait_for(is_gone)
    record = json.loads(agent.stdout.read().decode())
    done.unlink()
    done.mkdir()
    assert (record["trial"], record["error"]["class"]) == ("trial-0001", "exit_code")


@pytest.mark.parametrize("how", ["removed", "moved"])
@pytest.mark.parametrize("alone", [False, True])
def test_an_agent_whose_launch_folder_is_gone_ends_its_trainings_and_goes(spool, tmp_path, how, alone):
    pid_file = tmp_path / "pid"
    launch = spool(["/bin/sh", "-c", 'echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 600', "training", str(pid_file)])
    if alone:
        agent = launch.one(1)
    else:
        launch.offer(1)
        agent = launch.agent()
    wait_for(pid_file.exists)
    training = int(pid_file.read_text())
    elsewhere = tmp_path / "elsewhere"
    # At one stroke, or what the agent writes meanwhile would stand in the way.
    launch.folder.rename(elsewhere)
    if how == "removed":
        shutil.rmtree(str(elsewhere))
    assert agent.wait(timeout=60) == 0
    wait_for(lambda: not lives(training))
    assert not launch.folder.exists()
    if how == "moved":
        (log,) = elsewhere.glob("pilots/*/agent.log")
        assert log.read_text().count("was removed or moved.\n") >= 1


def test_output_on_a_full_disk_does_not_stall_the_training(spool, small_disk):
    launch = spool(["/bin/sh", "-c", "head -c 50000000 /dev/zero"], folder=small_disk, limits={"log_bytes": 10_000_000})
    launch.offer(1)
    agent = launch.agent(slots=1)
    wait_for(lambda: launch.names("done"))
    assert launch.done("trial-0001.1")["error"]["class"] == "storage"
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(timeout=60) == 0


def test_the_agent_needs_no_package_and_no_new_python():
    for name in ("agent.py", "holdfast.py"):
        tree = ast.parse((ROOT / "remote" / name).read_text(), feature_version=(3, 6))
        modules = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert modules <= set(sys.stdlib_module_names)


def test_version_names_protocol_and_file():
    answer = subprocess.run([sys.executable, str(AGENT), "version"], stdout=subprocess.PIPE, check=True)
    assert json.loads(answer.stdout)["protocol"] == 1


def test_the_agents_of_a_pilots_nodes_keep_their_files_and_claims_apart(spool):
    launch = spool(["/bin/sh", "-c", NAMED_TRAINING, "training", "0.3", "{x}"])
    for trial in range(1, 9):
        launch.offer(trial)
    agents = [launch.agent("--node", node, "--idle-exit", "1") for node in ("x1000c0", "x1000c1")]
    for agent in agents:
        assert agent.wait(timeout=60) == 0
    assert len(launch.starts()) == len(set(launch.starts())) == 8
    beats = [json.loads(launch.path("pilots/p1", "heartbeat-{}.json".format(node)).read_text()) for node in ("x1000c0", "x1000c1")]
    assert [beat["agent"] for beat in beats] == ["p1@x1000c0", "p1@x1000c1"]
    assert sum(beat["finished"] for beat in beats) == 8
    assert {record["pilot"] for record in launch.all_done().values()} == {"p1"}


def test_epochs_told_again_by_a_resumed_training_say_nothing_of_its_pace(tmp_path):
    spec = importlib.util.spec_from_file_location("agent", AGENT)
    agent = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(agent)
    path = tmp_path / "metrics.jsonl"
    reports = agent.Reports(str(path), [{"metric": "x", "direction": "maximize"}], [])
    path.write_text("".join('{"epoch": %d, "x": 0.5, "replayed": true}\n' % epoch for epoch in range(1, 30)))
    reports.read()
    assert reports.gaps == [] and reports.step == 29
    with path.open("a") as stream:
        stream.write('{"epoch": 30, "x": 0.6}\n')
    reports.read()
    assert len(reports.gaps) == 1
