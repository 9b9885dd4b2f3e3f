"""A second fault on top of the first: whoever settles what a dead agent left is killed too, or finds half of what it should."""

import fcntl
import json
import os
import pathlib
import signal
import time

import pytest

from spool_folder import NAMED_TRAINING, lives, wait_for

# Leaves when it is asked to, with a result that says so.
LEAVES = (
    'echo x >> "$STARTS"; while [ ! -e "$HOLDFAST_STOP_FILE" ]; do sleep 0.02; done; sleep 0.5; '
    'echo "{\\"y\\": 0.5, \\"status\\": \\"stopped\\"}" > "$HOLDFAST_OUT/results.json"; '
)


def named(seconds="0"):
    return ["/bin/sh", "-c", NAMED_TRAINING, "training", seconds, "{x}"]


def name_of(trial):
    return "trial-%04d.1" % trial


def killed(agent):
    agent.kill()
    agent.wait()


def ask(launch, how):
    if how in ("stop", "all", "pilot"):
        launch.path("spool/stop").mkdir(exist_ok=True)
        launch.path("spool/stop", {"stop": name_of(1), "all": "all", "pilot": "pilot-p1"}[how]).write_text("because\n")


ENDINGS = [
    ("stop", "stopped", "cancelled"),
    ("pilot", "returned", "returned"),
    ("walltime", "returned", "walltime"),
    ("late", "failed", "timeout"),
]


@pytest.mark.parametrize("last", ["exit 0", "exit 3", "sleep 1000"])
@pytest.mark.parametrize("how,status,kind", ENDINGS)
def test_why_a_training_was_ended_outlives_its_agent(spool, how, status, kind, last):
    launch = spool(["/bin/sh", "-c", LEAVES + last], limits={"grace_seconds": 30, "trial_seconds": 1 if how == "late" else None})
    launch.offer(1)
    first = launch.agent(*(["--walltime", "6"] if how == "walltime" else []))
    wait_for(launch.starts)
    ask(launch, how)
    wait_for((launch.attempt(1) / "stop").exists)
    killed(first)
    if last != "sleep 1000":
        wait_for((launch.attempt(1) / "exit.json").exists)
    record = launch.run(pilot="p2")[name_of(1)]
    assert (record["status"], record["error"]["class"]) == (status, kind)
    assert record["values"] == ([0.5] if how == "stop" and last != "sleep 1000" else None) or last == "sleep 1000"


def test_a_second_offer_of_what_this_agent_runs_does_not_end_it(spool):
    launch = spool(["/bin/sh", "-c", NAMED_TRAINING.replace('sleep "$1"', 'while [ ! -e "$1" ]; do sleep 0.02; done'), "training", "{go}", "{x}"])
    params = {"x": 0.01, "go": str(launch.path("go"))}
    launch.offer(1, params=params)
    agent = launch.agent("--idle-exit", "0.2")
    wait_for(launch.starts)
    launch.offer(1, params=params)
    wait_for(lambda: not launch.names("ready"))
    launch.path("go").touch()
    assert agent.wait(timeout=60) == 0
    assert launch.done(name_of(1))["status"] == "completed"
    assert launch.starts() == [name_of(1)]
    assert launch.claims() == launch.names("ready") == []


@pytest.mark.parametrize("sent,sleeps", [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGKILL, False)])
def test_a_job_whose_training_dies_just_before_its_agent_loses_no_try(spool, sent, sleeps):
    # The agent waits 2 s for a signal of its own, and need not be awake when it comes. On a loaded computer ours may come too late to tell anything.
    for _ in range(5):
        launch = spool(named("1000"))
        launch.offer(1)
        agent = launch.agent()
        wait_for((launch.attempt(1) / "process.json").exists)
        died = time.monotonic()
        os.killpg(json.loads((launch.attempt(1) / "process.json").read_text())["pid"], sent)
        wait_for((launch.attempt(1) / "exit.json").exists)
        time.sleep(0.3)
        if sleeps:
            agent.send_signal(signal.SIGSTOP)
        agent.send_signal(sent)
        is_in_time = time.monotonic() - died < 2
        if sleeps:
            time.sleep(2.5)
            agent.send_signal(signal.SIGCONT)
        agent.wait(timeout=60)
        if is_in_time:
            break
    record = launch.run(pilot="p2")[name_of(1)]
    assert (record["status"], record["error"]["class"]) == (("returned", "returned") if sent == signal.SIGTERM else ("failed", "lost"))


@pytest.mark.parametrize("code", [137, 143])
def test_a_signal_that_a_launcher_hands_on_as_exit_code_is_none_of_the_training(spool, code):
    launch = spool(["/bin/sh", "-c", "sleep 0.5; exit {}".format(code)])
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    assert launch.run(pilot="p2")[name_of(1)]["error"]["class"] == "lost"


