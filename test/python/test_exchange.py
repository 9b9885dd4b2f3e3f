"""remote/pbs/exchange.py and the agent, killed after each of their steps: whoever comes next finishes what was begun."""

import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from spool_folder import DYING, ROOT

OWNER = {"namespace": "default", "workflow_id": "c", "epoch": 1}


class Site:
    """A login node's state folder with one registered launch; no PBS."""

    def __init__(self, folder):
        self.folder = folder
        self.launch = folder / "launch"
        # The tools as they lie on a login node.
        self.tools = folder / "tools"
        self.tools.mkdir()
        for file in ("pbs/exchange.py", "pbs/submit.sh", "agent.py", "holdfast.py"):
            shutil.copy(ROOT / "remote" / file, self.tools)

    def ask(self, die_after=0, env=None, **request):
        """The answer; None when the exchange was killed."""
        dying = [str(DYING), str(die_after)] if die_after else []
        command = [sys.executable, *dying, str(self.tools / "exchange.py"), str(self.folder / "state")]
        told = json.dumps(dict(request, qsub_seconds=0))
        done = subprocess.run(command, input=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, env=dict(os.environ, **(env or {})))
        if done.returncode == -signal.SIGKILL:
            return None
        assert done.returncode == 0, done.stderr
        head, body = done.stdout.split("\n", 1)
        assert hashlib.sha256(body.rstrip("\n").encode()).hexdigest() == head.split()[2]
        return json.loads(body)

    def prepare(self, die_after=0, **more):
        record = {"version": 1, "campaign": "c", "owner": OWNER, "job_pattern": "{job_id}"}
        record.update(limits={"grace_seconds": 1, "log_bytes": 100000, "hang_factor": 0}, objectives=[], command=["true"])
        pilot = {"nodes": 1, "walltime_seconds": 60, "slots_per_node": 1}
        registration = {"version": 1, "campaign": "c", "directory": str(self.launch), "owner": OWNER, "report_steps": [], "pilot": pilot}
        files = {"launch.json": json.dumps(record), "pbs/job.sh": "exit 0\n"}
        request = {"campaign": "c", "directory": str(self.launch), "owner": OWNER, "python": sys.executable, "files": files}
        return self.ask(die_after, prepare=dict(request, registration=registration, **more))

    def offer(self, trial, die_after=0):
        offer = {"version": 1, "campaign": "c", "trial": trial, "attempt": 1, "params": {"x": 1}, "resume_from": None, "target_step": None}
        return self.ask(die_after, orders=[{"kind": "offer", "campaign": "c", "offer": offer}])

    def stop(self, trial, die_after=0):
        return self.ask(die_after, orders=[{"kind": "stop", "campaign": "c", "trial": trial, "attempt": 1, "reason": "because"}])

    def names(self, queue):
        return sorted(path.stem for path in (self.launch / "spool" / queue).glob("*.json"))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def steps(most):
    return range(1, most)


def test_a_launch_that_is_made_again_after_its_removal_is_made_whole_whenever_that_was_cut_off(site):
    site.prepare()
    lost = ["trial-0001.1", "trial-0002.1"]
    for step in steps(200):
        shutil.rmtree(site.launch)
        assert [each["campaign"] for each in site.ask()["gone"]] == ["c"]
        first = site.prepare(step, lost=lost)
        # As the driver does: it is made again as long as it counts as gone.
        if site.ask()["gone"]:
            site.prepare(lost=lost)
        assert site.names("done") == lost, "cut off after step {}".format(step)
        assert site.ask()["gone"] == []
        if first is not None:
            assert step > 10
            return
    raise AssertionError("it never came to its end")


def test_orders_that_are_cut_off_after_any_step_and_sent_again_leave_one_offer(site):
    site.prepare()
    for step in steps(50):
        trial = "trial-%04d" % step
        is_over = site.offer(trial, step) is not None
        assert site.offer(trial)["orders"] == ["offered"]
        assert site.names("ready") == [trial + ".1"]
        site.stop(trial, step)
        assert site.stop(trial)["orders"] == ["withdrawn"]
        assert site.names("ready") == []
        if is_over:
            assert step > 2
            return
    raise AssertionError("it never came to its end")


