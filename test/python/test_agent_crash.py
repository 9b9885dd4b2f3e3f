"""Whatever is killed at whatever moment: every attempt is started at most once and gets exactly one end."""

import json
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

from spool_folder import NAMED_TRAINING, Spool, lives, wait_for

FAILPOINTS = ["after-claim", "before-started", "after-started", "after-spawn", "before-done", "after-done", "before-unclaim"]
# Attempts that were certainly not started when the agent died, and those whose end was on disk by then.
NEVER_STARTED = {"after-claim", "before-started"}
ENDED_BEFORE = {"before-done", "after-done", "before-unclaim"}


def named(seconds="0"):
    return ["/bin/sh", "-c", NAMED_TRAINING, "training", "{seconds}" if seconds is None else seconds, "{x}"]


def check_each_has_one_end(launch, names):
    assert launch.names("done") == sorted(names)
    assert launch.claims() == []
    assert launch.names("ready") == []
    starts = launch.starts()
    assert len(starts) == len(set(starts)), "an attempt was started twice"


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("point", FAILPOINTS)
def test_an_agent_killed_at_any_point_costs_no_second_start_and_no_end(spool, point, count):
    launch = spool(named())
    names = ["trial-%04d.1" % trial for trial in range(1, 7)]
    for trial in range(1, 7):
        launch.offer(trial)
    assert launch.agent(env={"HOLDFAST_FAILPOINT": "{}:{}".format(point, count)}).wait(timeout=60) == -signal.SIGKILL
    records = launch.run(pilot="p2")
    check_each_has_one_end(launch, names)
    lost = [name for name, record in records.items() if record["status"] == "failed"]
    assert all(records[name]["error"]["class"] == "lost" for name in lost)
    # Whatever is not lost has run and counts; what was only claimed is simply run by the next agent.
    assert {name for name in names if name not in lost} <= set(launch.starts())
    if point in NEVER_STARTED:
        assert all(name in launch.starts() or name in lost for name in names)
    if count == 1 and point in NEVER_STARTED | ENDED_BEFORE and point != "before-done":
        assert len(lost) <= 1


