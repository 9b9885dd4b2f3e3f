#!/usr/bin/env python3
"""The Holdfast agent: takes trial attempts from a spool folder, runs them, one per slot, and leaves complete records of their ends.

One file, standard library only, Python 3.6 or newer, no network. The protocol is told in docs/spool.md; in short:

  ready/X -> claimed/<agent>/X   by rename: exactly one taker
  attempt-N/started              made exclusively and fsynced just before the training starts: never more than one start
  done/X                         written, fsynced and renamed at the end; only then is the claim removed

The training runs under a keeper, a fork of the agent that does three things: it pumps the training's output into log files that are rotated by
size, it writes the training's real exit status to attempt-N/exit.json even when the agent is dead by then, and it holds a lock on
attempt-N/started as long as anything of the start may still happen.
"""

import argparse
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set, Tuple
from urllib.parse import quote

VERSION = 1
Json = Dict[str, Any]

HERE = os.path.dirname(os.path.abspath(__file__))
HOST = socket.gethostname()

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT)
LOG_LIMIT = 4 * 1024 * 1024
RESULT_LIMIT = 16 * 1024 * 1024
HASH_LIMIT = 64 * 1024 * 1024
BALLAST_BYTES = 64 * 1024
MAX_FILES = 32
MAX_METRICS = 64
MAX_CURVE = 64
MAX_RECENT = 16
BALLAST_SECONDS = 10
# So long an end by a signal from outside waits for the batch system to reach the agent as well.
OUTSIDE_SECONDS = 2.0
# A batch system signals the agent, and the job script hands the signal on: what comes so soon after is the same request.
SAME_REQUEST_SECONDS = 5.0
# Beats without our lock file before a folder counts as removed where the file system still holds the file for us (NFS), or it was moved.
MISSING_BEATS = 3
EXIT_ANOTHER_LIVES = 3
EXIT_UNWRITTEN = 5
EXIT_NO_SPACE = 6
EXIT_RUNNING_ELSEWHERE = 75


# Files


def is_storage(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in STORAGE_ERRORS


def sync_folder(path: str) -> None:
    """Makes renames and new names in a folder survive a power cut. Some file systems refuse fsync of a folder; they have no better to offer."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


def native(text: str) -> str:
    """A text as the system calls of this Python want it, so that they get UTF-8: in the C locale, which many batch jobs have, Python 3.6 knows ASCII only."""
    try:
        return os.fsdecode(text.encode("utf-8", "surrogateescape"))
    except UnicodeError:
        # No text that a system call could take: whoever makes the call hears of it.
        return text


def plain(name: str) -> str:
    """The other way: a name that the system gave, as text."""
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def write_whole(path: str, text: str, durable: bool) -> None:
    """Writes a file so that a reader sees all of it or nothing: temporary name, fsync if durable, rename."""
    temporary = "{}.{}.tmp".format(path, os.getpid())
    try:
        with open(temporary, "wb") as stream:
            stream.write(text.encode("utf-8", "replace"))
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        os.rename(temporary, path)
    except OSError:
        remove(temporary)
        raise
    if durable:
        sync_folder(os.path.dirname(path))


def write_json(path: str, record: Json, durable: bool) -> None:
    write_whole(path, json.dumps(record, allow_nan=False, sort_keys=True) + "\n", durable)


def read_json(path: str, limit: int = RESULT_LIMIT) -> Optional[Json]:
    """The JSON object in a file; None when there is no file or nothing readable in it."""
    try:
        with open(path, "rb") as stream:
            record = json.loads(stream.read(limit).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def names_in(folder: str) -> List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def tail(path: str, limit: int) -> str:
    """The last bytes of a text file, from the start of a line where one starts there."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - limit))
            text = stream.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""
    return text if size <= limit else text[text.find("\n") + 1 :] or text


def file_name(name: str) -> str:
    """A name as part of a path; the same characters are kept as by JavaScript's encodeURIComponent."""
    return quote(name, safe="-_.!~*'()")


# Processes


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def process_start(pid: int) -> Optional[str]:
    """
    When a process started, in clock ticks since boot: with the pid it names a process for ever. None when there is no such process; a zombie
    counts as gone, since in a container there may be nobody to reap it.
    """
    try:
        with open("/proc/{}/stat".format(pid), "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def is_process(record: Optional[Json]) -> bool:
    """Whether the process that a record names (pid, start_time, boot_id) lives on this host."""
    if not record or record.get("boot_id") != boot_id():
        return False
    pid = record.get("pid")
    if not isinstance(pid, int) or pid <= 1:
        return False
    start = process_start(pid)
    # No start time is on record of a process that had ended by the time it was looked at, and of all where there is no /proc.
    return start == record.get("start_time") and (start is not None or not os.path.isdir("/proc/self"))


def is_of_another_host(record: Json) -> bool:
    """Whether a record of a process names another computer. A computer whose name has changed is known by its boot."""
    boot = boot_id()
    return record.get("host") != HOST and (boot == "" or record.get("boot_id") != boot)


def processes_with(tokens: Set[str]) -> List[int]:
    """Processes of this user whose environment carries one of these HOLDFAST_TOKENs."""
    found = []
    own = os.getuid()
    marks = {("HOLDFAST_TOKEN=" + token).encode() for token in tokens}
    for name in names_in("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            if os.stat("/proc/" + name).st_uid != own:
                continue
            with open("/proc/{}/environ".format(name), "rb") as stream:
                entries = stream.read().split(b"\0")
        except OSError:
            continue
        if not marks.isdisjoint(entries):
            found.append(int(name))
    return found


def kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def try_lock(fd: int) -> Optional[bool]:
    """True: locked now. False: another holds it. None: this file system has no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        return None
    return True


class Failpoints:
    """Tests name a point in HOLDFAST_FAILPOINT (`name` or `name:count`); the agent then kills itself there, at the count-th passage."""

    def __init__(self, text: str) -> None:
        self.name, _, count = text.partition(":")
        self.left = int(count or "1")

    def reach(self, name: str) -> None:
        if name != self.name:
            return
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


FAILPOINTS = Failpoints(os.environ.get("HOLDFAST_FAILPOINT", ""))


# The launch folder


ATTEMPT_NAME = re.compile(r"^(trial-(\d{4,}))\.([1-9]\d*)$")


def attempt_key(name: str) -> Tuple[int, int]:
    match = ATTEMPT_NAME.match(name)
    return (int(match.group(2)), int(match.group(3))) if match else (0, 0)


class Launch:
    """Paths and settings of one launch folder."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        record = read_json(os.path.join(self.folder, "launch.json"))
        if record is None or record.get("version") != VERSION:
            raise LaunchError("{}/launch.json is missing, not readable or of another version.".format(self.folder))
        self.record = record
        self.campaign = str(record["campaign"])
        self.limits = record["limits"]
        self.objectives = record["objectives"]
        self.slots_per_trial = max(1, int(record.get("slots_per_trial") or 1))
        self.report_steps = sorted(float(step) for step in record.get("report_steps") or [])
        self.id = hashlib.sha256(self.folder.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        for name in ("ready", "claimed", "done", "collected", "stop", "withdrawn", "broken"):
            os.makedirs(self.spool(name), exist_ok=True)

    def spool(self, *parts: str) -> str:
        return os.path.join(self.folder, "spool", *parts)

    def offer_file(self, queue: str, name: str) -> str:
        return self.spool(queue, name + ".json")

    def job_folder(self, trial: str) -> str:
        pattern = str(self.record.get("job_pattern") or "{job_id}")
        return pattern.replace("{job_id}", trial).replace("{trial}", trial)

    def attempt_folder(self, trial: str, attempt: int) -> str:
        """Relative to the launch folder."""
        return "trials/{}/attempt-{}".format(self.job_folder(trial), attempt)

    def path(self, relative: str) -> str:
        return os.path.join(self.folder, native(relative))

    def token(self, name: str) -> str:
        return "{}:{}".format(self.id, name)

    def has_end(self, name: str) -> bool:
        return any(os.path.exists(self.offer_file(queue, name)) for queue in ("done", "collected"))

    def bundle_folder(self) -> Optional[str]:
        sha = self.record.get("bundle")
        return self.path("bundle/" + sha) if sha else None


class LaunchError(Exception):
    pass


class AgentFiles:
    """Where one agent keeps its files: pilots/<pilot>/{lock,agent.json,heartbeat.json}, with `-<node>` in pilots of several nodes."""

    def __init__(self, launch: Launch, agent: str) -> None:
        pilot, _, node = agent.partition("@")
        suffix = "-" + node if node else ""
        self.folder = launch.path("pilots/" + pilot)
        self.lock = os.path.join(self.folder, "lock" + suffix)
        self.identity = os.path.join(self.folder, "agent{}.json".format(suffix))
        self.heartbeat = os.path.join(self.folder, "heartbeat{}.json".format(suffix))
        self.log = os.path.join(self.folder, "agent{}.log".format(suffix))
        self.ballast = os.path.join(self.folder, "ballast" + suffix)


def agent_name(pilot: str, node: Optional[str]) -> str:
    return file_name(pilot) + ("@" + file_name(node) if node else "")


class Log:
    """agent.log: every decision, one line each; rotated once. A full disk must not stop the agent, so a line that cannot be written is dropped."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = -1

    def __call__(self, text: str, *values: Any) -> None:
        line = time.strftime("%Y-%m-%dT%H:%M:%S%z ") + text.format(*values).replace("\n", " ") + "\n"
        try:
            if self.fd < 0:
                self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(self.fd, line.encode("utf-8", "replace"))
            if os.fstat(self.fd).st_size > LOG_LIMIT:
                os.close(self.fd)
                self.fd = -1
                os.rename(self.path, self.path + ".1")
        except OSError:
            pass


# The command


# `{name}` is a placeholder, `{{name}}` stands for `{name}` itself; any other brace is a brace.
PLACEHOLDER = re.compile(r"\{\{([A-Za-z_][\w.-]*)\}\}|\{([A-Za-z_][\w.-]*)\}")


class BadCommand(Exception):
    pass


def spell(value: Any) -> str:
    """A parameter's value as a word of the command."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    return value if isinstance(value, str) else json.dumps(value)


def expand(word: str, known: Dict[str, Optional[str]]) -> str:
    def replace(match: "re.Match[str]") -> str:
        escaped, name = match.groups()
        if escaped is not None:
            return "{" + escaped + "}"
        if name not in known:
            raise BadCommand("The training command has the placeholder {{{}}}, which is neither ours nor an active parameter.".format(name))
        value = known[name]
        if value is None:
            raise BadCommand("The training command has the placeholder {{{}}}, but the campaign names none.".format(name))
        return value

    return PLACEHOLDER.sub(replace, word)


class SlotSetting(NamedTuple):
    env: Dict[str, str]
    cpus: List[int]


def merge_slots(settings: List[SlotSetting]) -> SlotSetting:
    """A trial on several slots gets their CPUs together and, where a variable differs, its values joined by commas (ZE_AFFINITY_MASK=0,1)."""
    env = {}  # type: Dict[str, str]
    for key in [key for setting in settings for key in setting.env]:
        values = [setting.env[key] for setting in settings if key in setting.env]
        env[key] = ",".join(dict.fromkeys(values))
    return SlotSetting(env, sorted({cpu for setting in settings for cpu in setting.cpus}))


# The keeper: lives in a fork, one per running training


class Rotated:
    """An output file that never grows beyond `limit`; one old part is kept. When the disk is full, output is dropped, never waited for."""

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.limit = max(4096, limit)
        self.fd = -1
        self.size = 0
        self.is_storage_full = False

    def write(self, piece: bytes) -> None:
        try:
            if self.fd < 0:
                self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                self.size = 0
            while piece:
                written = os.write(self.fd, piece[: self.limit - self.size])
                self.size += written
                piece = piece[written:]
                if self.size >= self.limit:
                    os.close(self.fd)
                    self.fd = -1
                    os.rename(self.path, self.path + ".1")
                    if piece:
                        # Whatever would be rotated away again at once need not be written.
                        keep = len(piece) % self.limit + (self.limit if len(piece) >= self.limit else 0)
                        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                        self.size = 0
                        piece = piece[-keep:]
        except OSError as error:
            self.is_storage_full = self.is_storage_full or is_storage(error)


class StartPlan(NamedTuple):
    words: List[str]
    env: Dict[str, str]
    cwd: str
    folder: str
    cpus: List[int]
    log_bytes: int


def run_keeper(plan: StartPlan, started_fd: int, report_fd: int) -> None:
    """Body of the forked keeper: starts the training, pumps its output, reports its end. Never returns."""
    code = 1
    try:
        keep(plan, started_fd, report_fd)
        code = 0
    except BaseException as error:
        with open(os.path.join(plan.folder, "keeper-error.txt"), "w") as stream:
            stream.write(repr(error) + "\n")
    finally:
        os._exit(code)


def keep(plan: StartPlan, started_fd: int, report_fd: int) -> None:
    asked = set()  # type: Set[int]
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_r, False)
    os.set_blocking(wake_w, False)
    close_all_but({started_fd, report_fd, wake_r, wake_w})
    # Whoever waits for the agent's output to end must not wait for the training.
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)
    signal.set_wakeup_fd(wake_w)
    # Handlers, not SIG_IGN: what is ignored here would stay ignored in the training.
    for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda seen, _frame: asked.add(seen))
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if plan.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, plan.cpus)

    began = time.monotonic()
    outputs = {}  # type: Dict[int, Rotated]
    ends = []
    for name in ("stdout.log", "stderr.log"):
        reader, writer = os.pipe()
        outputs[reader] = Rotated(os.path.join(plan.folder, name), plan.log_bytes)
        ends.append(writer)
    every = list(outputs.values())
    report = {"exit_code": None, "signal": None, "spawn_error": None, "storage": False}  # type: Json
    try:
        child = subprocess.Popen(plan.words, cwd=plan.cwd, env=plan.env, stdin=subprocess.DEVNULL, stdout=ends[0], stderr=ends[1], start_new_session=True)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        report["spawn_error"] = {"errno": getattr(error, "errno", None), "message": str(error)}
    else:
        for end in ends:
            os.close(end)
        record = {"pid": child.pid, "start_time": process_start(child.pid), "boot_id": boot_id(), "host": HOST, "keeper": os.getpid()}
        report["storage"] = not attempt_write(os.path.join(plan.folder, "process.json"), record)
        status = pump(child.pid, outputs, wake_r, asked)
        if os.WIFSIGNALED(status):
            report["signal"] = signal_name(os.WTERMSIG(status))
        else:
            report["exit_code"] = os.WEXITSTATUS(status)
    report["run_seconds"] = round(time.monotonic() - began, 3)
    report["storage"] = report["storage"] or any(output.is_storage_full for output in every)
    attempt_write(os.path.join(plan.folder, "exit.json"), report)
    os.write(report_fd, json.dumps(report).encode("utf-8"))