def test_a_second_offer_that_is_withdrawn_is_no_withdrawal_of_what_was_claimed(site):
    site.prepare()
    site.offer("trial-0001")
    claims = site.launch / "spool" / "claimed" / "p1"
    claims.mkdir()
    shutil.copy(site.launch / "spool" / "ready" / "trial-0001.1.json", claims)
    assert site.stop("trial-0001")["orders"] == ["stopping"]
    assert (site.launch / "spool" / "stop" / "trial-0001.1").read_text() == "because"
    assert site.names("ready") == []


def make_pilot(site):
    pbs = site.launch / "pilots" / "c.p1" / "pbs"
    pbs.mkdir(parents=True)
    about = {"version": 1, "pilot": "c.p1", "campaign": "c", "key": "k", "nodes": 1, "walltime_seconds": 60, "slots": 1, "user": "u"}
    (pbs / "pilot.json").write_text(json.dumps(about))
    return pbs


@pytest.mark.parametrize("has_identity", [True, False])
@pytest.mark.parametrize("node", ["", "@node-7"])
def test_what_a_job_claimed_before_its_first_heartbeat_is_settled_with_its_pilot(site, node, has_identity):
    site.prepare()
    site.offer("trial-0001")
    make_pilot(site)
    claims = site.launch / "spool" / "claimed" / ("c.p1" + node)
    claims.mkdir()
    os.rename(site.launch / "spool" / "ready" / "trial-0001.1.json", claims / "trial-0001.1.json")
    if has_identity:
        identity = {"pid": 1, "start_time": "1", "boot_id": "b", "host": "node-7", "agent": "c.p1" + node}
        (site.launch / "pilots" / "c.p1" / "agent{}.json".format(node.replace("@", "-"))).write_text(json.dumps(identity))
    end = {"campaign": "c", "pilot": "c.p1", "end": {"kind": "killed", "message": "gone"}}
    assert site.ask(settle=[end])["settle"] == [{"answer": "settled"}]
    assert site.names("ready") == ["trial-0001.1"]
    row = site.ask(look={"pilots": ["c.p1"]})["look"]["pilots"][0]
    assert all(beat["state"] == "ended" and beat["finished"] == 0 for beat in row["heartbeats"])


def test_a_settlement_that_is_cut_off_after_any_step_is_finished_by_the_next(site):
    site.prepare()
    end = {"campaign": "c", "pilot": "c.p1", "end": {"kind": "killed", "message": "gone"}}
    pbs = make_pilot(site)
    for step in steps(50):
        name = "trial-%04d.1" % step
        attempt = site.launch / "trials" / name[:-2] / "attempt-1"
        attempt.mkdir(parents=True)
        (attempt / "started").write_text(json.dumps({"agent": "c.p1", "host": "node-7", "boot_id": "b", "at": 1}))
        claims = site.launch / "spool" / "claimed" / "c.p1"
        claims.mkdir(exist_ok=True)
        (claims / (name + ".json")).write_text(json.dumps({"version": 1, "trial": name[:-2], "attempt": 1, "params": {}, "resume_from": None}))
        (pbs / "ended.json").unlink(missing_ok=True)
        (pbs.parent / "heartbeat.json").write_text(json.dumps({"beat": 3, "state": "running", "busy": [], "finished": 0}))
        is_over = site.ask(step, settle=[end]) is not None
        if not (pbs / "ended.json").exists():
            assert site.ask(settle=[end])["settle"] == [{"answer": "settled"}]
        assert json.loads((site.launch / "spool" / "done" / (name + ".json")).read_text())["error"]["class"] == "node_failure"
        assert not list((site.launch / "spool" / "claimed").glob("*/*.json"))
        if is_over:
            assert step > 2
            return
    raise AssertionError("it never came to its end")


def load_exchange():
    spec = importlib.util.spec_from_file_location("exchange", str(ROOT / "remote" / "pbs" / "exchange.py"))
    exchange = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(exchange)
    return exchange


def test_an_attempt_to_submit_of_unknown_age_is_not_taken_for_an_old_one(site, monkeypatch):
    exchange = load_exchange()
    site.prepare()
    pbs = make_pilot(site)
    (pbs / "attempted").write_text("")
    words = []
    pilot = exchange.Launch({"campaign": "c", "directory": str(site.launch)}).pilot("c.p1")
    settings = exchange.settings_of(str(site.folder / "state"), {})
    monkeypatch.setattr(exchange.subprocess, "Popen", lambda command, **_rest: words.append(command))
    for age, settled in ((None, "0"), (1.0, "0"), (settings.settle_seconds, "1")):
        monkeypatch.setattr(exchange, "age_seconds", lambda path, age=age: age if path.endswith("attempted") else None)
        pilot.start_submit(settings)
        assert words[-1][-1] == settled