def test_what_was_claimed_but_not_started_goes_back_and_runs(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-claim"}).wait(timeout=60)
    assert launch.claims() == ["trial-0001.1"]
    assert launch.run(pilot="p2")["trial-0001.1"]["status"] == "completed"
    assert launch.starts() == ["trial-0001.1"]


def test_what_was_marked_started_but_never_spawned_is_lost_not_run(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-started"}).wait(timeout=60)
    record = launch.run(pilot="p2")["trial-0001.1"]
    assert (record["status"], record["error"]["class"]) == ("failed", "lost")
    assert launch.starts() == []


def test_a_training_that_ends_by_itself_without_its_agent_keeps_its_real_end(spool):
    launch = spool(named("0.5"))
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    record = launch.run(pilot="p2")["trial-0001.1"]
    assert (record["status"], record["values"], record["exit_code"]) == ("completed", [0.01], 0)
    assert launch.starts() == ["trial-0001.1"]


def test_a_training_that_ended_before_its_keeper_had_a_look_at_it_keeps_its_real_end(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    process = json.loads((launch.attempt(1) / "process.json").read_text())
    launch.write("trials/trial-0001/attempt-1/process.json", dict(process, start_time=None))
    record = launch.run(pilot="p2")["trial-0001.1"]
    assert (record["status"], record["values"]) == ("completed", [0.01])
    assert "killing" not in launch.path("pilots/p2/agent.log").read_text()


def test_the_exit_code_of_a_training_that_outlived_its_agent_is_known(spool):
    launch = spool(["/bin/sh", "-c", "sleep 0.5; echo why >&2; exit 7"])
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    record = launch.run(pilot="p2")["trial-0001.1"]
    assert (record["error"]["class"], record["exit_code"]) == ("exit_code", 7)


def test_a_dead_agents_trainings_are_killed_wherever_they_have_hidden(spool):
    line = 'setsid sleep 1001 & echo $! > "$HOLDFAST_OUT/pids"; sleep 1002 & echo $! >> "$HOLDFAST_OUT/pids"; trap \'\' TERM; touch "$HOLDFAST_OUT/up"; wait'
    launch = spool(["/bin/sh", "-c", line])
    launch.offer(1)
    first = launch.agent()
    wait_for((launch.attempt(1) / "up").exists)
    first.send_signal(signal.SIGKILL)
    first.wait()
    pids = (launch.attempt(1) / "pids").read_text().split()
    assert all(lives(pid) for pid in pids)
    record = launch.run(pilot="p2")["trial-0001.1"]
    assert (record["status"], record["error"]["class"]) == ("failed", "lost")
    assert not any(lives(pid) for pid in pids)


def test_a_foreign_process_is_never_killed(spool):
    """process.json of a dead attempt names a process number that belongs to somebody else by now."""
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-started"}).wait(timeout=60)
    foreign = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        record = {"pid": foreign.pid, "start_time": "1", "boot_id": boot, "host": os.uname().nodename}
        (launch.attempt(1) / "process.json").write_text(json.dumps(record))
        assert launch.run(pilot="p2")["trial-0001.1"]["error"]["class"] == "lost"
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_an_agent_under_the_same_name_goes_on_where_the_dead_one_was(spool):
    launch = spool(named())
    for trial in range(1, 5):
        launch.offer(trial)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-claim:2"}).wait(timeout=60)
    launch.run()
    check_each_has_one_end(launch, ["trial-%04d.1" % trial for trial in range(1, 5)])


def test_of_two_agents_under_one_name_one_lives(spool):
    launch = spool(named())
    first = launch.agent()
    wait_for(lambda: launch.heartbeat()["state"] == "running")
    assert launch.agent().wait(timeout=60) == 3
    assert first.poll() is None
    first.terminate()
    assert first.wait(timeout=60) == 0


def test_of_two_agents_of_one_name_on_two_hosts_whose_locks_do_not_meet_the_later_lives(spool):
    """A job that the batch system has started anew elsewhere, because it has lost sight of a node that goes on."""
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent(slots=1, host="node-a")
    wait_for(launch.starts)
    second = launch.agent(slots=1, host="node-b")
    # It starts what is new at once, and leaves the other's training to the other.
    launch.offer(2)
    assert first.wait(timeout=60) == 0
    wait_for(lambda: len(launch.starts()) == 2)
    record = launch.done("trial-0001.1")
    assert (record["status"], record["host"]) == ("returned", "node-a")
    assert "node-b has the name p1 now" in record["error"]["message"]
    # The first left nothing that speaks for the second.
    wait_for(lambda: launch.heartbeat()["host"] == "node-b" and launch.heartbeat()["busy"])
    assert launch.heartbeat()["state"] == "running"
    wait_for(lambda: launch.claims() == ["trial-0002.1"])
    second.terminate()
    assert second.wait(timeout=60) == 0
    check_each_has_one_end(launch, ["trial-0001.1", "trial-0002.1"])


def end_node(launch, agent):
    """The node of an agent with one training is gone with all that ran there."""
    process = json.loads(wait_for((launch.attempt(1) / "process.json").exists) and (launch.attempt(1) / "process.json").read_text())
    agent.kill()
    agent.wait()
    for pid in (process["keeper"], process["pid"]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not lives(process["keeper"]))


def test_an_agent_of_a_dead_ones_name_on_another_host_works_at_once_and_does_not_wait_for_its_verdict(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent(slots=1, host="node-a")
    wait_for(launch.starts)
    end_node(launch, first)
    launch.offer(2)
    second = launch.agent("--stale", "1000", slots=1, host="node-b")
    wait_for(lambda: len(launch.starts()) == 2)
    assert launch.names("done") == []
    second.terminate()
    assert second.wait(timeout=60) == 0
    assert launch.names("done") == ["trial-0002.1"]
    # One that has said that it ends is no predecessor to wait for.
    launch.run("--stale", "1000", host="node-c")
    assert launch.done("trial-0001.1")["error"]["class"] == "node_failure"
    check_each_has_one_end(launch, ["trial-0001.1", "trial-0002.1"])


def test_what_an_agent_of_our_name_left_on_a_host_that_is_gone_has_its_end_when_it_could_have_heard_of_us(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent(slots=1, host="node-a")
    wait_for(launch.starts)
    end_node(launch, first)
    launch.run("--stale", "1", host="node-b")
    assert launch.done("trial-0001.1")["error"]["class"] == "node_failure"
    check_each_has_one_end(launch, ["trial-0001.1"])


def test_recovery_without_a_new_agent_settles_everything_and_runs_nothing(spool):
    launch = spool(named("1000"))
    for trial in (1, 2, 3):
        launch.offer(trial)
    first = launch.agent()
    wait_for(lambda: len(launch.starts()) == 2)
    first.kill()
    first.wait()
    launch.recover()
    assert {name: record["error"]["class"] for name, record in launch.all_done().items()} == {"trial-0001.1": "lost", "trial-0002.1": "lost"}
    assert launch.names("ready") == ["trial-0003.1"]
    launch.recover()
    assert len(launch.starts()) == 2


def test_a_training_killed_by_an_agent_that_died_while_it_settled_it_is_lost(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent()
    wait_for(launch.starts)
    first.kill()
    first.wait()
    second = launch.agent(pilot="p2", env={"HOLDFAST_FAILPOINT": "after-leftovers"})
    assert second.wait(timeout=60) == -signal.SIGKILL
    wait_for((launch.attempt(1) / "exit.json").exists)
    assert launch.names("done") == []
    record = launch.run(pilot="p3")["trial-0001.1"]
    assert (record["status"], record["error"]["class"]) == ("failed", "lost")
    assert launch.starts() == ["trial-0001.1"]


@pytest.mark.parametrize("sent,kind", [("TERM", "lost"), ("KILL", "lost"), ("ABRT", "killed"), ("SEGV", "killed")])
def test_a_signal_that_ends_a_training_without_its_agent_is_its_own_fault_only_where_it_can_be(spool, sent, kind):
    launch = spool(["/bin/sh", "-c", "sleep 0.5; kill -{} $$".format(sent)])
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    assert launch.run(pilot="p2")["trial-0001.1"]["error"]["class"] == kind


# Obeys its stop file with half a result; `$1`: seconds, `$2`: its value, `$3`: how it ends.
SHIFTY = (
    'printf "%s\\n" "$HOLDFAST_TRIAL.$HOLDFAST_ATTEMPT" >> "$STARTS"; left=$1; while [ "$left" -gt 0 ]; do left=$((left - 1)); sleep 0.05; '
    'if [ -e "$HOLDFAST_STOP_FILE" ]; then echo "{\\"y\\": -1, \\"status\\": \\"stopped\\"}" > "$HOLDFAST_OUT/results.json"; exit 0; fi; done; '
    'echo "{\\"y\\": $2}" > "$HOLDFAST_OUT/results.json"; exit "$3"'
)
RECOVERY_FAILPOINTS = ["after-takeover", "after-leftovers", "after-give-back", "after-ending", "after-stop-file"]


def random_end(chance):
    """An agent's way to die: at a point of its code, after a change of the disk, or at a moment."""
    point = "{}:{}".format(chance.choice(FAILPOINTS + 2 * RECOVERY_FAILPOINTS), chance.randint(1, 3))
    return chance.choice([{"env": {"HOLDFAST_FAILPOINT": point}}, {"die_after": chance.randint(8, 90)}, {}])


def test_killing_agents_at_random_moments_never_doubles_a_start_and_loses_no_end(spool):
    seed = int(os.environ.get("HOLDFAST_SEED") or random.randrange(1 << 30))
    print("HOLDFAST_SEED={}".format(seed))
    chance = random.Random(seed)
    launch = spool(["/bin/sh", "-c", SHIFTY, "training", "{steps}", "{x}", "{code_of_end}"], limits={"grace_seconds": 0.3})
    trials = 40
    names = ["trial-%04d.1" % trial for trial in range(1, trials + 1)]
    codes = {}
    for trial in range(1, trials + 1):
        codes[names[trial - 1]] = chance.choice([0, 0, 0, 7])
        launch.offer(trial, params={"x": trial / 100, "steps": chance.choice([0, 1, 2, 4, 4000]), "code_of_end": codes[names[trial - 1]]})
    asked = set()
    for number in range(1, 21):
        # Now and then under the name of one that is dead, now and then two at once.
        first, second = ("p{}".format(chance.choice([number, chance.randint(1, number)])), "q{}".format(number))
        agents = [launch.agent(pilot=pilot, slots=4, **random_end(chance)) for pilot in [first, second][: chance.choice([1, 1, 2])]]
        until = time.monotonic() + chance.random() * 1.2
        launch.path("spool/stop").mkdir(exist_ok=True)
        while time.monotonic() < until:
            time.sleep(chance.random() * 0.2)
            name = chance.choice(names)
            what = chance.choice(["stop", "offer", "pilot", "nothing", "nothing"])
            if what == "stop":
                asked.add(name)
                launch.path("spool/stop", name).write_text("because\n")
            elif what == "offer":
                launch.offer(int(name[6:10]), params={"x": int(name[6:10]) / 100, "steps": 1, "code_of_end": codes[name]})
            elif what == "pilot":
                launch.path("spool/stop", "pilot-" + first).write_text("because\n")
        for agent in agents:
            agent.kill()
            agent.wait()
    for pilot in launch.path("spool/stop").glob("pilot-*"):
        pilot.unlink()
    for name in names:
        asked.add(name)
        launch.path("spool/stop", name).write_text("because\n")
    records = launch.run(pilot="last", slots=4)
    check_each_has_one_end(launch, names)
    for name, record in records.items():
        status, kind = record["status"], (record["error"] or {}).get("class")
        if status == "completed":
            assert record["values"] == [int(name[6:10]) / 100]
            assert name in launch.starts()
            assert codes[name] == 0
        elif kind == "exit_code":
            assert record["exit_code"] == codes[name] == 7
        else:
            assert (status, kind) in {("failed", "lost"), ("stopped", "cancelled"), ("returned", "returned")}


def test_two_agents_share_the_work_and_run_nothing_twice(spool):
    # No trial ends before both have one: an agent that is slow to come finds its share.
    launch = spool(["/bin/sh", "-c", 'while [ ! -e "$3" ]; do sleep 0.02; done; ' + NAMED_TRAINING, "training", "0", "{x}", "{go}"])
    go = launch.path("go")
    for trial in range(1, 41):
        launch.offer(trial, params={"x": trial / 100, "go": str(go)})
    agents = [launch.agent("--idle-exit", "0.5", pilot="p{}".format(number), slots=3) for number in (1, 2)]
    wait_for(lambda: {path.parent.name for path in launch.path("spool/claimed").glob("*/*.json")} == {"p1", "p2"})
    go.touch()
    for agent in agents:
        assert agent.wait(timeout=120) == 0
    check_each_has_one_end(launch, ["trial-%04d.1" % trial for trial in range(1, 41)])
    assert len(launch.starts()) == 40
    assert {record["pilot"] for record in launch.all_done().values()} == {"p1", "p2"}


def test_an_offer_withdrawn_in_a_race_with_agents_is_either_withdrawn_or_run(spool):
    launch = spool(named())
    agents = [launch.agent(pilot="p{}".format(number)) for number in (1, 2)]
    withdrawn = set()
    for trial in range(1, 81):
        launch.offer(trial)
        if trial % 2:
            time.sleep(0.001 * (trial % 15))
            name = "trial-%04d.1" % trial
            if launch.withdraw(name):
                withdrawn.add(name)
    wait_for(lambda: launch.names("ready") == launch.claims() == [])
    for agent in agents:
        agent.terminate()
        assert agent.wait(timeout=120) == 0
    run = set(launch.starts())
    assert not run & withdrawn
    assert run | withdrawn == {"trial-%04d.1" % trial for trial in range(1, 81)}
    assert set(launch.names("done")) == run


def test_an_agent_on_a_silent_host_is_given_up_only_after_its_beat_has_stood_still(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-started"}).wait(timeout=60)
    launch.move_to_another_node(1)
    beaten, is_late = time.monotonic(), False
    second = launch.agent("--stale", "3", pilot="p2")
    # A host that beats is alive, however long its trial takes. On a loaded computer a beat of ours may come too late to be one.
    for beat in range(2, 10):
        before, beaten = beaten, time.monotonic()
        launch.write("pilots/p1/heartbeat.json", {"beat": beat, "state": "running"})
        is_late = is_late or time.monotonic() - before > 2.9
        time.sleep(0.5)
        assert launch.names("done") == [] or is_late or time.monotonic() - beaten > 2.9
    wait_for(lambda: launch.names("done"))
    assert launch.done("trial-0001.1")["error"]["class"] == "node_failure"
    second.terminate()
    assert second.wait(timeout=60) == 0


def test_a_single_attempt_runs_once_however_often_it_is_asked_for(spool):
    launch = spool(named("1"))
    copies = [launch.one(1) for _ in range(3)]
    answers = [json.loads(copy.communicate(timeout=120)[0]) for copy in copies]
    assert launch.starts() == ["trial-0001.1"]
    # The others say that it runs elsewhere or, when they came late, what became of it.
    states = [answer.get("state", answer.get("status")) for answer in answers]
    assert "completed" in states
    assert set(states) <= {"completed", "running_elsewhere"}
    again = launch.one(1)
    assert json.loads(again.communicate(timeout=120)[0])["status"] == "completed"
    assert again.returncode == 0


def test_a_single_attempt_whose_agent_was_killed_is_lost_not_run_again(spool):
    launch = spool(named("1000"))
    first = launch.one(1)
    wait_for(launch.starts)
    first.kill()
    first.communicate()
    answer = json.loads(launch.one(1).communicate(timeout=120)[0])
    assert (answer["status"], answer["error"]["class"]) == ("failed", "lost")
    assert launch.starts() == ["trial-0001.1"]


def test_a_single_attempt_that_was_withdrawn_does_not_run(spool):
    launch = spool(named())
    launch.offer(1)
    assert launch.withdraw("trial-0001.1")
    assert json.loads(launch.one(1).communicate(timeout=120)[0])["state"] == "withdrawn"
    assert launch.starts() == []


def test_offers_again_after_the_end_are_dropped(spool):
    launch = spool(named())
    launch.offer(1)
    launch.run()
    launch.offer(1)
    launch.run(pilot="p2")
    assert launch.starts() == ["trial-0001.1"]
    assert launch.names("ready") == launch.claims() == []


def test_the_judge_sees_a_second_start(tmp_path):
    """The outside record of starts would notice a second start: this is the judge's own test."""
    launch = Spool(tmp_path, named())
    launch.starts_file.write_text("trial-0001.1\ntrial-0001.1\n")
    with pytest.raises(AssertionError, match="twice"):
        check_each_has_one_end(launch, [])