def test_a_training_that_is_killed_while_its_agent_lives_on_is_recorded_as_killed(spool):
    launch = spool(["/bin/sh", "-c", "kill -9 $$"])
    launch.offer(1)
    record = launch.run()[name_of(1)]
    assert (record["error"]["class"], record["signal"]) == ("killed", "SIGKILL")


@pytest.mark.parametrize("what", ["empty", "half", "folder", "newer"])
@pytest.mark.parametrize("place", ["ready", "claimed/p0"])
def test_an_offer_that_cannot_be_used_ends_so_that_its_trial_goes_on(spool, place, what):
    launch = spool(named())
    path = launch.path("spool", place, name_of(1) + ".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "folder":
        path.mkdir()
    else:
        path.write_text({"empty": "", "half": '{"version": 1, "tri', "newer": '{"version": 2}'}[what])
    launch.offer(2)
    agent = launch.agent("--stale", "0.1")
    wait_for(lambda: launch.names("done") == [name_of(1), name_of(2)] and not launch.claims())
    agent.terminate()
    assert agent.wait(timeout=60) == 0
    records = launch.all_done()
    assert (records[name_of(1)]["status"], records[name_of(1)]["error"]["class"]) == ("failed", "filesystem_error")
    assert records[name_of(2)]["status"] == "completed"
    assert launch.names("broken") == [name_of(1)]
    assert launch.names("ready") == launch.claims() == []


def test_a_started_attempt_whose_claim_cannot_be_read_is_settled_all_the_same(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent()
    wait_for((launch.attempt(1) / "process.json").exists)
    pid = json.loads((launch.attempt(1) / "process.json").read_text())["pid"]
    killed(first)
    launch.path("spool/claimed/p1", name_of(1) + ".json").write_text("")
    assert launch.run(pilot="p2")[name_of(1)]["error"]["class"] == "lost"
    assert not lives(pid)


def test_one_trial_whose_folder_cannot_be_made_does_not_hold_up_the_others(spool):
    launch = spool(named())
    for trial in (1, 2):
        launch.offer(trial)
    launch.path("trials").mkdir()
    launch.path("trials/trial-0001").write_text("in the way")
    records = launch.run()
    assert records[name_of(1)]["error"]["class"] == "filesystem_error"
    assert records[name_of(2)]["status"] == "completed"


def test_a_stop_request_for_what_a_dead_agent_had_only_claimed_is_carried_out(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-claim"}).wait(timeout=60)
    ask(launch, "stop")
    launch.recover()
    assert launch.done(name_of(1))["status"] == "stopped"
    assert launch.starts() == launch.names("ready") == []


def test_a_stop_request_for_what_a_dead_agent_ran_is_carried_out(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent()
    wait_for(launch.starts)
    killed(first)
    ask(launch, "stop")
    launch.recover()
    assert launch.done(name_of(1))["status"] == "stopped"
    assert list(launch.path("spool/stop").iterdir()) == []


def test_a_start_that_is_being_written_is_waited_for_and_one_that_never_was_is_lost(spool):
    # Who claims it waits 2 s: on a loaded computer what we write may come later than that.
    assert any(is_waited_for(spool(named())) for _ in range(5))


def is_waited_for(launch):
    """False when the start was not written in time."""
    # An agent that lives and is slow to write what it has begun.
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    launch.path("pilots/p0").mkdir(parents=True)
    launch.write("pilots/p0/agent.json", {"pid": os.getpid(), "start_time": "1", "boot_id": boot, "host": os.uname().nodename})
    with open(launch.path("pilots/p0/lock"), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for trial in (1, 2):
            launch.attempt(trial).mkdir(parents=True)
            (launch.attempt(trial) / "started").write_text("")
            launch.offer(trial)
        agent = launch.agent()
        claim = launch.path("spool/claimed/p1", name_of(1) + ".json")
        wait_for(claim.exists)
        (launch.attempt(1) / "started").write_text(json.dumps({"agent": "p0", "host": os.uname().nodename, "boot_id": boot, "at": 1}))
        if launch.names("done") or time.time() - claim.stat().st_ctime > 1.9:
            killed(agent)
            return False
        wait_for(lambda: launch.names("done"))
        assert launch.names("done") == [name_of(2)]
        assert launch.done(name_of(2))["error"]["class"] == "lost"
        killed(agent)
    return True


@pytest.mark.parametrize("result,status,kind", [('{"y": 1}', "completed", None), ('{"y"', "failed", "node_failure"), (None, "failed", "node_failure")])
def test_after_a_power_cut_a_result_that_did_not_reach_the_disk_is_none_of_the_training(spool, result, status, kind):
    launch = spool(named("0.3"))
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-spawn"}).wait(timeout=60)
    wait_for((launch.attempt(1) / "exit.json").exists)
    for file in (launch.path("pilots/p1/agent.json"), launch.attempt(1) / "started"):
        record = json.loads(file.read_text())
        record["boot_id"] = "an earlier one"
        file.write_text(json.dumps(record))
    if result is None:
        (launch.attempt(1) / "results.json").unlink()
    else:
        (launch.attempt(1) / "results.json").write_text(result)
    record = launch.run(pilot="p2")[name_of(1)]
    assert (record["status"], (record["error"] or {}).get("class")) == (status, kind)


def test_a_real_end_is_not_replaced_by_that_of_an_agent_that_was_only_thought_dead(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent()
    wait_for(launch.starts)
    killed(first)
    # Whoever settles it stands still long enough for the other's end to come.
    lock = os.open(launch.attempt(1) / "started", os.O_RDWR)
    wait_for((launch.attempt(1) / "process.json").exists)
    os.killpg(json.loads((launch.attempt(1) / "process.json").read_text())["pid"], signal.SIGKILL)
    wait_for(lambda: try_lock(lock))
    second = launch.agent(pilot="p2")
    wait_for(lambda: launch.path("spool/claimed/p2", name_of(1) + ".json").exists())
    launch.path("spool/done").mkdir(exist_ok=True)
    launch.write("spool/done/" + name_of(1) + ".json", {"real": True})
    os.close(lock)
    wait_for(lambda: not launch.claims())
    assert launch.done(name_of(1)) == {"real": True}
    killed(second)


def try_lock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def test_an_agent_that_must_go_does_not_wait_for_what_another_runs(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    first = launch.agent(slots=1)
    wait_for(launch.starts)
    launch.offer(1)
    second = launch.agent(pilot="p2")
    wait_for(lambda: "p2" in {path.parent.name for path in launch.path("spool/claimed").glob("*/*.json")})
    second.terminate()
    assert second.wait(timeout=60) == 0
    assert first.poll() is None


def test_of_an_agent_that_has_claimed_there_is_always_a_heartbeat(spool):
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-claim"}).wait(timeout=60)
    assert launch.heartbeat()["state"] == "running"


def fill(launch, pilot):
    """Takes the last byte: so often that no heartbeat fits any more, whatever it gave up while it was renewed."""

    def is_silent():
        for size in (1 << 16, 1 << 12):
            try:
                with open(launch.path("filler"), "ab", buffering=0) as stream:
                    while True:
                        stream.write(b"x" * size)
            except OSError:
                pass
        beat = launch.heartbeat(pilot)["beat"]
        time.sleep(0.7)
        return launch.heartbeat(pilot)["beat"] == beat

    wait_for(is_silent)


def test_ballast_is_for_done_records_alone_and_is_there_again_for_the_next_full_disk(spool, small_disk):
    launch = spool(["/bin/sh", "-c", 'while [ ! -e "$HOLDFAST_OUT/go" ]; do sleep 0.05; done; exit 3'], folder=small_disk)
    ballast = launch.path("pilots/p1/ballast")
    for trial in (1, 2):
        launch.offer(trial)
    agent = launch.agent(slots=1)
    for trial in (1, 2):
        wait_for((launch.attempt(trial) / "process.json").exists)
        (launch.attempt(trial) / "go.tmp").touch()
        # Heartbeats fail meanwhile: they may not take the ballast, or a training would take its space.
        fill(launch, "p1")
        assert ballast.exists()
        (launch.attempt(trial) / "go.tmp").rename(launch.attempt(trial) / "go")
        wait_for((launch.path("spool/done", name_of(trial) + ".json")).exists)
        assert not ballast.exists()
        (small_disk / "filler").unlink()
        wait_for(ballast.exists)
    assert launch.all_done()[name_of(2)]["exit_code"] == 3
    killed(agent)


def test_on_a_full_disk_no_agent_of_another_node_is_taken_for_dead(spool, small_disk):
    launch = spool(named(), folder=small_disk)
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-started"}).wait(timeout=60)
    launch.move_to_another_node(1)
    began = time.monotonic()
    second = launch.agent("--stale", "4", pilot="p2")
    wait_for(lambda: launch.heartbeat("p2")["state"] == "running")
    fill(launch, "p2")
    # On a loaded computer the disk may be full too late.
    is_late = time.monotonic() - began > 3.9
    time.sleep(8)
    assert launch.names("done") == [] or is_late
    assert launch.claims() == [name_of(1)] or is_late
    (small_disk / "filler").unlink()
    wait_for(lambda: launch.names("done"))
    assert launch.done(name_of(1))["error"]["class"] == "node_failure"
    killed(second)


def test_an_agent_that_stood_still_itself_takes_nobody_for_dead(spool):
    """A file system that hangs stops them all; the first to go on must not settle what the others run."""
    launch = spool(named())
    launch.offer(1)
    launch.agent(env={"HOLDFAST_FAILPOINT": "after-started"}).wait(timeout=60)
    launch.move_to_another_node(1)
    second = launch.agent("--stale", "3", pilot="p2")
    wait_for(lambda: launch.heartbeat("p2").get("beat", 0) >= 3)
    second.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    beat = launch.heartbeat("p2")["beat"]
    goes_on = time.monotonic()
    second.send_signal(signal.SIGCONT)
    wait_for(lambda: launch.heartbeat("p2")["beat"] >= beat + 3)
    assert launch.names("done") == [] or time.monotonic() - goes_on > 2.9
    wait_for(lambda: launch.names("done"))
    assert launch.done(name_of(1))["error"]["class"] == "node_failure"
    killed(second)


def leave_behind(launch):
    """What a dead agent may leave: an attempt at each step of its way, without a process."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    launch.path("pilots/p1").mkdir(parents=True)
    launch.write("pilots/p1/agent.json", {"pid": 1, "start_time": "0", "boot_id": boot, "host": os.uname().nodename})
    launch.path("pilots/p1/lock").touch()
    end = {"exit_code": 0, "signal": None, "spawn_error": None, "storage": False, "run_seconds": 1.0}
    for trial, files in {
        1: {},
        2: {"started": None},
        3: {"started": None, "exit.json": end, "results.json": {"y": 0.5}},
        4: {"started": None, "exit.json": dict(end, exit_code=3)},
        5: {"started": None, "exit.json": end, "results.json": {"y": 0.5}, "ending.json": {"status": "returned", "class": "walltime", "message": "m"}},
        6: {"started": None, "exit.json": dict(end, exit_code=None, signal="SIGKILL")},
        7: {},
        8: {"started": None, "exit.json": end, "results.json": {"y": 0.5}},
    }.items():
        launch.attempt(trial).mkdir(parents=True)
        for name, record in files.items():
            started = {"agent": "p1", "host": os.uname().nodename, "boot_id": boot, "at": 1}
            launch.write("trials/trial-%04d/attempt-1/%s" % (trial, name), started if record is None else record)
        launch.offer(trial)
        launch.path("spool/claimed/p1").mkdir(parents=True, exist_ok=True)
        os.rename(launch.path("spool/ready", name_of(trial) + ".json"), launch.path("spool/claimed/p1", name_of(trial) + ".json"))
    launch.path("spool/stop").mkdir()
    launch.path("spool/stop", name_of(7)).write_text("because\n")
    launch.path("spool/done").mkdir()
    launch.write("spool/done/" + name_of(8) + ".json", {"status": "completed", "error": None, "mark": "the first"})


LEFT = ["completed", "failed lost", "completed", "failed exit_code", "returned walltime", "failed lost", "stopped cancelled", "completed"]


@pytest.mark.parametrize("first_step", range(1, 4))
def test_whatever_a_dead_agent_left_has_its_end_however_often_those_who_settle_it_are_killed(spool, first_step):
    # Each time by two agents in a row; the runs of this test meet a third of all changes.
    for step in range(first_step, 400, 9):
        launch = spool(named())
        leave_behind(launch)
        for pilot in ("p2", "p3"):
            died = launch.agent("--idle-exit", "0.1", pilot=pilot, die_after=step).wait(timeout=60) == -signal.SIGKILL
        records = launch.run(pilot="p4")
        ends = ["{} {}".format(records[name_of(trial)]["status"], (records[name_of(trial)]["error"] or {}).get("class", "")).strip() for trial in range(1, 9)]
        # An attempt may be lost that was started and whose agent, one of those killed here, died at once.
        assert ends == LEFT or (ends[0] == "failed lost" and ends[1:] == LEFT[1:]), "killed after change {}".format(step)
        assert records[name_of(8)]["mark"] == "the first"
        assert launch.claims() == launch.names("ready") == []
        assert not list(launch.path("spool/stop").iterdir())
        assert len(launch.starts()) <= 1
        if not died:
            assert step > 20
            return
    raise AssertionError("it never came to its end")


def test_a_training_whose_keeper_was_killed_is_gone_before_its_end_is_on_record(spool):
    launch = spool(named("1000"))
    launch.offer(1)
    agent = launch.agent()
    wait_for((launch.attempt(1) / "process.json").exists)
    process = json.loads((launch.attempt(1) / "process.json").read_text())
    os.kill(process["keeper"], signal.SIGKILL)
    wait_for(lambda: launch.names("done"))
    assert not lives(process["pid"])
    assert launch.done(name_of(1))["error"]["class"] == "killed"
    agent.terminate()
    assert agent.wait(timeout=60) == 0
