#!/usr/bin/env python3
"""One exchange between Holdfast and a PBS system: everything that is to be done and seen, in one remote command.

    python3 exchange.py STATE_FOLDER < request.json > answer

Runs on the login node (standard library only, Python 3.6 or newer). STATE_FOLDER/launches holds one file a campaign: what a look watches. The
request holds, all optional and done in this order: prepare, acks, orders, maintenance, submit, cancel, settle, look, close, fetch, inspect, allocation. The
answer is one line "holdfast BYTES SHA256" and then that many bytes of JSON, so that nothing cut or mixed is ever taken for an answer. The protocol of the spool
is told in docs/spool.md.
"""

import base64
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple
from urllib.parse import quote

Json = Dict[str, Any]

HERE = os.path.dirname(os.path.abspath(__file__))
FULL_ID = re.compile(r"^\d+(\[\d*\])?\.[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
ATTEMPT = re.compile(r"^trial-\d{4,}\.[1-9]\d*$")
MAINTENANCE_WORDS = re.compile(r"maintenance|downtime|outage|unavailable|\bPM\b")
RECORD_LIMIT = 256 * 1024
LOCK_SECONDS_ELSEWHERE = 1800
SUBMIT_WAIT_SECONDS = 50
ANSWER_BYTES = 768 * 1024
RECORDS_AT_ONCE = 200
HOLDERS_AT_MOST = 20
PILOTS_AT_MOST = 1000
FAILURES_OF_A_BAD_NODE = 2
SYNC_SECONDS = 60


def file_name(name: str) -> str:
    return quote(name, safe="-_.!~*'()")


def native(text: str) -> str:
    """A text as the system calls of this Python want it, so that they get UTF-8: in the C locale, which ssh may leave us, Python 3.6 knows ASCII only."""
    try:
        return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeError:
        return text


def read_text(path: str, limit: int = 65536) -> Optional[str]:
    try:
        with open(path, "rb") as stream:
            return stream.read(limit).decode("utf-8", "replace")
    except OSError:
        return None


def read_json(path: str) -> Optional[Json]:
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
        return value if isinstance(value, dict) else None
    except (OSError, ValueError):
        return None


def read_certain(path: str) -> Optional[Json]:
    """The JSON object in a file; None where there is no file, or it holds none. Raises OSError where the file system does not let it be read."""
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def write_whole(path: str, text: str) -> None:
    temporary = "{}.tmp.{}.{}".format(path, socket.gethostname(), os.getpid())
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(temporary, path)
    except OSError:
        # On a full disk, what is tried again and again must not leave a file each time.
        remove(temporary)
        raise


def sync(path: str) -> None:
    """Makes a file, or the names in a folder, survive a power cut. Some file systems refuse fsync of a folder; they have no better to offer."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def sync_tree(folder: str) -> None:
    """All below a folder, before its name says that it is whole. Thousands of files on a slow file system are not waited for: the kernel writes by itself."""
    end = time.monotonic() + SYNC_SECONDS
    for here, _, files in os.walk(folder):
        for path in [here, *(os.path.join(here, name) for name in files)]:
            if time.monotonic() > end:
                return
            sync(path)


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def names_in(folder: str) -> List[str]:
    try:
        return sorted(name for name in os.listdir(folder) if ".tmp" not in name)
    except OSError:
        return []


def can_be_listed(folder: str) -> bool:
    """False where the file system does not say what is in a folder; one that is not there holds nothing."""
    try:
        os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def age_seconds(path: str) -> Optional[float]:
    """
    Age by the file system's own clock: a new file's time against this one's, so that no two computers' clocks are compared. None when there is no
    such file, or when it cannot be known.
    """
    probe = "{}.age.{}.{}".format(path, socket.gethostname(), os.getpid())
    try:
        then = os.stat(path).st_mtime
        # Empty: that needs no space.
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return max(0.0, os.stat(probe).st_mtime - then)
    except OSError:
        return None
    finally:
        remove(probe)


def call(words: List[str], seconds: float, extra: Optional[Dict[str, str]] = None) -> Json:
    """Runs a PBS command with a hard end: a hung server hangs every command. `exit` is 124 when it was ended, 127 when there is none."""
    env = dict(os.environ, TZ="UTC", **(extra or {}))
    try:
        process = subprocess.Popen(
            [native(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
        )
    except OSError:
        return {"exit": 127, "stdout": "", "stderr": "{}: command not found".format(words[0])}
    try:
        out, err = process.communicate(timeout=seconds)
        code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = 124
    return {"exit": code, "stdout": out.decode("utf-8", "replace"), "stderr": err.decode("utf-8", "replace")[:4000]}


class Settings(NamedTuple):
    user: str
    # Our folder of this system.
    state: str
    # A qsub that was cut off is seen by qselect, or is not there, after this long.
    settle_seconds: float
    # A lock whose owner on this computer is dead counts for this long; more than a qsub may still need.
    lock_seconds: float
    # Hard end of qsub, qselect and qdel.
    command_seconds: int
    # Of qstat.
    qstat_seconds: int
    # Least time between two qsub.
    qsub_seconds: float


def settings_of(state: str, request: Json) -> Settings:
    user = str(request.get("user") or pwd.getpwuid(os.getuid()).pw_name)
    defaults = (("settle", 60), ("lock", 60), ("command", 20), ("qstat", 60), ("qsub", 5))
    times = [float(request.get(name + "_seconds", default)) for name, default in defaults]
    return Settings(user, os.path.abspath(state), times[0], times[1], int(times[2]), int(times[3]), times[4])


class Launch:
    def __init__(self, record: Json) -> None:
        self.record = record
        self.campaign = str(record["campaign"])
        self.folder = str(record["directory"])

    def spool(self, *parts: str) -> str:
        return os.path.join(self.folder, "spool", *parts)

    def pilots(self, unread: Optional[List[str]] = None) -> Iterator["Pilot"]:
        """A pilot that cannot be read is none that is not there: the campaign goes into `unread`, without which OSError is raised."""
        folder = os.path.join(self.folder, "pilots")
        for name in names_in(folder):
            try:
                about = read_certain(os.path.join(folder, name, "pbs", "pilot.json"))
            except OSError:
                if unread is None:
                    raise
                unread.append(self.campaign)
                continue
            if about is not None:
                yield Pilot(self, str(about["pilot"]), about)

    def pilot(self, name: str) -> "Pilot":
        return Pilot(self, name, None)


class Pilot:
    """One pilot's folder; everything that PBS has to do with lies in its subfolder `pbs`."""

    def __init__(self, launch: Launch, name: str, about: Optional[Json]) -> None:
        self.launch = launch
        self.name = name
        self.folder = os.path.join(launch.folder, "pilots", file_name(name))
        self.pbs = os.path.join(self.folder, "pbs")
        self.about = about if about is not None else read_json(self.file("pilot.json"))

    def file(self, name: str) -> str:
        return os.path.join(self.pbs, name)

    def has(self, name: str) -> bool:
        return os.path.exists(self.file(name))

    def key(self) -> str:
        """The job's name: unique for ever, since a launch folder is; begins with a letter and holds a dash (names like nan spoil JSON)."""
        digest = hashlib.sha256("{}\0{}".format(self.launch.folder, self.name).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        readable = re.sub(r"[^A-Za-z0-9._+-]", "_", self.name)[-40:]
        return "hf-{}-{}".format(readable, digest)

    def claim(self) -> Optional[str]:
        text = (read_text(self.file("claim"), 400) or "").strip()
        return text if FULL_ID.match(text) else None

    def job_id(self) -> Optional[str]:
        """The job that has started, if one has; else the one that was recorded."""
        claimed = self.claim()
        if claimed is not None:
            return claimed
        text = (read_text(self.file("jobid"), 400) or "").strip()
        return text if FULL_ID.match(text) else None

    def clear_dead_lock(self, settings: "Settings") -> bool:
        """True when nobody is submitting. A lock outlives a killed login node; then it is taken away by rename, so that one remover wins."""
        lock = self.file("lock")
        seen = identity_of(lock)
        age = age_seconds(lock)
        if age is None:
            return not os.path.isdir(lock)
        owner = (read_text(os.path.join(lock, "owner"), 300) or "").split()
        is_here = len(owner) == 2 and owner[0] == os.uname().nodename and owner[1].isdigit()
        if is_here and os.path.isdir("/proc/" + owner[1]):
            return False
        if age < (settings.lock_seconds if is_here or not owner else LOCK_SECONDS_ELSEWHERE):
            return False
        dead = self.file("lock.dead.{}.{}".format(socket.gethostname(), os.getpid()))
        try:
            os.rename(lock, dead)
            if identity_of(dead) != seen:
                # Another remover was faster, and this is the lock of whoever submits since.
                os.rename(dead, lock)
            shutil.rmtree(dead, ignore_errors=True)
        except OSError:
            pass
        return not os.path.isdir(lock)

    def start_submit(self, settings: "Settings") -> Optional["subprocess.Popen[bytes]"]:
        """Starts the detached step; None while another one is at work."""
        if not self.clear_dead_lock(settings):
            return None
        attempted = age_seconds(self.file("attempted"))
        # An attempt of unknown age counts as a new one.
        is_settled = not self.has("attempted") if attempted is None else attempted >= settings.settle_seconds
        settled = "1" if is_settled else "0"
        remove(self.file("answer"))
        return subprocess.Popen(
            ["/bin/sh", os.path.join(HERE, "submit.sh"), self.pbs, self.key(), settings.user, settled],
            env=dict(
                os.environ,
                HOLDFAST_COMMAND_SECONDS=str(settings.command_seconds),
                HOLDFAST_PYTHON=sys.executable,
                HOLDFAST_TOOL=os.path.join(HERE, "exchange.py"),
                HOLDFAST_STATE=settings.state if settings.qsub_seconds > 0 else "",
                HOLDFAST_QSUB_SECONDS=str(settings.qsub_seconds),
            ),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )

    def submission(self) -> Json:
        """What is known of the submission, with the words of the commands that failed."""
        words = (read_text(self.file("answer"), 400) or "").split()
        found = {"answer": words[0] if words else "none"}  # type: Json
        job = self.job_id()
        if job is not None:
            found.update(answer="recorded", id=job)
        elif len(words) == 3:
            step = words[1].split("-")[0]
            files = {"qselect": "select.err", "qstat": "server.err", "qsub": "qsub.err"}
            out = {"qselect": "select.out", "qstat": "server.out", "qsub": "qsub.out"}
            found.update(step=words[1], exit=int(words[2]) if words[2].isdigit() else -1)
            found["stderr"] = (read_text(self.file(files.get(step, "")), 4000) or "") if step in files else ""
            found["stdout"] = (read_text(self.file(out.get(step, "")), 500) or "") if step in out and words[1] != step else ""
        return found


def tried(step: Callable[[Json], Any], each: Json) -> Any:
    """One campaign's full disk must not keep the others from being looked at: the step is tried again at the next look."""
    try:
        return step(each)
    except OSError as error:
        return {"answer": "failed", "stderr": str(error)}


def identity_of(path: str) -> Optional[Tuple[int, int]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


class Exchange:
    def __init__(self, state: str, request: Json) -> None:
        self.state = state
        self.request = request
        self.settings = settings_of(state, request)
        self.user = self.settings.user
        self.launches = {}  # type: Dict[str, Launch]
        # Registered, but somebody has removed the folder.
        self.gone = {}  # type: Dict[str, Launch]

    def load(self) -> None:
        folder = os.path.join(self.state, "launches")
        for name in names_in(folder):
            record = read_json(os.path.join(folder, name))
            if record is None:
                continue
            launch = Launch(record)
            if record.get("is_rebuilding"):
                self.gone[launch.campaign] = launch
            elif os.path.isdir(launch.folder):
                self.launches[launch.campaign] = launch
            elif was_removed(launch.folder):
                self.gone[launch.campaign] = launch

    def run(self) -> Json:
        answer = {"version": 1, "host": os.uname().nodename, "user": self.user, "home": os.path.expanduser("~")}  # type: Json
        os.makedirs(os.path.join(self.state, "launches"), exist_ok=True)
        with open(os.path.join(self.state, "exchange.lock"), "a", encoding="utf-8") as lock:
            wait_for_lock(lock.fileno(), 20)
            if "prepare" in self.request:
                answer["prepare"] = self.prepare(self.request["prepare"])
            self.load()
            answer["acks"] = [self.ack(each) for each in self.request.get("acks", [])]
            answer["orders"] = self.orders(self.request.get("orders", []))
            if "maintenance" in self.request:
                answer["maintenance"] = self.maintenance(self.request["maintenance"])
            answer["submit"] = [self.submit(each) for each in self.request.get("submit", [])]
            answer["cancel"] = [tried(self.cancel, each) for each in self.request.get("cancel", [])]
            answer["settle"] = [tried(self.settle, each) for each in self.request.get("settle", [])]
            if "look" in self.request:
                answer["look"] = self.look(self.request["look"])
            if "close" in self.request:
                answer["close"] = self.close(str(self.request["close"]))
            if "fetch" in self.request:
                answer["fetch"] = self.fetch(self.request["fetch"])
            if "inspect" in self.request:
                answer["inspect"] = {"queues": call(["qstat", "-Q", "-f"], 30), "server": call(["qstat", "-B", "-f"], 30)}
        # Outside the lock: an accounting system that hangs must hold up nobody else.
        if "allocation" in self.request:
            answer["allocation"] = self.allocation(str(self.request["allocation"]["command"]))
        answer["launches"] = {launch.campaign: launch.folder for launch in self.launches.values()}
        answer["gone"] = [
            {"campaign": launch.campaign, "directory": launch.folder, "owner": launch.record.get("owner"), "report_steps": launch.record.get("report_steps")}
            for launch in self.gone.values()
        ]
        return answer

    def prepare(self, each: Json) -> Json:
        """Makes a launch folder and registers it. Safe to repeat; refused when somebody else's launch lies there (R37)."""
        folder = str(each["directory"])
        owner = each["owner"]
        known = read_json(os.path.join(folder, "launch.json"))
        if known is not None and not may_write(known.get("owner") or {}, owner):
            return {"answer": "foreign", "owner": known.get("owner")}
        registration = os.path.join(self.state, "launches", file_name(str(each["campaign"])) + ".json")
        if "lost" in each:
            # Made again after its removal, it counts as gone until it is whole: whoever is cut off below is asked again.
            write_whole(registration, json.dumps(dict(each["registration"], is_rebuilding=True)))
        for name in ("ready", "claimed", "done", "collected", "stop", "withdrawn", "broken", "offered"):
            os.makedirs(os.path.join(folder, "spool", name), exist_ok=True)
        for name in ("bin", "pbs", "pilots", "trials", "bundle"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        for name in ("agent.py", "holdfast.py"):
            text = read_text(os.path.join(HERE, name), 1 << 22) or ""
            if text != read_text(os.path.join(folder, "bin", name), 1 << 22):
                write_whole(os.path.join(folder, "bin", name), text)
        sha = each.get("bundle")
        if sha is not None and not os.path.isdir(os.path.join(folder, "bundle", sha)):
            packed = os.path.join(folder, "bundle", sha + ".tar.gz")
            if not os.path.exists(packed):
                return {"answer": "bundle-missing", "path": packed}
            problem = unpack(packed, os.path.join(folder, "bundle", sha), str(each["packed_sha256"]))
            if problem is not None:
                os.unlink(packed)
                return {"answer": "bundle-bad", "message": problem}
        for name, text in each["files"].items():
            write_whole(os.path.join(folder, name), text)
        if "lost" in each:
            self.begin_anew(Launch(each["registration"]), [str(name) for name in each["lost"]])
        write_whole(registration, json.dumps(each["registration"]))
        python = call([str(each["python"]), "--version"], 60)
        return {"answer": "ready", "python": (python["stdout"] or python["stderr"]).strip() if python["exit"] == 0 else ""}

    def begin_anew(self, launch: Launch, attempts: List[str]) -> None:
        """After its folder was removed by hand (R34): its jobs are deleted, and attempts of which nothing is known here any more are lost."""
        self.delete_jobs(launch)
        for name in attempts:
            if ATTEMPT.match(name) and self.where(launch, name) is None:
                record = lost_record(launch, name, "lost", "Its launch folder was removed by hand while it was in flight.")
                write_whole(launch.spool("offered", name), "")
                write_whole(launch.spool("done", name + ".json"), json.dumps(record))

    def delete_jobs(self, launch: Launch) -> bool:
        """Deletes jobs that are known by their names alone. True when PBS answered that there are none."""
        names = {launch.pilot("{}.p{}".format(launch.campaign, number)).key() for number in range(1, PILOTS_AT_MOST)}
        found = call(["qselect", "-u", self.user], self.settings.command_seconds)
        ids = [each for each in found["stdout"].split("\n") if FULL_ID.match(each)]
        if found["exit"] != 0 or found["stderr"]:
            return False
        answer = self.ask(ids) or {"exit": 0, "stdout": ""}
        shown = dict(re.findall(r"^Job Id: (\S+)\n    Job_Name = (.*)$", answer["stdout"], re.M))
        if answer.get("json"):
            shown = {job: name_in_json(answer["json"], job) for job in ids}
        own = [job for job in ids if shown.get(job) in names]
        for job in own:
            call(["qdel", job], self.settings.command_seconds)
        return answer["exit"] in (0, 153) and not own

    # -- the spool

    def ack(self, each: Json) -> bool:
        launch = self.launches.get(str(each["campaign"]))
        name = "{}.{}".format(each["trial"], each["attempt"])
        if launch is None or not ATTEMPT.match(name):
            return False
        tried(lambda record: self.note_bad_node(launch, record), read_json(launch.spool("done", name + ".json")) or {})
        try:
            os.rename(launch.spool("done", name + ".json"), launch.spool("collected", name + ".json"))
        except OSError:
            return os.path.exists(launch.spool("collected", name + ".json"))
        return True

    def note_bad_node(self, launch: Launch, record: Json) -> None:
        """Nodes whose agent died with a trial on it, once a pilot; the second time node.sh leaves them idle where a pilot has others (R17)."""
        directory = str(record.get("directory"))
        if (record.get("error") or {}).get("class") != "node_failure" or ".." in directory.split("/"):
            return
        # The record is written by whoever found the attempt; where it ran stands in its start.
        started = read_json(os.path.join(launch.folder, native(directory), "started")) or {}
        node = file_name(str(started.get("host") or "").split(".")[0])
        pilot = file_name(str(started.get("agent") or "").partition("@")[0])
        if not node or not pilot:
            return
        seen = os.path.join(launch.folder, "pbs", "failed-nodes", node)
        os.makedirs(seen, exist_ok=True)
        write_whole(os.path.join(seen, pilot), "")
        if len(names_in(seen)) >= FAILURES_OF_A_BAD_NODE:
            os.makedirs(os.path.join(launch.folder, "pbs", "avoid"), exist_ok=True)
            write_whole(os.path.join(launch.folder, "pbs", "avoid", node), "")

    def orders(self, wanted: List[Json]) -> List[str]:
        """All that can be carried out are, before the failure of one is told: a full disk of one campaign must not hold up the others' orders."""
        answers, failure = [], None  # type: List[str], Optional[OSError]
        for each in wanted:
            try:
                answers.append(self.order(each))
            except OSError as error:
                failure = failure or error
        if failure is not None:
            # There is no answer for an order that is to come again.
            raise failure
        return answers

    def order(self, each: Json) -> str:
        if each["kind"] == "stopPilot":
            name = str(each["pilot"])
            own = [launch for launch in self.launches.values() if launch.pilot(name).about is not None]
            return self.stop_pilot(own[0], name, str(each["reason"])) if own else "unknown"
        launch = self.launches.get(str(each["campaign"]))
        if launch is None:
            return "unknown"
        offer = each["offer"] if each["kind"] == "offer" else each
        name = "{}.{}".format(offer["trial"], offer["attempt"])
        if not ATTEMPT.match(name):
            return "unknown"
        return self.offer(launch, name, offer) if each["kind"] == "offer" else self.stop(launch, name, str(each["reason"]))

    def where(self, launch: Launch, name: str) -> Optional[str]:
        """How far an attempt is. In the order in which its file moves, so that a move between two looks is not missed."""
        if os.path.exists(launch.spool("ready", name + ".json")):
            return "ready"
        for agent in names_in(launch.spool("claimed")):
            if os.path.exists(launch.spool("claimed", agent, name + ".json")):
                return "claimed"
        for queue in ("done", "collected", "withdrawn", "broken"):
            if os.path.exists(launch.spool(queue, name + ".json")):
                return queue
        return None

    def offer(self, launch: Launch, name: str, offer: Json) -> str:
        # Made once and for ever: an offer that comes again after its file has moved on is not made anew.
        mark = launch.spool("offered", name)
        found = self.where(launch, name)
        if found is None and not os.path.exists(mark):
            write_whole(launch.spool("ready", name + ".json"), json.dumps(offer))
            write_whole(mark, "")
            return "offered"
        if found is None:
            found = self.where(launch, name)
            if found is None:
                # Marked, but nowhere: the attempt's own exclusive start still stands between this and a second run.
                write_whole(launch.spool("ready", name + ".json"), json.dumps(offer))
                return "offered"
        if found == "collected":
            self.restore(launch, name)
        return {"done": "done", "collected": "done", "withdrawn": "withdrawn", "broken": "unknown"}.get(found, "offered")

    def restore(self, launch: Launch, name: str) -> None:
        """Who asks for what was taken in has forgotten it: the next look brings it again."""
        try:
            os.rename(launch.spool("collected", name + ".json"), launch.spool("done", name + ".json"))
        except OSError:
            pass

    def is_taken(self, launch: Launch, name: str) -> bool:
        """Whether an agent has an attempt, of which a second offer may lie in ready/ or withdrawn/."""
        return self.where(launch, name) == "claimed" or os.path.exists(os.path.join(launch.folder, native(attempt_folder(launch, name)), "started"))

    def ask_to_stop(self, launch: Launch, name: str, reason: str) -> str:
        write_whole(launch.spool("stop", name), reason[:500])
        if self.where(launch, name) not in ("done", "collected"):
            return "stopping"
        remove(launch.spool("stop", name))
        self.restore(launch, name)
        return "done"

    def stop(self, launch: Launch, name: str, reason: str) -> str:
        for _ in range(3):
            try:
                os.rename(launch.spool("ready", name + ".json"), launch.spool("withdrawn", name + ".json"))
            except OSError:
                pass
            found = self.where(launch, name)
            if found in ("done", "collected"):
                self.restore(launch, name)
                return "done"
            if found == "withdrawn":
                return self.ask_to_stop(launch, name, reason) if self.is_taken(launch, name) else "withdrawn"
            if found == "claimed":
                answer = self.ask_to_stop(launch, name, reason)
                # Given back just now? Then it is withdrawn on the next turn.
                if not os.path.exists(launch.spool("ready", name + ".json")):
                    return answer
        return "unknown"

    def stop_pilot(self, launch: Launch, name: str, reason: str) -> str:
        pilot = launch.pilot(name)
        if pilot.about is None:
            return "unknown"
        if pilot.has("ended.json"):
            return "done"
        write_whole(launch.spool("stop", "pilot-" + file_name(name)), reason[:500])
        if pilot.claim() is None:
            self.cancel({"campaign": launch.campaign, "pilot": name, "reason": reason})
        return "stopping"

    # -- jobs

    def maintenance(self, each: Json) -> Json:
        """Reservations ahead and messages of the day; of a pilot, whether it is there already and how long it would run."""
        # The client prints times in its own zone and language without naming them.
        command = each.get("command")
        found = call([str(command), "-f"], self.settings.command_seconds, {"LC_ALL": "C"}) if command else None
        lines = (read_text(str(each.get("motd", "/etc/motd"))) or "").splitlines()
        told = [line.strip()[:200] for line in lines if MAINTENANCE_WORDS.search(line)][:5]
        launch = self.launches.get(str(each.get("campaign")))
        pilot = None  # type: Optional[Json]
        if launch is not None:
            shape = launch.record["pilot"]
            pilot = {
                "is_made": launch.pilot(str(each["pilot"])).about is not None,
                "walltime_seconds": shape["walltime_seconds"],
                "least_seconds": shape.get("least_seconds"),
                "across_maintenance": bool(shape.get("across_maintenance")),
            }
        return {"clock": time.time(), "reservations": found, "motd": told, "pilot": pilot}

    def allocation(self, command: str) -> Json:
        """What allocations have left, in the words of the accounting system, and the accounts of open launches."""
        accounts = sorted({str(launch.record["pilot"]["account"]) for launch in self.launches.values() if "account" in launch.record["pilot"]})
        return {"list": call(shlex.split(command), self.settings.command_seconds, {"LC_ALL": "C"}), "accounts": accounts}

    def submit(self, each: Json) -> Json:
        launch = self.launches.get(str(each["campaign"]))
        if launch is None:
            return {"answer": "no-launch"}
        pilot = launch.pilot(str(each["pilot"]))
        if pilot.has("ended.json"):
            # Also the request that came too late, after its pilot was given up.
            return {"answer": "ended", "key": pilot.key()}
        if pilot.about is None:
            self.make_pilot(launch, pilot, each)
        if pilot.has("given-up"):
            os.unlink(pilot.file("given-up"))
        if pilot.job_id() is None:
            process = pilot.start_submit(self.settings)
            deadline = time.monotonic() + float(each.get("wait_seconds", SUBMIT_WAIT_SECONDS))
            while time.monotonic() < deadline:
                if process is not None and process.poll() is not None:
                    break
                if process is None and not os.path.isdir(pilot.file("lock")):
                    break
                time.sleep(0.02)
        found = pilot.submission()
        # Certainly not submitted: nobody goes on trying by himself, the caller asks for another pilot when it likes.
        is_certain = found.get("step") == "qsub" and found.get("exit") in each.get("certain_exits", [])
        if found["answer"] != "recorded" and (is_certain or (found["answer"] == "failed" and not pilot.has("attempted"))):
            write_whole(pilot.file("given-up"), "")
            found["given_up"] = True
        if found.get("step") == "qsub" and found.get("exit") in each.get("limit_exits", []):
            found["holders"] = self.holders(launch, found["stderr"])
        return found

    def holders(self, launch: Launch, words: str) -> Optional[Json]:
        """Whose jobs take the places of a limit that was reached: of the project where the site's words speak of one, else of this user."""
        account = launch.record["pilot"].get("account")
        whose = ["-A", str(account)] if account and "project" in words.lower() else ["-u", self.user]
        found = call(["qselect"] + whose, self.settings.command_seconds)
        ids = [each for each in found["stdout"].split("\n") if FULL_ID.match(each)][:HOLDERS_AT_MOST]
        return self.ask(ids) if found["exit"] == 0 else None

    def make_pilot(self, launch: Launch, pilot: Pilot, each: Json) -> None:
        os.makedirs(pilot.pbs, exist_ok=True)
        defaults = launch.record["pilot"]
        nodes = int(each.get("nodes") or defaults["nodes"])
        walltime = int(each.get("walltime_seconds") or defaults["walltime_seconds"])
        with open(os.path.join(launch.folder, "pbs", "job.sh"), encoding="utf-8") as stream:
            script = stream.read()
        clock = "{:02d}:{:02d}:{:02d}".format(walltime // 3600, walltime % 3600 // 60, walltime % 60)
        values = {"PILOT": file_name(pilot.name), "KEY": pilot.key(), "NODES": str(nodes), "WALLTIME": clock, "WALLTIME_SECONDS": str(walltime)}
        for token, value in values.items():
            script = script.replace("@{}@".format(token), value)
        write_whole(pilot.file("job.sh"), script)
        about = {
            "version": 1, "pilot": pilot.name, "campaign": launch.campaign, "key": pilot.key(), "nodes": nodes,
            "walltime_seconds": walltime, "slots": nodes * int(defaults["slots_per_node"]), "user": self.user,
        }
        if each.get("note"):
            about["note"] = str(each["note"])[:300]
        about["other_queues"] = defaults.get("other_queues", [])
        write_whole(pilot.file("pilot.json"), json.dumps(about))
        pilot.about = about

    def cancel(self, each: Json) -> Json:
        """Remembered first, so that a submission in flight sees it; then every id that is known is deleted. Never an id that is not a full one."""
        launch = self.launches.get(str(each["campaign"]))
        pilot = launch.pilot(str(each["pilot"])) if launch is not None else None
        if pilot is None or pilot.about is None:
            return {"answer": "unknown"}
        if not pilot.has("cancelled"):
            write_whole(pilot.file("cancelled"), str(each.get("reason", ""))[:500])
        ids = [pilot.job_id()] + (read_text(pilot.file("jobid"), 400) or "").split() + (read_text(pilot.file("extra"), 4000) or "").split()
        known = list(dict.fromkeys(each for each in ids if each is not None and FULL_ID.match(each)))
        if not known:
            if pilot.has("attempted") or os.path.isdir(pilot.file("lock")):
                pilot.start_submit(self.settings)
                return {"answer": "in-flight"}
            return {"answer": "none"}
        ends = [dict(call(["qdel", job], self.settings.command_seconds), id=job) for job in known]
        return {"answer": "asked", "qdel": ends}

    def settle(self, each: Json) -> Json:
        """PBS says that a pilot's job has ended: its agents are dead, whatever their last heartbeat said. What they left is put in order."""
        launch = self.launches.get(str(each["campaign"]))
        pilot = launch.pilot(str(each["pilot"])) if launch is not None else None
        if launch is None or pilot is None:
            return {"answer": "unknown"}
        if pilot.about is None:
            # A request that never arrived: from now on it comes too late.
            os.makedirs(pilot.pbs, exist_ok=True)
            write_whole(pilot.file("ended.json"), json.dumps(each["end"]))
            return {"answer": "settled"}
        # One that died before its first heartbeat would be thought alive by the recovery, which looks once.
        agents = self.agents_of(pilot)
        for suffix in agents:
            path = os.path.join(pilot.folder, "heartbeat{}.json".format(suffix))
            beat = read_json(path) or dict(NO_BEAT, pilot=pilot.name, agent=file_name(pilot.name) + suffix.replace("-", "@", 1))
            if beat.get("state") != "ended":
                beat.update(state="ended", busy=[], reason=str(each["end"].get("message", ""))[:500])
                write_whole(path, json.dumps(beat))
        if agents:
            agent = os.path.join(launch.folder, "bin", "agent.py")
            done = call([sys.executable, "-I", agent, "recover", "--launch", launch.folder], 100)
            if done["exit"] != 0:
                return {"answer": "failed", "stderr": done["stderr"]}
        write_whole(pilot.file("ended.json"), json.dumps(each["end"]))
        return {"answer": "settled"}

    def agents_of(self, pilot: Pilot) -> List[str]:
        """Suffixes of the files of a pilot's agents: empty, or `-<node>`. One that was killed early has left no more than a claim."""
        matches = [re.match(r"^(?:agent|heartbeat)(-.+)?\.json$", name) for name in names_in(pilot.folder)]
        found = {match.group(1) or "" for match in matches if match is not None}
        for name in names_in(pilot.launch.spool("claimed")):
            owner, _, node = name.partition("@")
            if owner == file_name(pilot.name):
                found.add("-" + node if node else "")
        return sorted(found)

    def close(self, campaign: str) -> Json:
        """Takes a launch out of the look, once none of its jobs can live any more."""
        launch = self.launches.get(campaign)
        if launch is None:
            if campaign in self.gone:
                self.delete_jobs(self.gone[campaign])
                os.unlink(os.path.join(self.state, "launches", file_name(campaign) + ".json"))
            return {"answer": "closed"}
        open_pilots = [
            pilot.name for pilot in launch.pilots()
            if not (pilot.has("ended.json") or pilot.has("none") or pilot.has("given-up")) and (pilot.job_id() is not None or pilot.has("attempted"))
        ]
        if open_pilots:
            return {"answer": "open", "pilots": open_pilots}
        # A second job of a pilot, made because a look-up by name had lost its answer, is on no record: it is found here.
        tried = [pilot.name for pilot in launch.pilots() if pilot.has("attempted")]
        if tried and not self.delete_jobs(launch):
            return {"answer": "open", "pilots": tried}
        os.makedirs(os.path.join(self.state, "closed"), exist_ok=True)
        name = file_name(campaign) + ".json"
        os.rename(os.path.join(self.state, "launches", name), os.path.join(self.state, "closed", name))
        return {"answer": "closed"}

    # -- the look

    def look(self, wanted: Json) -> Json:
        asked = {str(name) for name in wanted.get("pilots", [])}
        pilots = []  # type: List[Json]
        ids = []  # type: List[str]
        unread = []  # type: List[str]
        for launch in self.launches.values():
            if not can_be_listed(os.path.join(launch.folder, "pilots")):
                unread.append(launch.campaign)
            for pilot in launch.pilots(unread):
                row = self.pilot_row(pilot, pilot.name in asked)
                if row is not None:
                    pilots.append(row)
                    if "id" in row and "ended" not in row:
                        ids.append(row["id"])
        found = {"pilots": pilots, "qstat": self.ask(ids), "unread": sorted(set(unread))}  # type: Json
        for row in pilots:
            tried(lambda each: self.note_seen(each, found["qstat"]), row)
        found.update(self.records(int(wanted.get("max_bytes", ANSWER_BYTES))))
        found["files"] = self.small_files(found["done"], int(wanted.get("collect_bytes", 0)))
        avoided = {launch.campaign: names_in(os.path.join(launch.folder, "pbs", "avoid")) for launch in self.launches.values()}
        found["avoided"] = {campaign: nodes for campaign, nodes in avoided.items() if nodes}
        return found

    def small_files(self, done: List[Json], max_bytes: int) -> Json:
        """Files of ended attempts come along while there is room, so that collecting them costs no further command."""
        files, left = {}, max_bytes  # type: Json, int
        for record in done:
            launch = self.launches.get(str(record.get("campaign")))
            sizes = [(str(each.get("path")), int(each.get("size", 0))) for each in record.get("files") or [] if is_result(each)]
            if launch is None or sum(size for _, size in sizes) > left:
                continue
            found = read_files(launch, str(record.get("directory")), [name for name, _ in sizes], left)
            left -= sum(len(each["base64"]) for each in found)
            files["{}/{}.{}".format(launch.campaign, record["trial"], record["attempt"])] = found
        return files

    def fetch(self, each: Json) -> List[Json]:
        launch = self.launches.get(str(each["campaign"]))
        return [] if launch is None else read_files(launch, str(each["directory"]), [str(name) for name in each["names"]], int(each["max_bytes"]))

    def pilot_row(self, pilot: Pilot, is_asked: bool) -> Optional[Json]:
        ended = read_json(pilot.file("ended.json"))
        if (ended is not None or pilot.has("given-up")) and not is_asked:
            return None
        row = {"campaign": pilot.launch.campaign, "pilot": pilot.name, "key": pilot.key(), "about": pilot.about}  # type: Json
        for name in ("cancelled", "exit"):
            text = read_text(pilot.file(name), 600)
            if text is not None:
                row[name] = text.strip()
        row["claimed"] = pilot.claim() is not None
        if pilot.has("given-up") or pilot.has("none"):
            row["given_up"] = True
        row["seen"] = pilot.has("seen")
        if ended is not None:
            row["ended"] = ended
        job = pilot.job_id()
        if job is not None:
            row["id"] = job
            row["age"] = age_seconds(pilot.file("jobid") if pilot.has("jobid") else pilot.file("claim"))
        else:
            row["submission"] = pilot.submission()
        if job is None and ended is None and "given_up" not in row:
            # The answer was lost, or the site made us wait: the detached step looks again, and its answer is here at the next look.
            pilot.start_submit(self.settings)
        row["heartbeats"] = [
            beat for name in names_in(pilot.folder) if name.startswith("heartbeat") and name.endswith(".json")
            for beat in [read_json(os.path.join(pilot.folder, name))] if beat is not None
        ]
        return row

    def ask(self, ids: List[str]) -> Optional[Json]:
        if not ids:
            return None
        answer = call(["qstat", "-E", "-x", "-f", "-w"] + ids, self.settings.qstat_seconds)
        if answer["exit"] == 1 and not answer["stdout"] and len(ids) > 1:
            # One malformed id spoils the whole command (golden query-E-malformed).
            parts = [call(["qstat", "-E", "-x", "-f", "-w", each], self.settings.qstat_seconds) for each in ids]
            good = [part for part in parts if part["exit"] == 0] or parts[:1]
            answer = dict(good[0], stdout="".join(part["stdout"] for part in good))
        if answer["exit"] == 2 and not answer["stdout"]:
            return self.ask_in_json(ids, answer)
        answer["stdout"] = "\n".join(line for line in answer["stdout"].split("\n") if not line.startswith("    Variable_List = "))
        return answer

    def ask_in_json(self, ids: List[str], refused: Json) -> Json:
        """Second best, for a client that knows neither -E nor -w: one id at a time, since it prints only the first of several (openpbs issue 2672)."""
        parts = [call(["qstat", "-x", "-f", "-F", "json", each], self.settings.qstat_seconds) for each in ids]
        exits = [part["exit"] for part in parts]
        if all(code == 2 for code in exits):
            return refused
        code = 0 if 0 in exits else next((each for each in exits if each not in (35, 153)), exits[0])
        answers = [{"exit": part["exit"], "stdout": part["stdout"]} for part in parts]
        return {"exit": code, "stdout": "", "stderr": parts[exits.index(code)]["stderr"], "json": answers}

    def note_seen(self, row: Json, answer: Optional[Json]) -> None:
        """An id counts once qstat has shown it under our name. One that was never seen so is looked up by name: the record may be wrong."""
        if answer is None or "id" not in row or row["seen"] or "ended" in row:
            return
        pilot = self.launches[row["campaign"]].pilot(row["pilot"])
        block = re.search(r"^Job Id: {}\n    Job_Name = (.*)$".format(re.escape(row["id"])), answer["stdout"], re.M)
        shown = block.group(1) if block is not None else name_in_json(answer.get("json") or [], row["id"])
        if shown == row["key"]:
            write_whole(pilot.file("seen"), "")
            row["seen"] = True
        elif answer["exit"] in (0, 1, 153) and not row["claimed"]:
            found = call(["qselect", "-x", "-u", self.user, "-N", row["key"]], self.settings.command_seconds)
            ids = found["stdout"].split("\n")
            if found["exit"] == 0 and ids[-1] == "" and len(ids) > 1 and all(FULL_ID.match(each) for each in ids[:-1]) and row["id"] not in ids:
                write_whole(pilot.file("jobid"), ids[0] + "\n")

    def records(self, max_bytes: int) -> Json:
        done, broken, size, more = [], [], 0, False  # type: List[Json], List[Json], int, bool
        for launch in self.launches.values():
            for name in sorted(names_in(launch.spool("done")), key=attempt_order):
                if not name.endswith(".json"):
                    continue
                path = launch.spool("done", name)
                text = read_text(path, RECORD_LIMIT + 1)
                if text is None:
                    continue
                if len(done) >= RECORDS_AT_ONCE or size + len(text) > max_bytes:
                    more = True
                    break
                record, problem = parse_record(text, name, launch.campaign)
                if record is None:
                    broken.append({"campaign": launch.campaign, "name": name, "message": problem})
                    record = replace_broken(launch, name, problem)
                if record is not None:
                    size += len(text)
                    done.append(record)
        return {"done": done, "broken": broken, "more": more}


# Of an agent that never had one.
NO_BEAT = {
    "version": 1, "host": "", "pid": 0, "beat": 0, "state": "running", "slots": 0, "busy": [], "allocated_slot_seconds": 0,
    "busy_slot_seconds": 0, "finished": 0,
}  # type: Json


def name_in_json(answers: List[Json], job: str) -> Optional[str]:
    """The name of a job in the answer that shows it. Read by its pattern: what some releases print is no JSON."""
    for each in answers:
        if '"{}":'.format(job) in each["stdout"]:
            match = re.search(r'"Job_Name":\s*"([^"]*)"', each["stdout"])
            if match is not None:
                return match.group(1)
    return None


def is_result(each: Json) -> bool:
    """Checkpoints stay where the next attempt needs them."""
    return bool(each.get("sha256")) and not str(each.get("path")).startswith("checkpoint/")


def read_files(launch: Launch, directory: str, names: List[str], max_bytes: int) -> List[Json]:
    found = []  # type: List[Json]
    for name in names:
        path = os.path.join(launch.folder, native(directory), native(name))
        if ".." in path.split("/"):
            continue
        try:
            with open(path, "rb") as stream:
                content = stream.read(max_bytes + 1)
        except (OSError, ValueError):
            # Gone, or no name that a file can have: a record may hold anything.
            continue
        if len(content) > max_bytes:
            continue
        max_bytes -= len(content)
        found.append({"path": name, "base64": base64.b64encode(content).decode("ascii")})
    return found


def was_removed(folder: str) -> bool:
    """The folder is not there, but the one above it is: a file system that is away is no removal."""
    try:
        os.stat(folder)
    except FileNotFoundError:
        return os.path.isdir(os.path.dirname(folder))
    except OSError:
        return False
    return False


def may_write(known: Json, owner: Json) -> bool:
    """The same campaign of the same namespace, and not an older run of it."""
    same = all(known.get(key) == owner.get(key) for key in ("namespace", "workflow_id"))
    return not known or (same and float(owner.get("epoch", 0)) >= float(known.get("epoch", 0)))


def unpack(packed: str, target: str, sha256: str) -> Optional[str]:
    """Unpacks a bundle whose bytes are what they should be; the folder appears whole or not at all."""
    digest = hashlib.sha256()
    with open(packed, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        return "its sha256 is {}, not {}".format(digest.hexdigest(), sha256)
    temporary = "{}.tmp.{}".format(target, os.getpid())
    shutil.rmtree(temporary, ignore_errors=True)
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive.getmembers():
            if member.name.startswith("/") or ".." in member.name.split("/") or not (member.isfile() or member.isdir()):
                return "it holds {}, which is no plain file below it".format(member.name)
        archive.extractall(temporary)
    sync_tree(temporary)
    try:
        os.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not os.path.isdir(target):
            return "it cannot be renamed into place"
    sync(os.path.dirname(target))
    return None


def attempt_order(name: str) -> Tuple[int, str]:
    match = re.match(r"^trial-(\d+)\.", name)
    return (int(match.group(1)) if match else sys.maxsize, name)


def replace_broken(launch: Launch, name: str, problem: str) -> Optional[Json]:
    """Keeps the bytes in broken/ and only then puts a record in their place that says so, so that the trial goes on (R21)."""
    path = launch.spool("done", name)
    match = re.match(r"^(trial-\d{4,})\.([1-9]\d*)\.json$", name)
    if match is None:
        os.rename(path, launch.spool("broken", name))
        return None
    shutil.copyfile(path, launch.spool("broken", name))
    message = "The done record cannot be read: {}. It is kept in spool/broken/.".format(problem)
    record = lost_record(launch, "{}.{}".format(match.group(1), match.group(2)), "bad_result", message)
    write_whole(path, json.dumps(record))
    return record


def lost_record(launch: Launch, name: str, kind: str, message: str) -> Json:
    """A done record of an attempt that left none of its own."""
    trial, attempt = name.rsplit(".", 1)
    return {
        "version": 1, "campaign": launch.campaign, "trial": trial, "attempt": int(attempt), "status": "failed", "exit_code": None,
        "signal": None, "error": {"class": kind, "message": message[:500]}, "values": None, "metrics": {}, "curve": [], "step": None,
        "started_at": 0, "ended_at": 0, "run_seconds": 0, "pilot": "", "host": "", "slot": 0, "resumed_from": None, "has_checkpoint": False,
        "directory": attempt_folder(launch, name), "files": [],
    }


def attempt_folder(launch: Launch, name: str) -> str:
    """Relative to the launch folder."""
    trial, attempt = name.rsplit(".", 1)
    settings = read_json(os.path.join(launch.folder, "launch.json")) or {}
    job = str(settings.get("job_pattern") or "{job_id}").replace("{job_id}", trial).replace("{trial}", trial)
    return "trials/{}/attempt-{}".format(job, attempt)


def parse_record(text: str, name: str, campaign: str) -> Tuple[Optional[Json], str]:
    if len(text) > RECORD_LIMIT:
        return None, "larger than {} bytes".format(RECORD_LIMIT)
    try:
        record = json.loads(text, parse_constant=lambda word: None)
    except ValueError as error:
        return None, str(error)
    if not isinstance(record, dict) or "{}.{}.json".format(record.get("trial"), record.get("attempt")) != name:
        return None, "it is not the record of this attempt"
    # What is read of it here. The other end looks at the rest, and can say what is wrong with it only when it has come.
    files, error = record.get("files", []), record.get("error")
    is_readable = isinstance(files, list) and all(isinstance(each, dict) and isinstance(each.get("size", 0), int) for each in files)
    if record.get("campaign") != campaign or not isinstance(record["attempt"], int) or not is_readable or not isinstance(error, (dict, type(None))):
        return None, "it is not as a record of this campaign should be"
    return record, ""


def wait_for_lock(fd: int, seconds: float) -> None:
    """Two exchanges at once do no harm, only work twice: after the wait this one goes on without the lock."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return


def take_turn(state: str, seconds: float) -> None:
    """Returns when the last turn is `seconds` old; then it is ours. One at a time, by a lock that ends with its process (R7)."""
    with open(os.path.join(state, "qsub.turn"), "a", encoding="utf-8") as turn:
        wait_for_lock(turn.fileno(), 60)
        mark = os.path.join(state, "qsub.last")
        age = age_seconds(mark)
        if age is not None:
            time.sleep(min(seconds, max(0.0, seconds - age)))
        write_whole(mark, "")


def main() -> int:
    if sys.argv[1] == "--turn":
        take_turn(sys.argv[2], float(sys.argv[3]))
        return 0
    extra = [folder for folder in ("/opt/pbs/bin", "/usr/pbs/bin") if os.path.isdir(folder)]
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin")] + extra)
    request = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    body = json.dumps(Exchange(sys.argv[1], request).run()).encode("utf-8")
    head = "holdfast {} {}\n".format(len(body), hashlib.sha256(body).hexdigest())
    sys.stdout.buffer.write(head.encode("ascii") + body + b"\n")
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