def test_a_lock_that_somebody_took_since_it_was_found_dead_is_left_to_him(site, monkeypatch):
    exchange = load_exchange()
    site.prepare()
    lock = make_pilot(site) / "lock"
    lock.mkdir()

    def old(path):
        # Another exchange removes the dead lock at this moment, and its submit.sh takes a new one.
        shutil.rmtree(path)
        lock.mkdir()
        (lock / "owner").write_text("login-2 4711")
        return 3600.0

    monkeypatch.setattr(exchange, "age_seconds", old)
    pilot = exchange.Launch({"campaign": "c", "directory": str(site.launch)}).pilot("c.p1")
    assert not pilot.clear_dead_lock(exchange.settings_of(str(site.folder / "state"), {}))
    assert (lock / "owner").read_text() == "login-2 4711"
    monkeypatch.setattr(exchange, "age_seconds", lambda _path: 3600.0)
    assert pilot.clear_dead_lock(exchange.settings_of(str(site.folder / "state"), {}))
    assert not lock.exists()


def test_what_cannot_be_settled_on_one_disk_keeps_nobody_from_the_look(site):
    site.prepare()
    site.offer("trial-0001")
    pbs = make_pilot(site)
    (pbs.parent / "heartbeat.json").write_text(json.dumps({"beat": 3, "state": "running", "busy": [], "finished": 0}))
    # As a full disk: the end cannot be put on record.
    (pbs / "ended.json").mkdir()
    end = {"campaign": "c", "pilot": "c.p1", "end": {"kind": "killed", "message": "gone"}}
    answer = site.ask(settle=[end], cancel=[], look={"pilots": ["c.p1"]})
    assert answer["settle"][0]["answer"] == "failed"
    assert [row["pilot"] for row in answer["look"]["pilots"]] == ["c.p1"]
    (pbs / "ended.json").rmdir()
    assert site.ask(settle=[end])["settle"] == [{"answer": "settled"}]


def test_pilots_that_a_file_system_does_not_let_be_read_are_not_taken_for_absent(site):
    site.prepare()
    pbs = make_pilot(site)
    look = {"look": {"pilots": ["c.p1"]}}
    seen = site.ask(**look)["look"]
    assert ([row["pilot"] for row in seen["pilots"]], seen["unread"]) == (["c.p1"], [])
    # As a part of the file system that is away: the name is there, and reading it fails.
    (pbs / "pilot.json").rename(pbs / "kept")
    (pbs / "pilot.json").mkdir()
    second = pbs.parents[1] / "c.p2" / "pbs"
    second.mkdir(parents=True)
    (second / "pilot.json").write_text((pbs / "kept").read_text().replace("c.p1", "c.p2"))
    seen = site.ask(**look)["look"]
    assert ([row["pilot"] for row in seen["pilots"]], seen["unread"]) == (["c.p2"], ["c"])
    # Nor is a launch closed of which it is not known what runs.
    with pytest.raises(AssertionError, match="IsADirectoryError"):
        site.ask(close="c")
    (pbs / "pilot.json").rmdir()
    (pbs / "kept").rename(pbs / "pilot.json")
    assert site.ask(**look)["look"]["unread"] == []
    # What was removed is absent.
    shutil.rmtree(pbs.parent)
    seen = site.ask(**look)["look"]
    assert ([row["pilot"] for row in seen["pilots"]], seen["unread"]) == (["c.p2"], [])


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_files_of_any_name_come_along_also_where_python_knows_no_more_than_ascii(site, env):
    site.prepare()
    attempt = site.launch / "trials" / "größe trial-0001" / "attempt-1"
    attempt.mkdir(parents=True)
    (attempt / "größe ✓.txt").write_text("yes")
    names = ["größe ✓.txt", "not there ✓", "\ud800", "a\0b"]
    record = {"campaign": "c", "trial": "trial-0001", "attempt": 1, "status": "completed", "directory": "trials/größe trial-0001/attempt-1"}
    record["files"] = [{"path": name, "size": 3, "sha256": "x"} for name in names]
    (site.launch / "spool" / "done" / "trial-0001.1.json").write_text(json.dumps(record))
    files = site.ask(env=env, look={"collect_bytes": 1000})["look"]["files"]
    assert {key: [each["path"] for each in found] for key, found in files.items()} == {"c/trial-0001.1": ["größe ✓.txt"]}


