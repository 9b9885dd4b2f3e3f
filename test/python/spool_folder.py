"""A launch folder for the agent's tests: made, offered to and read as Holdfast does it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = ROOT / "remote" / "agent.py"
DYING = pathlib.Path(__file__).with_name("dying.py")
ANOTHER_HOST = pathlib.Path(__file__).with_name("another_host.py")
FAST = ["--poll", "0.02", "--heartbeat", "0.2"]

# Appends its name to the outside record of starts in one write, then its result.
NAMED_TRAINING = 'printf "%s\\n" "$HOLDFAST_TRIAL.$HOLDFAST_ATTEMPT" >> "$STARTS"; sleep "$1"; echo "{\\"y\\": $2}" > "$HOLDFAST_OUT/results.json"'


def wait_for(condition, seconds=60):
    """Waits until a condition holds and returns what it returned; a slow computer gets its time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited {} s in vain".format(seconds))


class Spool:
    def __init__(self, folder, command, **record):
        self.folder = pathlib.Path(folder)
        self.starts_file = self.folder / "starts"
        self.processes = []
        (self.folder / "spool" / "ready").mkdir(parents=True)
        limits = {"trial_seconds": None, "hang_factor": 0, "hang_min_seconds": 600, "grace_seconds": 0.5, "log_bytes": 1_000_000}
        limits.update(record.pop("limits", {}))
        env = {"STARTS": str(self.starts_file)}
        env.update(record.pop("env", {}))
        launch = {
            "version": 1,
            "campaign": "c",
            "launch": "l",
            "system": "local",
            "command": command,
            "env": env,
            "bundle": None,
            "data_dir": None,
            "python": sys.executable,
            "slots_per_trial": 1,
            "objectives": [{"metric": "y", "direction": "maximize", "reduce": "result"}],
            "metric_constraints": [],
            "limits": limits,
            "job_pattern": "{job_id}",
            "report_steps": [],
            "owner": {"namespace": "default", "workflow_id": "c", "epoch": 1},
        }
        launch.update(record)
        self.write("launch.json", launch)

    def write(self, name, record):
        path = self.folder / name
        path.with_suffix(".tmp").write_text(json.dumps(record))
        path.with_suffix(".tmp").rename(path)

    def move_to_another_node(self, trial):
        """From now on the agent p1 and what it started are those of a node that cannot be looked at from here."""
        for file in (self.path("pilots/p1/agent.json"), self.attempt(trial) / "started"):
            record = json.loads(file.read_text())
            record["host"] = "another-node"
            file.write_text(json.dumps(record))

    def offer_record(self, trial, attempt=1, params=None, resume_from=None):
        return {
            "version": 1,
            "campaign": "c",
            "trial": "trial-%04d" % trial,
            "attempt": attempt,
            "params": {"x": trial / 100} if params is None else params,
            "resume_from": resume_from,
            "target_step": None,
        }

    def offer(self, trial, attempt=1, params=None, resume_from=None):
        record = self.offer_record(trial, attempt, params, resume_from)
        self.write("spool/ready/{}.{}.json".format(record["trial"], attempt), record)

    def withdraw(self, name):
        """The rename that Holdfast does; True when it was in time."""
        (self.folder / "spool" / "withdrawn").mkdir(exist_ok=True)
        try:
            os.rename(self.path("spool/ready", name + ".json"), self.path("spool/withdrawn", name + ".json"))
        except FileNotFoundError:
            return False
        return True

    def path(self, *parts):
        return self.folder.joinpath(*parts)

    def names(self, queue):
        try:
            return sorted(name[:-5] for name in os.listdir(self.path("spool", queue)) if name.endswith(".json"))
        except FileNotFoundError:
            return []

    def claims(self):
        return sorted(path.stem for path in self.path("spool/claimed").glob("*/*.json"))

    def done(self, name):
        return json.loads(self.path("spool/done", name + ".json").read_text())

    def all_done(self):
        return {name: self.done(name) for name in self.names("done")}

    def starts(self):
        return sorted(self.starts_file.read_text().split()) if self.starts_file.exists() else []

    def attempt(self, trial, attempt=1):
        return self.path("trials", "trial-%04d" % trial, "attempt-{}".format(attempt))

    def heartbeat(self, pilot="p1"):
        try:
            return json.loads(self.path("pilots", pilot, "heartbeat.json").read_text())
        except FileNotFoundError:
            return {"busy": [], "state": "none"}

    def agent(self, *words, pilot="p1", slots=2, env=None, die_after=0, host=None):
        """Starts an agent in the background, if wanted one that dies after so many changes of the disk, or on a computer of its own."""
        around = [str(DYING), str(die_after)] if die_after else []
        around = [str(ANOTHER_HOST), host] if host else around
        command = [sys.executable, *around, str(AGENT), "run", "--launch", str(self.folder), "--pilot", pilot, "--slots", str(slots), *FAST, *words]
        process = subprocess.Popen(command, env=dict(os.environ, **(env or {})))
        self.processes.append(process)
        return process

    def run(self, *words, pilot="p1", slots=2, env=None, host=None):
        """Runs an agent until nothing is left to do; returns its done records."""
        assert self.agent("--idle-exit", "0.1", *words, pilot=pilot, slots=slots, env=env, host=host).wait(timeout=120) == 0
        return self.all_done()

    def one(self, trial, *words, attempt=1):
        self.write("offer-{}.json".format(trial), self.offer_record(trial, attempt))
        command = [sys.executable, str(AGENT), "one", "--launch", str(self.folder), "--offer", str(self.path("offer-{}.json".format(trial))), *FAST, *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.processes.append(process)
        return process

    def recover(self):
        subprocess.run([sys.executable, str(AGENT), "recover", "--launch", str(self.folder), *FAST], check=True, timeout=120)

    def end(self):
        """Kills what a failed test left, by its own ids."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        if self.path("spool/claimed").is_dir() and self.claims():
            self.recover()


def lives(pid):
    try:
        with open("/proc/{}/stat".format(pid)) as stream:
            return stream.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