def close_all_but(kept: Set[int]) -> None:
    """The fork must not hold the agent's locks and pipes open."""
    try:
        fds = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        fds = list(range(3, 1024))
    for fd in fds:
        if fd > 2 and fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass


def attempt_write(path: str, record: Json) -> bool:
    try:
        write_json(path, record, durable=False)
    except OSError:
        return False
    return True


def pump(pid: int, outputs: Dict[int, Rotated], wake: int, asked: Set[int]) -> int:
    """Copies output until the training ends; passes on TERM and, for USR2, KILL to its process group. Returns its wait status."""
    for fd in outputs:
        os.set_blocking(fd, False)
    while True:
        for number in list(asked):
            asked.discard(number)
            if number == signal.SIGTERM:
                kill_group(pid, signal.SIGTERM)
            elif number == signal.SIGUSR2:
                kill_group(pid, signal.SIGKILL)
        # WNOWAIT: while the dead leader is not reaped, its group's number cannot belong to anybody else.
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            break
        readable, _, _ = select.select(list(outputs) + [wake], [], [], 5)
        for fd in readable:
            if fd == wake:
                drain_pipe(wake)
            elif not copy_piece(fd, outputs[fd]):
                del outputs[fd]
                os.close(fd)
    kill_group(pid, signal.SIGKILL)
    deadline = time.monotonic() + 1
    for fd, output in outputs.items():
        while time.monotonic() < deadline and copy_piece(fd, output) is True:
            pass
    return os.waitpid(pid, 0)[1]


def copy_piece(fd: int, output: Rotated) -> Optional[bool]:
    """True: something was copied. None: nothing there now. False: the end."""
    try:
        piece = os.read(fd, 1 << 18)
    except BlockingIOError:
        return None
    if not piece:
        return False
    output.write(piece)
    return True