def test_an_order_that_finds_its_disk_full_holds_up_no_other(site):
    site.prepare()
    # As a full disk: the request to stop cannot be written.
    (site.launch / "spool" / "claimed" / "c.p1").mkdir()
    (site.launch / "spool" / "claimed" / "c.p1" / "trial-0001.1.json").write_text("{}")
    (site.launch / "spool" / "stop" / "trial-0001.1").mkdir()
    stop = {"kind": "stop", "campaign": "c", "trial": "trial-0001", "attempt": 1, "reason": "because"}
    offer = {"version": 1, "campaign": "c", "trial": "trial-0002", "attempt": 1, "params": {"x": 1}, "resume_from": None, "target_step": None}
    orders = [stop, {"kind": "offer", "campaign": "c", "offer": offer}]
    with pytest.raises(AssertionError, match=r"trial-0001\.1"):
        site.ask(orders=orders)
    assert site.names("ready") == ["trial-0002.1"]
    (site.launch / "spool" / "stop" / "trial-0001.1").rmdir()
    assert site.ask(orders=orders)["orders"] == ["stopping", "offered"]


def test_an_end_that_was_taken_in_comes_again_when_its_attempt_is_asked_for(site):
    site.prepare()
    record = {"campaign": "c", "trial": "trial-0001", "attempt": 1, "status": "completed", "files": []}
    for ask in (lambda: site.offer("trial-0001"), lambda: site.stop("trial-0001")):
        (site.launch / "spool" / "collected" / "trial-0001.1.json").write_text(json.dumps(record))
        assert ask()["orders"] == ["done"]
        assert [each["trial"] for each in site.ask(look={})["look"]["done"]] == ["trial-0001"]
        site.ask(acks=[{"campaign": "c", "trial": "trial-0001", "attempt": 1}])
        assert site.names("collected") == ["trial-0001.1"]


def test_a_damaged_job_id_is_looked_up_by_name_again(site):
    pbs = make_pilot(site)
    (pbs / "jobid").write_text("12")
    bin_folder = site.folder / "bin"
    bin_folder.mkdir()
    (bin_folder / "qselect").write_text("#!/bin/sh\necho 12.server\n")
    (bin_folder / "qselect").chmod(0o755)
    env = dict(os.environ, PATH="{}:{}".format(bin_folder, os.environ["PATH"]))
    subprocess.run(["/bin/sh", str(site.tools / "submit.sh"), str(pbs), "key", "me", "1"], env=env, check=True)
    assert (pbs / "jobid").read_text() == "12.server\n"
    assert (pbs / "answer").read_text() == "recorded 12.server\n"


@pytest.mark.parametrize(
    ("printed", "answer"),
    [
        ("12.server.domain\\n", "recorded 12.server.domain"),
        ("Welcome, job 12345 of 2026!\\n12.server\\nbye\\n", "recorded 12.server"),
        ("123[].server\\n", "recorded 123[].server"),
        ("12.server\\n13.server\\n", "failed qsub-text 0"),
        ("Welcome, job 12345 of 2026!\\n", "failed qsub-text 0"),
        ("", "failed qsub-text 0"),
        # Cut off: it may be 12.server2.
        ("12.server", "failed qsub-text 0"),
    ],
)
def test_the_id_is_the_one_line_of_qsub_that_is_an_id_and_nothing_is_known_otherwise(site, printed, answer):
    pbs = make_pilot(site)
    bin_folder = site.folder / "bin"
    bin_folder.mkdir()
    commands = {"qselect": ":", "qstat": "echo 'job_history_enable = True'", "qsub": "printf '{}'".format(printed)}
    for name, body in commands.items():
        (bin_folder / name).write_text("#!/bin/sh\n{}\n".format(body))
        (bin_folder / name).chmod(0o755)
    env = dict(os.environ, PATH="{}:{}".format(bin_folder, os.environ["PATH"]))
    subprocess.run(["/bin/sh", str(site.tools / "submit.sh"), str(pbs), "key", "me", "1"], env=env, check=True)
    assert (pbs / "answer").read_text() == answer + "\n"
    assert (pbs / "jobid").exists() == answer.startswith("recorded")