def drain_pipe(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass


def kill_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        pass


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG{}".format(number)


# What a training reports


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_finite(value: Any) -> bool:
    try:
        return is_number(value) and math.isfinite(value)
    except OverflowError:
        return False


class Reports:
    """metrics.jsonl, read as it grows: last and best values, the curve, the values at rungs, the gaps between reports."""

    CURVE_LIMIT = 4096

    def __init__(self, path: str, objectives: List[Json], steps: List[float]) -> None:
        self.path = path
        self.objectives = objectives
        self.steps = steps
        self.offset = 0
        self.rest = b""
        self.lines = 0
        self.replayed = 0
        self.last = {}  # type: Json
        self.best = {}  # type: Dict[str, float]
        self.step = None  # type: Optional[float]
        self.curve = []  # type: List[Tuple[float, float]]
        self.rungs = []  # type: List[Tuple[float, float]]
        self.gaps = []  # type: List[float]
        self.heard = time.monotonic()

    def read(self) -> None:
        try:
            size = os.stat(self.path).st_size
            if size < self.offset:
                self.__init__(self.path, self.objectives, self.steps)  # type: ignore[misc]
            if size == self.offset:
                return
            lines, before = self.lines, self.lines - self.replayed
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                while True:
                    piece = stream.read(1 << 20)
                    if not piece:
                        break
                    self.offset += len(piece)
                    self.take(piece)
        except OSError:
            return
        if self.lines == lines:
            return
        now = time.monotonic()
        # What a resumed training tells again of earlier attempts comes at once and says nothing of its pace.
        fresh = self.lines - self.replayed - before
        if fresh > 0:
            self.gaps = (self.gaps + [(now - self.heard) / fresh] * min(fresh, 50))[-200:]
        self.heard = now

    def take(self, piece: bytes) -> None:
        lines = (self.rest + piece).split(b"\n")
        self.rest = lines.pop()[-(1 << 20) :]
        for line in lines:
            self.take_line(line)

    def finish(self) -> None:
        """The training has ended: what stands there without a line's end counts if it is whole."""
        self.read()
        self.take_line(self.rest)
        self.rest = b""

    def take_line(self, line: bytes) -> None:
        try:
            report = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return
        if not isinstance(report, dict):
            return
        self.lines += 1
        if report.get("replayed") is True:
            self.replayed += 1
        step = next((report[key] for key in ("step", "epoch", "iteration") if is_finite(report.get(key))), self.lines)
        self.step = step
        self.last.update({key: value for key, value in report.items() if is_number(value)})
        for objective in self.objectives:
            metric = objective["metric"]
            value = report.get(metric)
            if is_finite(value):
                sign = 1 if objective["direction"] == "maximize" else -1
                if metric not in self.best or sign * value > sign * self.best[metric]:
                    self.best[metric] = value
        value = report.get(self.objectives[0]["metric"]) if self.objectives else None
        if is_finite(value):
            self.add_to_curve(step, value)

    def add_to_curve(self, step: float, value: float) -> None:
        self.curve.append((step, value))
        # The first report at or beyond a rung, with its own step: a training that goes on from a checkpoint is past rungs whose values are known.
        while len(self.rungs) < len(self.steps) and step >= self.steps[len(self.rungs)]:
            self.rungs.append((step, value))
        if len(self.curve) > self.CURVE_LIMIT:
            self.curve = thin(self.curve, self.CURVE_LIMIT // 2, set(self.steps))

    def value(self) -> Optional[float]:
        return self.curve[-1][1] if self.curve else None


def thin(curve: List[Tuple[float, float]], limit: int, kept_steps: Set[float]) -> List[Tuple[float, float]]:
    """At most `limit` points: the first, the last and the rungs always (as far as they fit), the others evenly."""
    if len(curve) <= limit:
        return list(curve)
    kept = {0, len(curve) - 1}
    kept.update([index for index, (step, _) in enumerate(curve) if step in kept_steps][: limit - 2])
    others = [index for index in range(len(curve)) if index not in kept]
    room = limit - len(kept)
    kept.update(others[index * len(others) // room] for index in range(room))
    return [curve[index] for index in sorted(kept)]


# Judging an end


class Problem(NamedTuple):
    """A class of src/domain/failures.ts with what a person should read."""

    kind: str
    message: str
    stage: Optional[str] = None
    evidence: Optional[str] = None


class Verdict(NamedTuple):
    status: str
    problem: Optional[Problem]
    values: Optional[List[float]]


class Ending(NamedTuple):
    """Why the agent ends a training: status and problem of the record, unless the training says that it is complete."""

    status: str
    problem: Problem


# What stderr's last lines say about an exit code (rows E1-E8).
STDERR_TABLE = (
    (re.compile(r"No space left on device|Disk quota exceeded"), "storage"),
    (re.compile(r"^(ModuleNotFoundError|ImportError)\b", re.M), "environment_error"),
    (re.compile(r"^(MemoryError|torch\.\w*OutOfMemoryError)\b|out of memory|OUT_OF_RESOURCES", re.M), "resource_error"),
    (re.compile(r"^(ConnectionError|ConnectionRefusedError|ConnectionResetError|socket\.gaierror)\b", re.M), "network_error"),
)

FAILURE_CLASSES = frozenset(
    [
        "environment_error",
        "data_access_error",
        "filesystem_error",
        "resource_error",
        "configuration_error",
        "training_error",
        "network_error",
        "unknown_error",
        "exit_code",
        "not_finite",
        "no_metric",
        "storage",
    ]
)

SPAWN_TABLE = {
    errno.ENOENT: ("command_not_found", "does not exist"),
    errno.ENOTDIR: ("command_not_found", "does not exist"),
    errno.EACCES: ("command_not_found", "is not executable"),
    errno.EPERM: ("command_not_found", "is not executable"),
    errno.ENOEXEC: ("command_not_found", "is no program (a script needs a first line like #!/bin/sh)"),
    errno.E2BIG: ("configuration_error", "is too long for the system"),
    errno.ENOSPC: ("storage", "could not be started: no space left"),
    errno.EDQUOT: ("storage", "could not be started: no quota left"),
}


class Results(NamedTuple):
    """results.json: what is in it, or what is wrong with it."""

    record: Optional[Json]
    problem: Optional[Problem]


def read_results(path: str) -> Results:
    try:
        size = os.stat(path).st_size
    except OSError:
        return Results(None, None)
    if size > RESULT_LIMIT:
        return Results(None, Problem("too_large", "results.json has {} bytes; {} are allowed.".format(size, RESULT_LIMIT)))
    try:
        with open(path, "rb") as stream:
            record = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return Results(None, Problem("bad_result", "results.json cannot be read: {}.".format(error)))
    if not isinstance(record, dict):
        return Results(None, Problem("bad_result", "results.json holds no object."))
    return Results(record, None)


def result_metrics(record: Optional[Json]) -> Json:
    """Metrics of results.json: at top level, under `metrics`, or under `training_results`."""
    merged = {}  # type: Json
    for part in (record, (record or {}).get("metrics"), (record or {}).get("training_results")):
        if isinstance(part, dict):
            merged.update({key: value for key, value in part.items() if key not in merged})
    return merged


def no_metric(metric: str, results: Json, last: Json) -> str:
    there = sorted(key for key, value in dict(last, **results).items() if is_number(value))
    if not there:
        place = "the attempt's folder ($HOLDFAST_OUT, {out} in the command)"
        return "No objective {}: neither results.json nor metrics.jsonl in {} has a number.".format(metric, place)
    return "Neither results.json nor metrics.jsonl has the objective {}. There is: {}. Write it there, or name another.".format(metric, ", ".join(there[:8]))


def objective_values(objectives: List[Json], results: Json, reports: Reports) -> Tuple[Optional[List[float]], Optional[Problem]]:
    values = []
    for objective in objectives:
        metric = objective["metric"]
        sources = [("results.json", results.get(metric), metric in results), ("metrics.jsonl", reports.last.get(metric), metric in reports.last)]
        if objective["reduce"] == "best" and metric in reports.best:
            sources.insert(0, ("metrics.jsonl", reports.best[metric], True))
        elif objective["reduce"] != "result":
            sources.reverse()
        found = next(((where, value) for where, value, is_there in sources if is_there), None)
        if found is None:
            return None, Problem("no_metric", no_metric(metric, results, reports.last))
        where, value = found
        if isinstance(value, str) and value.strip().lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
            value = None
        if value is not None and not is_number(value):
            return None, Problem("bad_result", "{} in {} is no number.".format(metric, where))
        if not is_finite(value):
            return None, Problem("not_finite", "{} in {} is {}: the training diverged.".format(metric, where, value))
        values.append(value)
    return values, None


def stated_error(results: Optional[Json], exit_code: Optional[int]) -> Optional[Problem]:
    """The error that the training itself wrote into results.json."""
    if (not results or results.get("status") not in ("error", "failed", "failure")) and (not results or exit_code in (0, None) or not results.get("error")):
        return None
    error = results.get("error_info") or results.get("error") or {}
    if not isinstance(error, dict):
        error = {"error_message": str(error)}
    kind = error.get("category") or error.get("class")
    if not isinstance(kind, str) or kind not in FAILURE_CLASSES:
        kind = "exit_code" if exit_code else "training_error"
    message = str(error.get("error_message") or error.get("message") or "The training says that it failed.")
    stage = error.get("stage") or error.get("execution_stage")
    trace = error.get("traceback") or error.get("full_traceback")
    return Problem(kind, message, str(stage) if stage else None, str(trace)[-2000:] if trace else None)


def judge(launch: Launch, folder: str, end: Json, ending: Optional[Ending], reports: Reports, words: List[str]) -> Verdict:
    """What an attempt's end is: the order of the checks is the order of what can be known for certain."""
    results, result_problem = read_results(os.path.join(folder, "results.json"))
    values, value_problem = objective_values(launch.objectives, result_metrics(results), reports)
    is_clean = end["exit_code"] == 0
    if ending is not None:
        # A training that states its completion has simply been faster than our request.
        if is_clean and values is not None and results is not None and results.get("status") == "completed":
            return Verdict("completed", None, values)
        return Verdict(ending.status, ending.problem, values if ending.status == "stopped" else None)
    problem = spawn_problem(end, words) or stated_error(results, end["exit_code"]) or exit_problem(end, folder) or result_problem or value_problem
    if problem is None:
        return Verdict("completed", None, values)
    # On a full disk anything may fail in any way: the trial is innocent.
    if problem.kind not in ("command_not_found", "configuration_error", "killed") and (end["storage"] or is_full(folder)):
        problem = Problem("storage", "No space or quota left in {}; seen as: {}".format(folder, problem.message), None, problem.evidence)
    return Verdict("failed", problem, None)


def spawn_problem(end: Json, words: List[str]) -> Optional[Problem]:
    error = end.get("spawn_error")
    if error is None:
        return None
    command = words[0] if words else ""
    kind, text = SPAWN_TABLE.get(error.get("errno"), ("node_failure", "could not be started"))
    if error.get("errno") is None:
        kind, text = "configuration_error", "cannot be started"
    return Problem(kind, "The training command {} {} on {} ({}).".format(command, text, HOST, error.get("message")))


def exit_problem(end: Json, folder: str) -> Optional[Problem]:
    evidence = tail(os.path.join(folder, "stderr.log"), 2000)
    if end["signal"] is not None:
        hint = " (out of memory?)" if end["signal"] == "SIGKILL" else ""
        return Problem("killed", "The training was killed by {}{}.".format(end["signal"], hint), None, evidence or None)
    if end["exit_code"] in (0, None):
        return None
    last = "\n".join(evidence.splitlines()[-20:])
    kind = next((kind for pattern, kind in STDERR_TABLE if pattern.search(last)), "exit_code")
    line = next((line.strip() for line in reversed(evidence.splitlines()) if line.strip()), "")
    message = "The training ended with exit code {}{}".format(end["exit_code"], ": " + line[:300] if line else ".")
    return Problem(kind, message, None, evidence or None)


def is_full(folder: str) -> bool:
    """Whether the file system refuses 8 KiB right now."""
    probe = os.path.join(folder, ".probe")
    try:
        with open(probe, "wb") as stream:
            stream.write(os.urandom(8192))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return is_storage(error)
    finally:
        remove(probe)
    return False


def free_bytes(folder: str) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize


OWN_FILES = frozenset(["started", "process.json", "exit.json", "ending.json", "stop", ".probe"])


def list_files(folder: str) -> List[Json]:
    """Files of an attempt with size and sha256, the important ones first, at most 32. Very large checkpoints have no sha256 (empty string)."""
    names = [name for name in names_in(folder) if name not in OWN_FILES]
    names += ["checkpoint/" + name for name in names_in(os.path.join(folder, "checkpoint"))]
    order = ["results.json", "metrics.jsonl", "stdout.log", "stderr.log", "stdout.log.1", "stderr.log.1"]
    names.sort(key=lambda name: (order.index(name) if name in order else len(order), name))
    files = []
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".tmp") or os.path.islink(path) or not os.path.isfile(path):
            continue
        try:
            size, digest = hash_file(path)
        except OSError:
            continue
        files.append({"path": plain(name), "size": size, "sha256": digest})
        if len(files) == MAX_FILES:
            break
    return files


def hash_file(path: str) -> Tuple[int, str]:
    size = os.stat(path).st_size
    if size >= HASH_LIMIT:
        return size, ""
    digest = hashlib.sha256()
    read = 0
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            digest.update(piece)
            read += len(piece)
    return read, digest.hexdigest()


def has_checkpoint(folder: str) -> bool:
    return any(not name.endswith(".tmp") for name in names_in(os.path.join(folder, "checkpoint")))


def numbers_only(*parts: Json) -> Dict[str, float]:
    merged = {}  # type: Dict[str, float]
    for part in parts:
        merged.update({key: value for key, value in part.items() if is_finite(value)})
    return dict(list(merged.items())[:MAX_METRICS])


# An attempt


class Attempt:
    """One attempt that this agent has claimed."""

    def __init__(self, launch: Launch, name: str, offer: Json) -> None:
        self.launch = launch
        self.name = name
        self.offer = offer
        self.trial = str(offer["trial"])
        self.number = int(offer["attempt"])
        self.directory = launch.attempt_folder(self.trial, self.number)
        self.folder = launch.path(self.directory)
        self.reports = Reports(os.path.join(self.folder, "metrics.jsonl"), launch.objectives, launch.report_steps)
        self.slots = []  # type: List[int]
        self.words = []  # type: List[str]
        self.keeper = 0
        self.report_fd = -1
        # The keeper's report, once it is gone, and until when it is not judged.
        self.end = None  # type: Optional[Json]
        self.judged_at = 0.0
        self.started = time.monotonic()
        self.started_at = int(time.time() * 1000)
        self.ending = None  # type: Optional[Ending]
        self.steps_of_end = []  # type: List[Tuple[float, str]]
        self.first_report = None  # type: Optional[float]

    @property
    def run_seconds(self) -> float:
        return time.monotonic() - self.started

    def plan(self, slots: List[int], setting: SlotSetting) -> StartPlan:
        """Command, environment and folder of the start. Raises BadCommand when the campaign's command does not fit."""
        launch, record, offer = self.launch, self.launch.record, self.offer
        bundle = launch.bundle_folder()
        if bundle and not os.path.isdir(bundle):
            raise BadCommand("The folder of the training code is missing ({}).".format(bundle))
        params_file = os.path.join(os.path.dirname(self.folder), "params.json")
        resume = self.resume_folder()
        known = {name: spell(value) for name, value in offer["params"].items()}  # type: Dict[str, Optional[str]]
        known.update(
            python=str(record.get("python") or sys.executable),
            code=bundle,
            out=self.folder,
            params_file=params_file,
            data_dir=record.get("data_dir"),
            trial=self.trial,
            attempt=str(self.number),
            slot=str(slots[0]),
        )
        env = {key: value for key, value in os.environ.items() if key not in ("HOLDFAST_FAILPOINT", "HOLDFAST_TOKEN")}
        env.update({str(key): str(value) for key, value in (record.get("env") or {}).items()})
        env.update(setting.env)
        env.setdefault("PYTHONUNBUFFERED", "1")
        target = offer.get("target_step")
        env.update(
            HOLDFAST_CAMPAIGN=launch.campaign,
            HOLDFAST_TRIAL=self.trial,
            HOLDFAST_ATTEMPT=str(self.number),
            HOLDFAST_PARAMS=params_file,
            HOLDFAST_OUT=self.folder,
            HOLDFAST_SLOT=str(slots[0]),
            HOLDFAST_SLOTS=",".join(str(slot) for slot in slots),
            HOLDFAST_STOP_FILE=os.path.join(self.folder, "stop"),
            HOLDFAST_RESUME_FROM=resume or "",
            HOLDFAST_TARGET_STEP="" if target is None else spell(target),
            HOLDFAST_DATA_DIR=str(record.get("data_dir") or ""),
            HOLDFAST_TOKEN=launch.token(self.name),
            PYTHONPATH=os.pathsep.join(part for part in (HERE, env.get("PYTHONPATH", "")) if part),
        )
        words = [native(expand(str(word), known)) for word in record["command"]]
        if not words:
            raise BadCommand("The campaign has no training command.")
        env = {native(key): native(value) for key, value in env.items()}
        return StartPlan(words, env, bundle or self.folder, self.folder, setting.cpus, int(launch.limits["log_bytes"]))

    def resume_folder(self) -> Optional[str]:
        earlier = self.offer.get("resume_from")
        if earlier is None:
            return None
        folder = self.launch.path(self.launch.attempt_folder(self.trial, int(earlier)))
        return os.path.join(folder, "checkpoint") if has_checkpoint(folder) else None

    def prepare(self) -> None:
        """Folders and params.json. What makes `started` durable makes its folders durable: file systems keep the order of such changes."""
        os.makedirs(self.folder, exist_ok=True)
        params_file = os.path.join(os.path.dirname(self.folder), "params.json")
        if not os.path.exists(params_file):
            write_json(params_file, self.offer["params"], durable=False)

    def mark_started(self, agent: str, token: str) -> int:
        """Makes `started` exclusively: the one moment that decides who starts this attempt. Raises FileExistsError. Returns the locked file."""
        fd = os.open(os.path.join(self.folder, "started"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try_lock(fd)
        try:
            record = {"agent": agent, "host": HOST, "boot_id": boot_id(), "token": token, "at": int(time.time() * 1000)}
            os.write(fd, json.dumps(record).encode("utf-8"))
            # The name decides, not what is in it.
            sync_folder(self.folder)
        except OSError:
            os.close(fd)
            raise
        return fd

    def spawn(self, plan: StartPlan, started_fd: int) -> None:
        """Forks the keeper. Raises OSError when the system refuses a new process."""
        reader, writer = os.pipe()
        held = [signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            pid = os.fork()
            if pid == 0:
                run_keeper(plan, started_fd, writer)
        except OSError:
            os.close(reader)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(writer)
            os.close(started_fd)
        self.keeper = pid
        self.report_fd = reader
        self.started = time.monotonic()
        self.reports.heard = self.started

    def ended(self, log: Log) -> Optional[Json]:
        """The keeper's report once it is gone, else None."""
        if os.waitpid(self.keeper, os.WNOHANG)[0] == 0:
            return None
        with open(self.report_fd, "rb") as stream:
            text = stream.read()
        try:
            return json.loads(text.decode("utf-8"))
        except ValueError:
            # The keeper was killed. What it kept must be gone before its end is on record, or the next attempt runs beside it.
            end_leftovers(os.path.join(self.folder, "started"), os.path.join(self.folder, "process.json"), self.launch.token(self.name), log)
            return read_end(self.folder) or dict(UNKNOWN_END, run_seconds=round(self.run_seconds, 3))

    def begin_end(self, ending: Ending, log: Log) -> None:
        """Asks the training to end: stop file at once, TERM after the grace time, KILL after another, and whatever still lives soon after."""
        if self.ending is not None:
            return
        self.ending = ending
        log("{}: ending it ({}): {}", self.name, ending.problem.kind, ending.problem.message)
        try:
            # The reason first: when this agent dies, the next one must know that the training did not leave of its own accord.
            asked = {"status": ending.status, "class": ending.problem.kind, "message": ending.problem.message}
            write_json(os.path.join(self.folder, "ending.json"), asked, durable=False)
        except OSError as error:
            log("{}: its ending is not on record: {}", self.name, error)
        FAILPOINTS.reach("after-ending")
        try:
            write_whole(os.path.join(self.folder, "stop"), ending.problem.message + "\n", durable=False)
        except OSError as error:
            log("{}: no stop file: {}", self.name, error)
        FAILPOINTS.reach("after-stop-file")
        grace = float(self.launch.limits["grace_seconds"])
        now = time.monotonic()
        self.steps_of_end = [(now + grace, "term"), (now + 2 * grace, "kill"), (now + 2 * grace + 5, "force")]

    def asked_ending(self) -> Optional[Ending]:
        """Why an agent that is dead by now was ending this attempt; None when it was not."""
        asked = read_json(os.path.join(self.folder, "ending.json"))
        if asked is not None and asked.get("status") in ("failed", "stopped", "returned"):
            return Ending(str(asked["status"]), Problem(str(asked.get("class")), str(asked.get("message"))))
        if os.path.exists(os.path.join(self.folder, "stop")):
            return Ending("returned", Problem("returned", "It was asked to end by an agent that died before it could say why."))
        return None

    def hurry(self) -> None:
        """No more grace: TERM now, KILL in two seconds."""
        now = time.monotonic()
        times = {"term": now, "kill": now + 2, "force": now + 7}
        self.steps_of_end = [(min(at, times[step]), step) for at, step in self.steps_of_end]

    def push_end(self, log: Log) -> None:
        # Once it is gone, the keeper's number can be anybody's.
        while self.end is None and self.steps_of_end and time.monotonic() >= self.steps_of_end[0][0]:
            step = self.steps_of_end.pop(0)[1]
            log("{}: {}", self.name, step)
            if step == "term":
                kill(self.keeper, signal.SIGTERM)
            elif step == "kill":
                kill(self.keeper, signal.SIGUSR2)
            else:
                kill(self.keeper, signal.SIGKILL)
                for pid in processes_with({self.launch.token(self.name)}):
                    kill(pid, signal.SIGKILL)

    def record(self, verdict: Verdict, end: Json, pilot: str) -> Json:
        """The done record."""
        problem = verdict.problem
        results = read_results(os.path.join(self.folder, "results.json")).record
        curve = thin(self.reports.curve, MAX_CURVE, set(self.launch.report_steps))
        record = {
            "version": VERSION,
            "campaign": self.launch.campaign,
            "trial": self.trial,
            "attempt": self.number,
            "status": verdict.status,
            "exit_code": end["exit_code"],
            "signal": end["signal"],
            "error": None if problem is None else error_record(problem),
            "values": verdict.values,
            "metrics": numbers_only(self.reports.last, result_metrics(results)),
            "curve": [list(point) for point in curve],
            "step": self.reports.step,
            "started_at": self.started_at,
            "ended_at": int(time.time() * 1000),
            "run_seconds": end["run_seconds"],
            "pilot": pilot,
            "host": HOST,
            "slot": self.slots[0] if self.slots else 0,
            "resumed_from": int(self.offer["resume_from"]) if self.resume_folder() else None,
            "has_checkpoint": has_checkpoint(self.folder),
            "directory": self.directory,
            "files": list_files(self.folder),
        }  # type: Json
        # Generated data: the mark goes wherever the values go. A training that is final is not paused, though it ended below its target step.
        record.update({name: True for name in ("synthetic", "is_final") if (results or {}).get(name) is True})
        return record

    def busy(self) -> Json:
        reports = self.reports
        return {
            "trial": self.trial,
            "attempt": self.number,
            "slot": self.slots[0],
            "run_seconds": round(self.run_seconds, 1),
            "step": reports.step,
            "value": reports.value(),
            "rungs": [list(point) for point in reports.rungs],
            "recent": [list(point) for point in reports.curve[-MAX_RECENT:]],
        }


UNKNOWN_END = {"exit_code": None, "signal": "SIGKILL", "spawn_error": None, "storage": False, "run_seconds": 0}  # type: Json
# Without an agent nobody knows who sent these: the batch system that ended the job, or an agent that was killed while it settled this attempt.
FROM_OUTSIDE = frozenset(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
# As a shell or a launcher hands them on.
CODES_FROM_OUTSIDE = frozenset(128 + signal.Signals[name] for name in FROM_OUTSIDE)
NO_END = {"exit_code": None, "signal": None, "spawn_error": None, "storage": False, "run_seconds": 0}  # type: Json


def is_from_outside(end: Json) -> bool:
    return end["signal"] in FROM_OUTSIDE or end["exit_code"] in CODES_FROM_OUTSIDE


def read_end(folder: str) -> Optional[Json]:
    """A keeper's report in exit.json; None when there is none that can be used."""
    end = read_json(os.path.join(folder, "exit.json"))
    if end is None or not set(NO_END) <= set(end) or not is_number(end["run_seconds"]):
        return None
    return end if isinstance(end["signal"], (str, type(None))) and isinstance(end["exit_code"], (int, type(None))) else None


def error_record(problem: Problem) -> Json:
    record = {"class": problem.kind, "message": problem.message[:500]}
    if problem.stage:
        record["stage"] = problem.stage[:100]
    if problem.evidence:
        record["evidence"] = problem.evidence[-2000:]
    return record


def check_offer(name: str, offer: Optional[Json]) -> Optional[str]:
    """What is wrong with an offer; None when it can be run."""
    if offer is None:
        return "not readable"
    if offer.get("version") != VERSION:
        return "version is {}".format(offer.get("version"))
    if not isinstance(offer.get("params"), dict):
        return "params is no object"
    if "{}.{}".format(offer.get("trial"), offer.get("attempt")) != name:
        return "it names {}.{}".format(offer.get("trial"), offer.get("attempt"))
    return None


# The agent


class Settings(NamedTuple):
    pilot: str
    node: Optional[str]
    slots: int
    slot_settings: List[SlotSetting]
    poll: float
    heartbeat: float
    idle_exit: float
    walltime: float
    stale: float


class Agent:
    """Runs the trials of one launch on this host until it is told to stop, its walltime nears, or nothing was left to do for long."""

    def __init__(self, launch: Launch, settings: Settings) -> None:
        self.launch = launch
        self.settings = settings
        self.name = agent_name(settings.pilot, settings.node)
        self.files = AgentFiles(launch, self.name)
        self.claims = launch.spool("claimed", self.name)
        os.makedirs(self.files.folder, exist_ok=True)
        self.log = Log(self.files.log)
        self.lock_fd = -1
        self.free = list(range(settings.slots))
        self.running = {}  # type: Dict[str, Attempt]
        self.unwritten = {}  # type: Dict[str, Json]
        self.foreign = set()  # type: Set[str]
        # Attempts whose end is told for an agent that is thought dead.
        self.settled = set()  # type: Set[str]
        self.beats = {}  # type: Dict[str, Tuple[Any, float]]
        self.listened = time.monotonic()
        self.ended_tokens = set()  # type: Set[str]
        self.durations = []  # type: List[float]
        self.first_reports = []  # type: List[float]
        self.leaving = None  # type: Optional[Ending]
        self.reason = ""
        self.terms = 0
        self.term_at = 0.0
        self.full_until = 0.0
        self.finished = 0
        self.busy_seconds = 0.0
        self.beat = 0
        self.missing_beats = 0
        self.identity = {}  # type: Json
        # An agent of this name is on record for another host, where it may live on: when we took its name. None: there is none.
        self.succeeded_at = None  # type: Optional[float]
        self.is_succeeded = False
        self.born = time.monotonic()
        self.counted = self.born
        self.last_work = self.born
        self.due = {"heartbeat": 0.0, "recover": 0.0, "stops": 0.0, "reports": 0.0, "sweep": 0.0, "ballast": 0.0, "place": 0.0}
        self.is_changed = True
        self.wake_r, self.wake_w = -1, -1

    # Life

    def take_name(self, wait_seconds: float) -> bool:
        """Takes the lock that says an agent of this name lives here. Another agent that only tests it holds it for an instant, so we ask a while."""
        self.lock_fd = os.open(self.files.lock, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + wait_seconds
        while try_lock(self.lock_fd) is False:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        if try_lock(self.lock_fd) is None and is_process(read_json(self.files.identity)):
            return False
        before, beat = read_json(self.files.identity), read_json(self.files.heartbeat)
        if before is not None and is_of_another_host(before) and (beat is None or beat.get("state") != "ended"):
            # Locks do not reach across hosts everywhere.
            self.succeeded_at = time.monotonic()
        os.makedirs(self.claims, exist_ok=True)
        self.identity = {"pid": os.getpid(), "start_time": process_start(os.getpid()), "boot_id": boot_id(), "host": HOST, "agent": self.name}
        self.identity.update(version=VERSION, python=sys.version.split()[0], slots=self.settings.slots, pilot=self.settings.pilot)
        write_json(self.files.identity, self.identity, durable=False)
        return True

    def listen(self) -> None:
        self.wake_r, self.wake_w = os.pipe()
        os.set_blocking(self.wake_r, False)
        os.set_blocking(self.wake_w, False)
        signal.set_wakeup_fd(self.wake_w)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_term)

    def on_term(self, _number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self.terms == 0 or now - self.term_at >= SAME_REQUEST_SECONDS:
            self.terms += 1
            self.term_at = now

    def run(self) -> int:
        self.listen()
        self.make_ballast()
        self.log(
            "agent {} of {} starts: {} slots, pid {}, python {}", self.name, self.launch.campaign, self.settings.slots, os.getpid(), sys.version.split()[0]
        )
        self.adopt_own_claims()
        # Before the first claim: of an agent on another node this file alone tells that it lives, or no more.
        self.write_heartbeat("running")
        while True:
            self.reap()
            self.look_at_place()
            self.look_at_stops()
            self.look_at_clock()
            self.look_at_running()
            self.recover_others()
            self.renew_ballast()
            if self.may_claim():
                self.fill_slots()
            self.write_heartbeat("draining" if self.leaving else "running")
            if self.is_over():
                break
            self.wait()
        return self.leave()

    def is_over(self) -> bool:
        if self.running:
            return False
        if self.unwritten:
            return self.may_leave_unwritten()
        # Claims that wait for a live agent are found where they lie by whoever comes next.
        if self.leaving:
            return True
        if self.foreign:
            return False
        idle = time.monotonic() - self.last_work
        if self.settings.idle_exit and idle > self.settings.idle_exit:
            self.reason = "nothing to do for {:.0f} s".format(idle)
            return True
        return False

    def may_leave_unwritten(self) -> bool:
        """Whether it waits no longer for a place for its records: it was told twice to end, or that place is no more."""
        return self.terms > 1 or (self.is_homeless and not os.path.isdir(self.launch.spool("done")))

    @property
    def is_homeless(self) -> bool:
        return self.missing_beats >= MISSING_BEATS

    def leave(self) -> int:
        self.sweep(force=True)
        self.log("agent {} ends: {}", self.name, self.reason or "done")
        if self.is_succeeded:
            # Whatever lies there is the other's by now.
            return 0
        self.is_changed = True
        self.due["heartbeat"] = 0
        self.write_heartbeat("ended")
        remove(self.files.ballast)
        try:
            os.rmdir(self.claims)
        except OSError:
            pass
        return 0

    def wait(self) -> None:
        """Sleeps until a keeper ends, a signal comes or the next thing is due."""
        now = time.monotonic()
        pause = self.settings.poll
        if self.settings.poll < 0.1:
            idle = now - self.last_work
            pause = self.settings.poll if idle < 2 else 0.05 if idle < 10 else 0.1
        times = [now + (pause if self.may_claim() else max(pause, 0.1))]
        times += [attempt.steps_of_end[0][0] for attempt in self.running.values() if attempt.steps_of_end and attempt.end is None]
        if self.is_changed:
            times.append(max(self.due["heartbeat"] - self.settings.heartbeat + 0.1, now))
        select.select([self.wake_r], [], [], max(0.001, min(times) - now))
        drain_pipe(self.wake_r)

    def every(self, name: str, seconds: float) -> bool:
        """Whether it is time for something that is done every so many seconds."""
        now = time.monotonic()
        if now < self.due[name]:
            return False
        self.due[name] = now + seconds
        return True

    # Claims and starts

    def may_claim(self) -> bool:
        if self.leaving or len(self.free) < self.launch.slots_per_trial or time.monotonic() < self.full_until:
            return False
        return not self.unwritten and self.has_time_for_another()

    def has_time_for_another(self) -> bool:
        """Near the walltime nothing is started that nine in ten trials would not finish."""
        if not self.settings.walltime:
            return True
        left = self.settings.walltime - self.margin() - (time.monotonic() - self.born)
        if len(self.durations) < 5:
            return left > 0
        ordered = sorted(self.durations)
        return left > ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.9) - 1)]

    def margin(self) -> float:
        """Before the walltime's end, running trials get this long to write checkpoints: 5 minutes or a tenth, whichever is less."""
        return min(300.0, 0.1 * self.settings.walltime)

    def fill_slots(self) -> None:
        names = [name[:-5] for name in names_in(self.launch.spool("ready")) if name.endswith(".json")]
        for name in sorted(names, key=attempt_key):
            if not self.may_claim():
                return
            if self.claim(name):
                self.last_work = time.monotonic()
                self.start_claimed(name)

    def claim(self, name: str) -> bool:
        try:
            os.rename(self.launch.offer_file("ready", name), os.path.join(self.claims, name + ".json"))
        except FileNotFoundError:
            return False
        except OSError as error:
            self.note_storage(error, "claiming " + name)
            return False
        FAILPOINTS.reach("after-claim")
        return True

    def start_claimed(self, name: str) -> None:
        """Starts what lies in our claims; whatever happens, the claim ends in a running attempt, a done record, ready/ or broken/."""
        path = os.path.join(self.claims, name + ".json")
        if self.launch.has_end(name):
            self.log("{}: offered again after its end; dropped", name)
            remove(path)
            return
        offer = read_json(path)
        wrong = check_offer(name, offer) if ATTEMPT_NAME.match(name) else "the file's name is no attempt"
        if wrong is not None or offer is None:
            self.end_unusable(name, path, str(wrong))
            return
        attempt = Attempt(self.launch, name, offer)
        count = self.launch.slots_per_trial
        attempt.slots = self.free[:count]
        stop = self.stop_request(name)
        if stop is not None:
            self.end_unstarted(attempt, Verdict("stopped", Problem("cancelled", stop), None))
            return
        try:
            attempt.prepare()
        except OSError as error:
            self.note_storage(error, "preparing " + name)
            if not is_storage(error):
                # Given back, it would come again at once and keep all others from their turn.
                self.end_unstarted(attempt, Verdict("failed", Problem("filesystem_error", "Its folder cannot be made: {}".format(error)), None))
                return
            self.log("{}: no space for its folder; goes back", name)
            self.give_back(name)
            self.full_until = max(self.full_until, time.monotonic() + 1)
            return
        self.start(attempt)

    def start(self, attempt: Attempt) -> None:
        name = attempt.name
        setting = merge_slots([self.settings.slot_settings[slot] for slot in attempt.slots]) if self.settings.slot_settings else SlotSetting({}, [])
        FAILPOINTS.reach("before-started")
        try:
            started_fd = attempt.mark_started(self.name, self.launch.token(name))
        except FileExistsError:
            self.log("{}: was started before; finding out what became of it", name)
            self.foreign.add(name)
            self.due["recover"] = 0
            return
        except OSError as error:
            self.note_storage(error, "starting " + name)
            self.end_unstarted(attempt, Verdict("failed", Problem("storage" if is_storage(error) else "filesystem_error", str(error)), None))
            return
        FAILPOINTS.reach("after-started")
        try:
            plan = attempt.plan(attempt.slots, setting)
            attempt.words = plan.words
            attempt.spawn(plan, started_fd)
        except BadCommand as error:
            os.close(started_fd)
            self.end_unstarted(attempt, Verdict("failed", Problem("configuration_error", str(error)), None))
            return
        except OSError as error:
            self.end_unstarted(attempt, Verdict("failed", Problem("node_failure", "{} refuses new processes: {}".format(HOST, error)), None))
            return
        FAILPOINTS.reach("after-spawn")
        self.free = self.free[len(attempt.slots) :]
        self.running[name] = attempt
        self.is_changed = True
        self.log("{}: started on slot {}", name, attempt.slots[0])

    def end_unstarted(self, attempt: Attempt, verdict: Verdict) -> None:
        self.write_end(attempt.name, attempt.record(verdict, NO_END, self.settings.pilot))

    def end_unusable(self, name: str, path: str, wrong: str) -> None:
        """An offer that cannot be read is kept in broken/, and its attempt ends as one that failed: its trial goes on with another."""
        kept = self.launch.offer_file("broken", name)
        self.log("{}: bad offer ({}); kept in broken/", name, wrong)
        if ATTEMPT_NAME.match(name):
            try:
                os.link(path, kept)
            except OSError as error:
                self.log("{}: not linked ({})", name, error)
            problem = Problem("filesystem_error", "The offer cannot be used: {}. It is kept in spool/broken/.".format(wrong))
            self.end_unstarted(Attempt(self.launch, name, nameless_offer(name)), Verdict("failed", problem, None))
            if name in self.unwritten or not os.path.exists(path):
                return
        self.move(path, kept)

    def give_back(self, name: str) -> None:
        self.move(os.path.join(self.claims, name + ".json"), self.launch.offer_file("ready", name))
        FAILPOINTS.reach("after-give-back")

    def move(self, source: str, target: str) -> None:
        try:
            os.rename(source, target)
        except OSError as error:
            self.log("cannot move {}: {}", source, error)

    # Ends

    def reap(self) -> None:
        for name, attempt in list(self.running.items()):
            if attempt.end is None:
                try:
                    attempt.end = attempt.ended(self.log)
                except ChildProcessError:
                    attempt.end = dict(UNKNOWN_END, run_seconds=round(attempt.run_seconds, 3))
                if attempt.end is None:
                    continue
                # Who ends a job kills the agent as well, perhaps an instant later: then this is not the training's own end.
                attempt.judged_at = time.monotonic() + OUTSIDE_SECONDS if is_from_outside(attempt.end) else 0.0
            # Nor once our own signal is there: look_at_stops makes it the reason of this end, however late we come to it.
            if attempt.ending is None and attempt.judged_at and (self.terms or time.monotonic() < attempt.judged_at):
                continue
            end = attempt.end
            del self.running[name]
            self.free = sorted(self.free + attempt.slots)
            self.ended_tokens.add(self.launch.token(name))
            self.last_work = time.monotonic()
            self.is_changed = True
            self.finish(attempt, end)
        for name, record in list(self.unwritten.items()):
            if time.monotonic() >= self.full_until:
                self.write_end(name, record)

    def finish(self, attempt: Attempt, end: Json) -> None:
        attempt.reports.finish()
        verdict = judge(self.launch, attempt.folder, end, attempt.ending, attempt.reports, attempt.words)
        if verdict.status == "completed":
            self.durations = (self.durations + [end["run_seconds"]])[-200:]
        self.finished += 1
        if end["storage"] or (verdict.problem and verdict.problem.kind == "storage"):
            self.hold("the disk was full at the end of " + attempt.name)
        self.write_end(attempt.name, attempt.record(verdict, end, self.settings.pilot))

    def write_end(self, name: str, record: Json) -> None:
        """The done record, then the removal of the claim; in this order a crash between them loses nothing."""
        FAILPOINTS.reach("before-done")
        if name in self.settled and self.launch.has_end(name):
            # Its agent was thought dead and was not, or another has settled it.
            self.log("{}: has its end on record by now", name)
            self.unwritten.pop(name, None)
            remove(os.path.join(self.claims, name + ".json"))
            return
        try:
            self.write_done(name, record)
        except OSError as error:
            self.unwritten[name] = record
            self.note_storage(error, "writing the end of " + name)
            self.full_until = max(self.full_until, time.monotonic() + 1)
            return
        FAILPOINTS.reach("after-done")
        self.unwritten.pop(name, None)
        remove(self.launch.spool("stop", name))
        error = record["error"]
        self.log("{}: {}{}", name, record["status"], "" if error is None else " ({}) {}".format(error["class"], error["message"]))
        FAILPOINTS.reach("before-unclaim")
        remove(os.path.join(self.claims, name + ".json"))

    def write_done(self, name: str, record: Json) -> None:
        path = self.launch.offer_file("done", name)
        try:
            write_json(path, record, durable=True)
        except OSError as error:
            if not is_storage(error) or not os.path.exists(self.files.ballast):
                raise
            # Given up for this alone and used at once, before a training takes the space.
            remove(self.files.ballast)
            write_json(path, record, durable=True)

    # Full disks

    def make_ballast(self) -> None:
        """Space that is given up when the disk is full, so that the done records of what has run still fit."""
        try:
            with open(self.files.ballast, "wb") as stream:
                stream.write(os.urandom(BALLAST_BYTES))
        except OSError as error:
            self.log("no ballast: {}", error)

    def renew_ballast(self) -> None:
        """Once there is space again, the disk may fill a second time."""
        if self.full_until == 0 or self.unwritten or time.monotonic() < self.full_until + BALLAST_SECONDS or not self.every("ballast", BALLAST_SECONDS):
            return
        if not os.path.exists(self.files.ballast) and free_bytes(self.files.folder) > 4 * BALLAST_BYTES:
            self.make_ballast()

    def note_storage(self, error: OSError, what: str) -> None:
        if is_storage(error):
            self.hold("{}: {}".format(what, error))
        else:
            self.log("{}: {}", what, error)

    def hold(self, why: str) -> None:
        """Takes nothing new for some seconds: on a full disk every start would fail."""
        if time.monotonic() >= self.full_until:
            self.log("no space left; nothing is started for 5 s: {}", why)
        self.full_until = time.monotonic() + 5

    # Requests from outside

    def look_at_place(self) -> None:
        """
        Without its lock file the agent has no name any more: its launch folder was removed or moved (another may be there already), nothing that it runs
        can leave a result, and nobody can ask it to stop. Its name is another's where locks do not reach across hosts and the batch system has started the
        job anew on another one: of the two, the later lives.
        """
        if self.is_homeless or self.is_succeeded or not self.every("place", self.settings.heartbeat):
            return
        held = None
        try:
            held = os.fstat(self.lock_fd)
            if os.path.samestat(held, os.stat(self.files.lock)):
                self.missing_beats = 0
                self.look_for_successor()
                return
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                return
        self.missing_beats = MISSING_BEATS if held is not None and held.st_nlink == 0 else self.missing_beats + 1
        if self.is_homeless:
            self.go("returned", "returned", "The agent's place in {} was removed or moved.".format(self.launch.folder))
            for attempt in self.running.values():
                attempt.hurry()

    def look_for_successor(self) -> None:
        named = read_json(self.files.identity)
        if named is None or all(named.get(key) == self.identity.get(key) for key in ("pid", "start_time", "boot_id", "host")):
            return
        self.is_succeeded = True
        self.go("returned", "returned", "An agent on {} has the name {} now.".format(named.get("host"), self.name))
        for attempt in self.running.values():
            attempt.hurry()

    def stop_request(self, name: str) -> Optional[str]:
        """The reason in a stop file for this attempt, None when there is none."""
        try:
            with open(self.launch.spool("stop", name), encoding="utf-8", errors="replace") as stream:
                return stream.read(500).strip() or "Stopped on request."
        except OSError:
            return None

    def look_at_stops(self) -> None:
        if self.terms and not self.leaving:
            self.go("returned", "returned", "The agent was told to end (SIGTERM).")
        if self.terms > 1:
            for attempt in self.running.values():
                attempt.hurry()
        if not self.every("stops", max(self.settings.poll, 0.1)):
            return
        asked = set(names_in(self.launch.spool("stop")))
        if not asked:
            return
        for name in asked & set(self.running):
            ending = Ending("stopped", Problem("cancelled", self.stop_request(name) or "Stopped on request."))
            self.running[name].begin_end(ending, self.log)
        if "all" in asked:
            self.go("stopped", "cancelled", self.stop_request("all") or "Everything is stopped.")
        elif "pilot-" + file_name(self.settings.pilot) in asked:
            self.go("returned", "returned", "The pilot was told to stop: {}".format(self.stop_request("pilot-" + file_name(self.settings.pilot))))

    def go(self, status: str, kind: str, message: str) -> None:
        """Ends the agent: nothing new, what runs is stopped with this status."""
        if self.leaving is None:
            self.log("leaving: {}", message)
            self.leaving = Ending(status, Problem(kind, message))
            self.reason = message
            self.is_changed = True
        for attempt in self.running.values():
            attempt.begin_end(self.leaving, self.log)

    def look_at_clock(self) -> None:
        if not self.settings.walltime or self.leaving:
            return
        age = time.monotonic() - self.born
        if age >= self.settings.walltime - self.margin():
            self.go("returned", "walltime", "The pilot's walltime of {:.0f} s nears.".format(self.settings.walltime))
        elif not self.running and not self.has_time_for_another():
            self.go("returned", "walltime", "What is left of the walltime is too short for another trial.")

    # What runs

    def look_at_running(self) -> None:
        now = time.monotonic()
        for attempt in self.running.values():
            attempt.push_end(self.log)
        self.busy_seconds += (now - self.counted) * (self.settings.slots - len(self.free))
        self.counted = now
        if not self.every("reports", min(self.settings.heartbeat, 1.0)):
            return
        for attempt in self.running.values():
            rungs = len(attempt.reports.rungs)
            attempt.reports.read()
            if attempt.reports.lines and attempt.first_report is None:
                attempt.first_report = attempt.run_seconds
                self.first_reports = (self.first_reports + [attempt.first_report])[-50:]
            if len(attempt.reports.rungs) > rungs:
                self.is_changed = True
            self.apply_limits(attempt)
        self.sweep(force=False)

    def apply_limits(self, attempt: Attempt) -> None:
        limits = self.launch.limits
        seconds = limits.get("trial_seconds")
        if attempt.ending is not None or attempt.end is not None:
            return
        if seconds and attempt.run_seconds > seconds:
            message = "The trial ran longer than limits.trial_seconds = {:g} s.".format(seconds)
            attempt.begin_end(Ending("failed", Problem("timeout", message)), self.log)
            return
        usual = self.usual_gap(attempt)
        if not limits["hang_factor"] or usual is None:
            return
        silence = time.monotonic() - attempt.reports.heard
        if silence > max(limits["hang_min_seconds"], limits["hang_factor"] * usual):
            message = "No report for {:.0f} s; {:.3g} s are usual.".format(silence, usual)
            attempt.begin_end(Ending("failed", Problem("hang", message)), self.log)

    def usual_gap(self, attempt: Attempt) -> Optional[float]:
        """Median gap between this attempt's own reports; before its first one, the median time to the first report of at least three others."""
        gaps = attempt.reports.gaps or (self.first_reports if len(self.first_reports) >= 3 else [])
        return sorted(gaps)[len(gaps) // 2] if gaps else None

    def sweep(self, force: bool) -> None:
        """Kills what ended attempts left behind outside their process group, found by the token in the environment."""
        if not self.ended_tokens or not (force or self.every("sweep", 1.0)):
            return
        for pid in processes_with(self.ended_tokens):
            self.log("killing the leftover process {}", pid)
            kill(pid, signal.SIGKILL)
        self.ended_tokens.clear()

    # Heartbeat

    def write_heartbeat(self, state: str) -> None:
        if self.is_succeeded:
            return
        now = time.monotonic()
        since = now - (self.due["heartbeat"] - self.settings.heartbeat)
        if now < self.due["heartbeat"] and not (self.is_changed and since >= 0.1):
            return
        self.due["heartbeat"] = now + self.settings.heartbeat
        self.is_changed = False
        self.beat += 1
        record = {
            "version": VERSION,
            "pilot": self.settings.pilot,
            "agent": self.name,
            "host": HOST,
            "pid": os.getpid(),
            "beat": self.beat,
            "state": state,
            "slots": self.settings.slots,
            "busy": [attempt.busy() for _, attempt in sorted(self.running.items())],
            "allocated_slot_seconds": round((now - self.born) * self.settings.slots, 3),
            "busy_slot_seconds": round(self.busy_seconds, 3),
            "finished": self.finished,
        }
        if self.reason:
            record["reason"] = self.reason[:500]
        try:
            write_json(self.files.heartbeat, record, durable=False)
        except OSError as error:
            self.note_storage(error, "heartbeat")

    # What dead agents left

    def adopt_own_claims(self) -> None:
        """An earlier agent of this name is dead, or we would not hold its lock: its claims are ours to resolve."""
        for name in names_in(self.claims):
            if name.endswith(".json"):
                self.foreign.add(name[:-5])

    def recover_others(self) -> None:
        period = max(1.0, 2 * self.settings.poll)
        if self.is_succeeded or not self.every("recover", period):
            return
        if self.succeeded_at is not None:
            # What the other claims under our name until it hears of us.
            self.adopt_own_claims()
        if time.monotonic() - self.listened > max(2 * period, self.settings.stale / 2):
            # Who stood still itself, as all do while a file system hangs, has heard nobody meanwhile and takes nobody for dead.
            self.beats.clear()
        self.listened = time.monotonic()
        for agent in names_in(self.launch.spool("claimed")):
            if agent == self.name:
                continue
            folder = self.launch.spool("claimed", agent)
            claims = [name for name in names_in(folder) if name.endswith(".json")]
            if not claims or self.is_alive(agent):
                continue
            self.log("agent {} is dead and left {} claims", agent, len(claims))
            for claim in claims:
                # By rename: of several agents that see the dead one, exactly one takes each claim.
                try:
                    os.rename(os.path.join(folder, claim), os.path.join(self.claims, claim))
                except OSError:
                    continue
                self.foreign.add(claim[:-5])
                FAILPOINTS.reach("after-takeover")
        for name in sorted(self.foreign, key=attempt_key):
            try:
                if self.resolve(name):
                    self.foreign.discard(name)
            except OSError as error:
                # One folder that cannot be read must not keep the agent from everything else.
                self.log("{}: cannot be settled now: {}", name, error)
            # Leftovers may take their time to die; agents on other nodes must not take this one for dead meanwhile.
            self.write_heartbeat("draining" if self.leaving else "running")

    def is_alive(self, agent: str) -> bool:
        files = AgentFiles(self.launch, agent)
        identity = read_json(files.identity)
        if identity is not None and identity.get("host") == HOST:
            if identity.get("boot_id") != boot_id():
                return False
            return is_locked(files.lock, identity)
        heartbeat = read_json(files.heartbeat)
        if heartbeat is not None and heartbeat.get("state") == "ended":
            return False
        beat = None if heartbeat is None else heartbeat.get("beat")
        now = time.monotonic()
        known = self.beats.get(agent)
        # On a full disk nobody's heart can be heard.
        if known is None or known[0] != beat or now < self.full_until:
            self.beats[agent] = (beat, now)
            return True
        return now - known[1] < self.settings.stale

    def may_have_a_predecessor(self) -> bool:
        """Whether an agent of our name may still end its trainings on another host: it hears of us at its next beat, if it lives."""
        return self.succeeded_at is not None and time.monotonic() - self.succeeded_at < self.settings.stale

    def resolve(self, name: str) -> bool:
        """Finds out what became of a claimed attempt that we did not start. True when the claim is settled."""
        path = os.path.join(self.claims, name + ".json")
        if name in self.running or name in self.unwritten:
            # Offered a second time: the claim is that of the start that we know of.
            return True
        if self.launch.has_end(name):
            self.log("{}: has its end on record", name)
            remove(self.launch.spool("stop", name))
            remove(path)
            return True
        if not os.path.lexists(path):
            # Somebody has taken us for dead and settles it.
            return True
        offer = read_json(path)
        wrong = check_offer(name, offer) if ATTEMPT_NAME.match(name) else "the file's name is no attempt"
        if not ATTEMPT_NAME.match(name):
            self.move(path, self.launch.offer_file("broken", name))
            return True
        attempt = Attempt(self.launch, name, offer if offer is not None and wrong is None else nameless_offer(name))
        started_path = os.path.join(attempt.folder, "started")
        if not os.path.exists(started_path):
            stop = self.stop_request(name)
            if wrong is not None:
                self.end_unusable(name, path, wrong)
            elif stop is not None:
                self.end_unstarted(attempt, Verdict("stopped", Problem("cancelled", stop), None))
            else:
                self.log("{}: was claimed but never started; goes back", name)
                self.give_back(name)
            return True
        started = read_started(started_path)
        starter = str(started.get("agent"))
        if starter and starter != self.name and self.is_alive(starter):
            return False
        if starter == self.name and is_of_another_host(started) and self.may_have_a_predecessor():
            return False
        self.settle(attempt, started, started_path)
        return True

    def settle(self, attempt: Attempt, started: Json, started_path: str) -> None:
        """Writes the end of an attempt whose agent is dead: the real one where the keeper could tell it, else why it was ended or that it is lost."""
        name = attempt.name
        self.settled.add(name)
        attempt.started_at = int(started.get("at") or attempt.started_at)
        is_here = started.get("host", HOST) == HOST and started.get("boot_id", boot_id()) == boot_id()
        was_killed = end_leftovers(started_path, os.path.join(attempt.folder, "process.json"), self.launch.token(name), self.log) if is_here else False
        FAILPOINTS.reach("after-leftovers")
        end = read_end(attempt.folder)
        attempt.ending = attempt.asked_ending()
        is_own = end is not None and not was_killed and not is_from_outside(end) and (is_here or self.is_whole(attempt, end))
        if not is_own and attempt.ending is None:
            stop = self.stop_request(name)
            attempt.ending = None if stop is None else Ending("stopped", Problem("cancelled", stop))
        if is_own or attempt.ending is not None:
            self.log("{}: {} while no agent lived", name, "ended by itself" if is_own else "is ended as its agent was asked to")
            self.finish(attempt, NO_END if end is None else end)
            return
        kind = "lost" if is_here else "node_failure"
        message = "The agent {} on {} died while the attempt ran.".format(started.get("agent"), started.get("host"))
        attempt.reports.finish()
        record = attempt.record(Verdict("failed", Problem(kind, message), None), NO_END, self.settings.pilot)
        self.write_end(name, record)

    def is_whole(self, attempt: Attempt, end: Json) -> bool:
        """Whether the files of another node or another boot fit the end that they tell: a power cut may keep exit.json and lose the result."""
        attempt.reports.finish()
        problem = judge(self.launch, attempt.folder, end, None, attempt.reports, []).problem
        return end["exit_code"] != 0 or problem is None or problem.kind not in ("bad_result", "no_metric")


def nameless_offer(name: str) -> Json:
    """What is known of an attempt whose offer cannot be read."""
    trial, attempt = name.rsplit(".", 1)
    return {"version": VERSION, "trial": trial, "attempt": int(attempt), "params": {}}


def read_started(path: str) -> Json:
    """`started`; unreadable, it is of an agent that writes it right now or, after a while, of one that was killed in the act."""
    deadline = time.monotonic() + 2
    while True:
        started = read_json(path)
        if started is not None or time.monotonic() > deadline:
            return started or {"agent": ""}
        time.sleep(0.1)


def is_locked(path: str, identity: Optional[Json]) -> bool:
    """Whether a live agent on this host holds a lock file. Where there are no locks, its process is looked for."""
    try:
        fd = os.open(path, os.O_RDWR)
    except OSError:
        return is_process(identity)
    try:
        got = try_lock(fd)
        return is_process(identity) if got is None else not got
    finally:
        os.close(fd)


def end_leftovers(started_path: str, process_path: str, token: str, log: Log) -> bool:
    """
    Kills what still runs of an attempt on this host and waits until it is gone. True when there was something to kill. The keeper holds the
    lock on `started` from before the fork to its end, so a free lock and no process with the token mean that nothing can start any more.
    """
    was_killed = False
    deadline = time.monotonic() + 30
    fd = os.open(started_path, os.O_RDWR)
    try:
        while True:
            process = read_json(process_path)
            leftovers = set(processes_with({token}))
            if is_process(process) and process is not None:
                leftovers.add(process["pid"])
                kill_group(process["pid"], signal.SIGKILL)
            for pid in leftovers:
                log("killing the leftover process {} of a dead agent", pid)
                kill(pid, signal.SIGKILL)
                was_killed = True
            if (not leftovers and try_lock(fd) is not False) or time.monotonic() > deadline:
                return was_killed
            time.sleep(0.02)
    finally:
        os.close(fd)


# One trial


def run_one(launch: Launch, offer: Json, settings: Settings) -> Tuple[int, Json]:
    """Runs a single attempt, at most once however often it is called, and returns its done record."""
    name = "{}.{}".format(offer.get("trial"), offer.get("attempt"))
    wrong = check_offer(name, offer) if ATTEMPT_NAME.match(name) else "it names no attempt"
    if wrong is not None:
        raise LaunchError("The offer cannot be run: {}.".format(wrong))
    known = known_end(launch, name)
    if known is not None:
        return known
    agent = Agent(launch, settings)
    elsewhere = EXIT_RUNNING_ELSEWHERE, {"state": "running_elsewhere", "name": name}  # type: Tuple[int, Json]
    if not agent.take_name(2):
        return known_end(launch, name) or elsewhere
    # There is nothing else to do meanwhile, and who asks for an attempt again has waited for the other's beats.
    agent.succeeded_at = None
    agent.listen()
    agent.make_ballast()
    agent.adopt_own_claims()
    agent.write_heartbeat("running")
    agent.recover_others()
    if not agent.foreign and known_end(launch, name) is None and (agent.claim(name) or claim_directly(agent, name, offer)):
        agent.start_claimed(name)
    while agent.running or agent.unwritten:
        agent.reap()
        agent.look_at_place()
        agent.look_at_stops()
        agent.look_at_clock()
        agent.look_at_running()
        agent.write_heartbeat("running")
        # As run does: it waits no longer for a place for the record, and says it to its caller alone.
        if not agent.running and agent.may_leave_unwritten():
            break
        if agent.running or agent.unwritten:
            agent.wait()
    agent.recover_others()
    agent.leave()
    unwritten = agent.unwritten.get(name)
    return known_end(launch, name) or (elsewhere if unwritten is None else (0, unwritten))


def known_end(launch: Launch, name: str) -> Optional[Tuple[int, Json]]:
    for queue in ("done", "collected"):
        record = read_json(launch.offer_file(queue, name))
        if record is not None:
            return 0, record
    if os.path.exists(launch.offer_file("withdrawn", name)) and not os.path.exists(launch.offer_file("ready", name)):
        return 0, {"state": "withdrawn", "name": name}
    return None


def claim_directly(agent: Agent, name: str, offer: Json) -> bool:
    """An offer that came with the call instead of through ready/: the claim is made here, unless somebody else has it."""
    for other in names_in(agent.launch.spool("claimed")):
        if os.path.exists(agent.launch.spool("claimed", other, name + ".json")):
            return False
    write_json(os.path.join(agent.claims, name + ".json"), offer, durable=False)
    return True


# Command line


def read_slot_settings(path: Optional[str], slots: int) -> List[SlotSetting]:
    if path is None:
        return []
    with open(path, encoding="utf-8") as stream:
        rows = json.load(stream)
    if not isinstance(rows, list) or len(rows) < slots:
        raise LaunchError("{} must be a list with a row for each of the {} slots.".format(path, slots))
    return [SlotSetting({str(k): str(v) for k, v in (row.get("env") or {}).items()}, [int(cpu) for cpu in row.get("cpus") or []]) for row in rows]


def settings_of(args: argparse.Namespace, pilot: str, slots: int) -> Settings:
    stale = args.stale if args.stale is not None else max(60.0, 12 * args.heartbeat)
    rows = read_slot_settings(args.slot_env, slots)
    return Settings(pilot, args.node, slots, rows, args.poll, args.heartbeat, args.idle_exit, args.walltime, stale)


def command_run(args: argparse.Namespace) -> int:
    launch = Launch(args.launch)
    if args.slots < launch.slots_per_trial:
        raise LaunchError("The pilot has {} slots, but one trial needs {}.".format(args.slots, launch.slots_per_trial))
    agent = Agent(launch, settings_of(args, args.pilot, args.slots))
    if not agent.take_name(2):
        sys.stderr.write("An agent for {} lives already.\n".format(args.pilot))
        return EXIT_ANOTHER_LIVES
    return agent.run()


def command_one(args: argparse.Namespace) -> int:
    launch = Launch(args.launch)
    with sys.stdin if args.offer == "-" else open(args.offer, encoding="utf-8") as stream:
        offer = json.load(stream)
    name = "{}.{}".format(offer.get("trial"), offer.get("attempt"))
    code, record = run_one(launch, offer, settings_of(args, args.pilot or "one-" + name, launch.slots_per_trial))
    sys.stdout.write(json.dumps(record, sort_keys=True) + "\n")
    return code


def command_recover(args: argparse.Namespace) -> int:
    """Settles what dead agents of this host left, without running anything new."""
    agent = Agent(Launch(args.launch), settings_of(args, "recover", 0))
    if not agent.take_name(30):
        sys.stderr.write("Another recovery of this launch is under way.\n")
        return EXIT_ANOTHER_LIVES
    agent.adopt_own_claims()
    agent.recover_others()
    deadline = time.monotonic() + 30
    while agent.unwritten and time.monotonic() < deadline:
        time.sleep(0.5)
        agent.reap()
    return agent.leave() or (EXIT_UNWRITTEN if agent.unwritten else 0)


def command_version(_args: argparse.Namespace) -> int:
    with open(os.path.abspath(__file__), "rb") as stream:
        digest = hashlib.sha256(stream.read()).hexdigest()
    sys.stdout.write(json.dumps({"protocol": VERSION, "sha256": digest, "python": sys.version.split()[0]}) + "\n")
    return 0


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent.py", description="Runs Holdfast trials from a spool folder.")
    commands = parser.add_subparsers(dest="command")
    commands.required = True
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--launch", required=True, help="the launch folder")
    common.add_argument("--node", help="this node's name, in pilots of several nodes")
    common.add_argument("--poll", type=float, default=2.0, help="seconds between looks into ready/ and stop/ (0.02 is right on a local disk)")
    common.add_argument("--heartbeat", type=float, default=10.0, help="seconds between heartbeats")
    common.add_argument("--idle-exit", type=float, default=0.0, help="end after so many seconds without work; 0 = never")
    common.add_argument("--walltime", type=float, default=0.0, help="seconds until the batch job is killed; 0 = no limit")
    common.add_argument("--slot-env", help="JSON file: per slot {env: {...}, cpus: [...]}")
    common.add_argument("--stale", type=float, help="seconds without a beat after which an agent on another host counts as dead")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str, parents: List[argparse.ArgumentParser]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=parents, help=text)
        command.set_defaults(function=function)
        return command

    run = add("run", command_run, "run trials until told to stop", [common])
    run.add_argument("--pilot", required=True)
    run.add_argument("--slots", type=int, required=True)
    one = add("one", command_one, "run one attempt and print its done record", [common])
    one.add_argument("--offer", required=True, help="JSON file of the offer, - for standard input")
    one.add_argument("--pilot")
    add("recover", command_recover, "settle what dead agents left", [common])
    add("version", command_version, "protocol version and hash of this file", [])
    return parser.parse_args(argv)


def main(argv: Optional[List[str]] = None) -> int:
    args = parse(argv)
    try:
        return args.function(args)
    except LaunchError as error:
        sys.stderr.write(str(error) + "\n")
        return 4
    except OSError as error:
        if not is_storage(error):
            raise
        try:
            sys.stderr.write("The agent has no space for its own files: {}\n".format(error))
        except OSError:
            # Standard error is a file of the same disk.
            pass
        return EXIT_NO_SPACE


if __name__ == "__main__":
    sys.exit(main())
