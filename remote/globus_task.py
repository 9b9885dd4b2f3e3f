"""What a Globus Compute worker executes for Holdfast: one function, sent as source text, that names an operation.

Standard library only, Python 3.6 or newer. The worker executes this text in an empty namespace and calls holdfast_task(request); requests and
answers are JSON. Every operation can be repeated: what a first call did, a second one finds. Files are written beside their place, fsynced, renamed.
"""

import base64
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zlib
from typing import Any, Dict, List, Optional, Tuple

try:
    from importlib import metadata
except ImportError:  # Python 3.7 and older
    metadata = None  # type: ignore[assignment]

Json = Dict[str, Any]
HOST = socket.gethostname()
RUNNING_ELSEWHERE = 75
SYNC_SECONDS = 60


def holdfast_task(request: Json) -> Json:
    return OPERATIONS[request["op"]](request)


# Files


def place(path: str) -> str:
    return os.path.abspath(os.path.expandvars(os.path.expanduser(path)))


def within(folder: str, relative: str) -> str:
    """A path below a folder; anything that leads out of it is refused."""
    path = os.path.normpath(os.path.join(folder, relative))
    if path != folder and not path.startswith(folder.rstrip("/") + "/"):
        raise ValueError("{!r} leads out of {}".format(relative, folder))
    return path


def write_whole(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = "{}.{}.{}.tmp".format(path, HOST, os.getpid())
    with open(temporary, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(temporary, path)


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


def read_json(path: str) -> Optional[Json]:
    try:
        with open(path, "rb") as stream:
            record = json.loads(stream.read().decode("utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def names_in(folder: str) -> List[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def agent_file(launch: str, name: str, suffix: str) -> str:
    return os.path.join(launch, "pilots", "one-" + name, suffix)


# Facts


def probe(request: Json) -> Json:
    """Who and where the worker is; proves that the base folder can be written."""
    base = place(request["base"])
    os.makedirs(base, exist_ok=True)
    mark = os.path.join(base, ".holdfast-probe-{}-{}".format(HOST, os.getpid()))
    write_whole(mark, b"")
    os.unlink(mark)
    return {
        "host": HOST,
        "base": base,
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "prefix": sys.prefix,
        "cwd": os.getcwd(),
        "free_bytes": shutil.disk_usage(base).free,
        "endpoint_version": endpoint_version(),
        "environment": {key: os.environ[key] for key in request.get("environment", []) if key in os.environ},
    }


def endpoint_version() -> Optional[str]:
    """Of the endpoint whose worker this is; the service only knows what it registered with."""
    if metadata is None:
        return None
    try:
        return str(metadata.version("globus-compute-endpoint"))
    except metadata.PackageNotFoundError:  # found by PYTHONPATH alone
        return None


def hello(request: Json) -> Json:
    seconds = float(request.get("seconds", 0))
    time.sleep(seconds)
    names = ["ZE_AFFINITY_MASK", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "PMI_RANK", "PARSL_WORKER_RANK", "OMP_NUM_THREADS"]
    return {
        "message": "Hello from {}!".format(HOST),
        "host": HOST,
        "pid": os.getpid(),
        "timestamp": time.time(),
        "environment": {key: os.environ[key] for key in names if key in os.environ},
        "index": request.get("index"),
    }


CHECK = """
import importlib.util, json, os, sys
facts = {"python": sys.version.split()[0], "prefix": sys.prefix, "modules": {}}
for name in json.loads(sys.argv[1]):
    try:
        found = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        found = False
    facts["modules"][name] = found
if facts["modules"].get("torch"):
    try:
        import torch
        facts["torch"] = {"version": torch.__version__}
        device = "cpu"
        for kind in ("xpu", "cuda"):
            part = getattr(torch, kind, None)
            if part is not None and part.is_available():
                device = kind
                facts["torch"].update(device=kind, count=part.device_count(), name=part.get_device_name(0), current=part.current_device())
        ones = torch.ones(256, 256, device=device)
        facts["torch"]["product"] = float((ones @ ones).sum())
        from importlib.metadata import distributions
        for found in distributions(name="intel_extension_for_pytorch"):
            facts["torch"]["ipex"] = found.version
    except Exception as error:
        facts["torch"] = {"error": repr(error)[:500]}
print("holdfast-facts " + json.dumps(facts))
"""


def shell_words(request: Json, words: List[str]) -> List[str]:
    """
    Setup lines (modules, virtual environments) come before the words; the words stay words. What the lines print is none of the words' answer, and what
    comes on standard input is not theirs to read.
    """
    setup = [line for line in request.get("setup") or [] if line.strip()]
    if not setup:
        return words
    return ["/bin/bash", "-c", "set -e\n{\n" + "\n".join(setup) + '\n} >&2 </dev/null\nset +e\nexec "$@"', "holdfast", *words]


# Lines of files that are sourced count by the end of `source` alone: activation scripts are full of tests that fail.
FAILING_LINE = 'trap \'code=$?; [ -n "${BASH_SOURCE[0]-}" ] || { printf "holdfast-line %s %s\\n" "$LINENO" "$code"; exit 97; }\' ERR\n'


def first_failing_line(script: str, environment: Dict[str, str]) -> Optional[str]:
    """Runs shell lines one after the other and says which fails first, with its exit code; None when all of them work."""
    words = ["/bin/bash", "-c", FAILING_LINE + script]
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, env=environment)
    told = [line.split() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.startswith("holdfast-line ")]
    said = done.stderr.decode("utf-8", "replace").strip()[-500:]
    if told:
        number = int(told[-1][1]) - FAILING_LINE.count("\n")
        lines = script.splitlines()
        line = lines[number - 1].strip() if 0 < number <= len(lines) else "?"
        return "line {} ended with {}: {}{}".format(number, told[-1][2], line, " ({})".format(said) if said else "")
    return "it ended with {}: {}".format(done.returncode, said) if done.returncode != 0 else None


def check_lines(request: Json, answer: Json, environment: Dict[str, str]) -> None:
    """The endpoint's own worker_init, which a batch job runs to its end whatever fails in it."""
    script = request.get("worker_init") or ""
    if not script.strip():
        return
    try:
        failing = first_failing_line(script, environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        failing = str(error)[:1500]
    if failing is not None:
        answer["problems"].append({"code": "worker_init", "message": failing})


def setup_failure(request: Json, environment: Dict[str, str]) -> str:
    script = "\n".join(request.get("setup") or [])
    failing = first_failing_line(script, environment) if script.strip() else None
    return "" if failing is None else ", setup: {}".format(failing)


def check(request: Json) -> Json:
    """The environment in which trainings run: worker_init, Python, modules, torch and devices, data set readable from this node."""
    words = shell_words(request, [request.get("python") or sys.executable, "-c", CHECK, json.dumps(request.get("modules") or [])])
    answer = {"host": HOST, "problems": []}  # type: Json
    environment = dict(os.environ, **(request.get("env") or {}))
    try:
        done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, env=environment)
        text = done.stdout.decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if line.startswith("holdfast-facts ")]
        if lines:
            answer.update(json.loads(lines[-1].split(" ", 1)[1]))
        else:
            said = (text + done.stderr.decode("utf-8", "replace")).strip()[-1500:]
            failing = setup_failure(request, environment)
            message = "setup or python failed (exit {}){}: {}".format(done.returncode, failing, said)
            answer["problems"].append({"code": "environment", "message": message})
    except (OSError, subprocess.TimeoutExpired) as error:
        answer["problems"].append({"code": "environment", "message": str(error)[:1500]})
    check_lines(request, answer, environment)
    for name, found in sorted((answer.get("modules") or {}).items()):
        if not found:
            answer["problems"].append({"code": "module", "message": "Python module {} is missing".format(name)})
    check_data(request, answer)
    return answer


CIFAR100 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}


def md5_of(data: bytes) -> str:
    """A checksum, no protection: hardened (FIPS) builds of Python allow it only when told so, those before 3.9 take no such word."""
    try:
        return hashlib.new("md5", data, usedforsecurity=False).hexdigest()
    except TypeError:
        return hashlib.new("md5", data).hexdigest()


def check_data(request: Json, answer: Json) -> None:
    data = os.environ.get("CIFAR100_DATA_DIR") or request.get("data_dir")
    if not data:
        return
    folder = place(data)
    inner = os.path.join(folder, "cifar-100-python")
    chosen = inner if os.path.isdir(inner) else folder
    answer["data_dir"] = chosen
    if not os.path.isdir(chosen):
        answer["problems"].append({"code": "data", "message": "data folder {} does not exist on {}".format(folder, HOST)})
        return
    wanted = CIFAR100 if request.get("dataset") == "cifar100" else {}
    for name in sorted(wanted) or names_in(chosen)[:1000]:
        path = os.path.join(chosen, name)
        if not wanted and not os.path.isfile(path):
            continue
        try:
            with open(path, "rb") as stream:
                digest = md5_of(stream.read()) if wanted else stream.read(1)
        except OSError as error:
            answer["problems"].append({"code": "data", "message": "{} cannot be read on {}: {}".format(path, HOST, error.strerror)})
            continue
        if wanted and digest != wanted[name]:
            answer["problems"].append({"code": "data", "message": "{} is damaged: md5 {} instead of {}".format(path, digest, wanted[name])})


# Staging: an archive comes in pieces, each piece once, and is unpacked under its hash


def stage(request: Json) -> Json:
    """{"base", "name", "sha256", "count", "index"?, "data"?}: keeps a piece; with all pieces there, checks the hash and unpacks. Says what is missing."""
    base = place(request["base"])
    digest = request["sha256"]
    target = within(os.path.join(base, "staged"), request["name"])
    if os.path.isdir(target):
        return {"state": "staged", "path": target}
    pieces = os.path.join(base, "staging", "{}.{}".format(digest, request["count"]))
    if "index" in request:
        write_whole(os.path.join(pieces, "{:06d}".format(request["index"])), base64.b64decode(request["data"]))
    missing = [index for index in range(request["count"]) if not os.path.exists(os.path.join(pieces, "{:06d}".format(index)))]
    if missing:
        return {"state": "partial", "missing": missing[:1000]}
    whole = io.BytesIO()
    for index in range(request["count"]):
        with open(os.path.join(pieces, "{:06d}".format(index)), "rb") as stream:
            whole.write(stream.read())
    if hashlib.sha256(whole.getvalue()).hexdigest() != digest:
        shutil.rmtree(pieces, ignore_errors=True)
        return {"state": "partial", "missing": list(range(request["count"]))}
    whole.seek(0)
    temporary = "{}.{}.{}.tmp".format(target, HOST, os.getpid())
    shutil.rmtree(temporary, ignore_errors=True)
    os.makedirs(temporary)
    with tarfile.open(fileobj=whole, mode="r:*") as archive:
        for member in archive.getmembers():
            within(temporary, member.name)
            if not (member.isfile() or member.isdir()):
                raise ValueError("{!r} is neither a file nor a folder".format(member.name))
        archive.extractall(temporary)
    sync_tree(temporary)
    try:
        os.rename(temporary, target)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        if not os.path.isdir(target):
            raise
    sync(os.path.dirname(target))
    shutil.rmtree(pieces, ignore_errors=True)
    return {"state": "staged", "path": target}


def launch(request: Json) -> Json:
    """Makes a launch folder and its launch.json; one that belongs to somebody else is not touched (R37)."""
    base = place(request["base"])
    folder = within(base, request["launch"])
    record = request["record"]
    known = read_json(os.path.join(folder, "launch.json"))
    if known is not None:
        mine = record["owner"]
        theirs = known.get("owner") or {}
        same = all(theirs.get(key) == mine[key] for key in ("namespace", "workflow_id"))
        if not same or theirs.get("epoch", 0) > mine["epoch"]:
            return {"state": "taken", "owner": theirs}
    for name in ("ready", "claimed", "done", "collected", "stop", "withdrawn", "broken"):
        os.makedirs(os.path.join(folder, "spool", name), exist_ok=True)
    try:
        # A campaign that was closed and is taken up again (workflow reset): the request to stop everything is over.
        os.unlink(os.path.join(folder, "spool", "stop", "all"))
    except FileNotFoundError:
        pass
    if record.get("bundle"):
        link = os.path.join(folder, "bundle", record["bundle"])
        os.makedirs(os.path.dirname(link), exist_ok=True)
        if not os.path.islink(link) and not os.path.exists(link):
            try:
                os.symlink(os.path.join(base, "staged", record["bundle"]), link)
            except FileExistsError:
                pass
    write_whole(os.path.join(folder, "launch.json"), json.dumps(record).encode("utf-8"))
    return {"state": "ready", "directory": folder}


# One trial


def trial(request: Json) -> Json:
    """Runs the agent's single-trial entry and returns its done record, with the small files of the attempt beside it."""
    folder = request["directory"]
    offer = request["offer"]
    name = "{}.{}".format(offer["trial"], offer["attempt"])
    if lives_on_another_host(folder, name, float(request["stale"])):
        return {"state": "running_elsewhere", "name": name, "host": HOST}
    words = [request["python"] or sys.executable, os.path.join(request["agent"], "agent.py"), "one", "--launch", folder, "--offer", "-"]
    words += ["--poll", str(request["poll"]), "--heartbeat", str(request["heartbeat"]), "--stale", str(request["stale"])]
    code, out, err = run_group(shell_words(request, words), json.dumps(offer).encode("utf-8"), request.get("env") or {}, float(request["seconds"]))
    try:
        record = json.loads(out.decode("utf-8", "replace").strip().splitlines()[-1])
    except (ValueError, IndexError):
        record = None
    if code not in (0, RUNNING_ELSEWHERE) or not isinstance(record, dict):
        raise RuntimeError("the agent ended with {}: {}".format(code, err.decode("utf-8", "replace").strip()[-3000:]))
    if "state" in record:
        return dict(record, name=name, host=HOST)
    return {"state": "ended", "name": name, "host": HOST, "record": record, "files": small_files(folder, record, int(request["inline_bytes"]))}


def lives_on_another_host(folder: str, name: str, stale: float) -> bool:
    """Whether an agent for this attempt beats on another host: locks do not reach across nodes everywhere, a growing number does."""
    path = agent_file(folder, name, "heartbeat.json")
    first = read_json(path)
    if first is None or first.get("host") == HOST or first.get("state") == "ended":
        return False
    deadline = time.monotonic() + stale
    while time.monotonic() < deadline:
        time.sleep(min(1.0, stale / 10))
        now = read_json(path)
        if now is not None and now.get("state") == "ended":
            return False
        if now is not None and now.get("beat") != first.get("beat"):
            return True
    return False


def run_group(words: List[str], data: bytes, env: Dict[str, str], seconds: float) -> Tuple[int, bytes, bytes]:
    """Runs words in a process group of their own; after so many seconds the group gets TERM (the agent then ends its training), later KILL."""
    environment = dict(os.environ, **env)
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True)
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGTERM, 30.0), (signal.SIGKILL, 30.0)):
        try:
            out, err = child.communicate(data, timeout=wait)
            return child.returncode, out, err
        except subprocess.TimeoutExpired:
            data = None  # type: ignore[assignment]
            try:
                os.killpg(child.pid, number)
            except OSError:
                pass
    out, err = child.communicate()
    return child.returncode, out, err


def small_files(folder: str, record: Json, limit: int) -> Json:
    """Files of the attempt as long as they fit, compressed: path -> base64. The rest is fetched by tasks of their own."""
    files = {}
    for entry in record.get("files") or []:
        if entry["size"] > 4 * limit:
            continue
        try:
            with open(within(folder, os.path.join(record["directory"], entry["path"])), "rb") as stream:
                data = stream.read()
        except (OSError, ValueError):
            continue
        text = base64.b64encode(zlib.compress(data)).decode("ascii")
        if len(text) > limit:
            continue
        limit -= len(text)
        files[entry["path"]] = text
    return files


# Control


def look(request: Json) -> Json:
    """What the file system knows of attempts: done record, or heartbeat of the agent that has it."""
    found = {}  # type: Dict[str, Json]
    room = int(request.get("bytes", 2000000))
    for folder, names in request["attempts"]:
        for name in names:
            record = read_json(os.path.join(folder, "spool", "done", name + ".json")) or read_json(os.path.join(folder, "spool", "collected", name + ".json"))
            if record is not None:
                room -= len(json.dumps(record))
                if room >= 0:
                    found[name + " " + folder] = {"state": "ended", "record": record}
                continue
            beat = read_json(agent_file(folder, name, "heartbeat.json"))
            if beat is None:
                state = "withdrawn" if os.path.exists(os.path.join(folder, "spool", "withdrawn", name + ".json")) else "unseen"
                found[name + " " + folder] = {"state": state}
                continue
            busy = [slot for slot in beat.get("busy") or [] if "{}.{}".format(slot.get("trial"), slot.get("attempt")) == name]
            found[name + " " + folder] = {"state": beat.get("state"), "beat": beat.get("beat"), "host": beat.get("host"), "busy": busy[:1]}
    return {"host": HOST, "engine": engine(), "found": found}


def engine() -> Optional[str]:
    """
    Which engine gave this worker its task, by the port and the keys that its pool was started with: an endpoint's process that is started again takes
    another port, and where its ports are fixed it has new keys all the same.
    """
    try:
        with open("/proc/{}/cmdline".format(os.getppid()), "rb") as stream:
            words = stream.read().decode("utf-8", "replace").split("\0")
    except OSError:  # not Linux, or the pool is gone
        return None
    ports = [word for word in words if word.startswith("--port=")]
    return ports[0] + key_mark(words) if ports and any("process_worker_pool" in word for word in words) else None


def key_mark(words: List[str]) -> str:
    """A mark of the public key of the engine's interchange; empty where it does not encrypt."""
    folder = words[words.index("--cert_dir") + 1] if "--cert_dir" in words[:-1] else ""
    try:
        with open(os.path.join(folder, "server.key"), "rb") as stream:
            return " " + hashlib.sha256(stream.read()).hexdigest()[:16]
    except OSError:
        return ""


def stop(request: Json) -> Json:
    """Stop files, which the agent polls; says which attempts have ended already. `names` may hold "all"."""
    folder = request["directory"]
    ended = []
    for name in request["names"]:
        if os.path.exists(os.path.join(folder, "spool", "done", name + ".json")):
            ended.append(name)
            continue
        write_whole(within(os.path.join(folder, "spool", "stop"), name), request["reason"].encode("utf-8")[:500])
    return {"ended": ended}


def collect(request: Json) -> Json:
    """Done records that the campaign has taken in leave spool/done."""
    folder = request["directory"]
    moved = 0
    for name in request["names"]:
        try:
            os.rename(os.path.join(folder, "spool", "done", name + ".json"), os.path.join(folder, "spool", "collected", name + ".json"))
            moved += 1
        except OSError:
            pass
    return {"moved": moved}


def fetch(request: Json) -> Json:
    """Pieces of files: [[path, offset, length], ...] -> compressed base64 texts, null where a file is gone."""
    folder = request["directory"]
    pieces = []  # type: List[Optional[str]]
    for path, offset, length in request["pieces"]:
        try:
            with open(within(folder, path), "rb") as stream:
                stream.seek(offset)
                pieces.append(base64.b64encode(zlib.compress(stream.read(length))).decode("ascii"))
        except OSError:
            pieces.append(None)
    return {"pieces": pieces}


def alive(request: Json) -> Json:
    """Agents of a launch that are not at their end: heartbeats that grow within the given time."""
    folder = request["directory"]
    first = beats(folder)
    if first:
        time.sleep(float(request["seconds"]))
    now = beats(folder)
    return {"alive": [pilot for pilot, beat in sorted(now.items()) if first.get(pilot) != beat]}


def beats(folder: str) -> Dict[str, Any]:
    found = {}
    for pilot in names_in(os.path.join(folder, "pilots")):
        record = read_json(os.path.join(folder, "pilots", pilot, "heartbeat.json"))
        if record is not None and record.get("state") != "ended":
            found[pilot] = record.get("beat")
    return found


def shell(request: Json) -> Json:
    """A POSIX shell script with arguments and input, for `holdfast deploy`. Its output is cut at a limit, its process group ended after its time."""
    words = ["/bin/sh", "-c", request["script"], "holdfast", *(request.get("args") or [])]
    data = base64.b64decode(request.get("input") or "")
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        out, err = child.communicate(data, timeout=float(request["seconds"]))
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return {"code": None, "stdout": "", "stderr": "", "host": HOST}
    limit = int(request["bytes"])
    return {
        "code": child.returncode if child.returncode >= 0 else 128 - child.returncode,
        "stdout": base64.b64encode(out[:limit]).decode("ascii"),
        "stderr": base64.b64encode(err[:limit]).decode("ascii"),
        "cut": len(out) > limit,
        "host": HOST,
    }


def put(request: Json) -> Json:
    """A file in pieces; the last one to come puts it into place when its hash is right. Says what is missing."""
    path = place(request["path"])
    try:
        with open(path, "rb") as stream:
            if hashlib.sha256(stream.read()).hexdigest() == request["sha256"]:
                return {"state": "there"}
    except OSError:
        pass
    parts = "{}.{}.parts".format(path, request["sha256"][:12])
    if "index" in request:
        write_whole(os.path.join(parts, "{:06d}".format(request["index"])), base64.b64decode(request["data"]))
    missing = [index for index in range(request["count"]) if not os.path.exists(os.path.join(parts, "{:06d}".format(index)))]
    if missing:
        return {"state": "partial", "missing": missing[:1000]}
    whole = b""
    for index in range(request["count"]):
        with open(os.path.join(parts, "{:06d}".format(index)), "rb") as stream:
            whole += stream.read()
    shutil.rmtree(parts, ignore_errors=True)
    if hashlib.sha256(whole).hexdigest() != request["sha256"]:
        return {"state": "partial", "missing": list(range(request["count"]))}
    write_whole(path, whole)
    os.chmod(path, request["mode"])
    return {"state": "there"}


def describe(request: Json) -> Json:
    """Size and hash of a file; size null when there is none."""
    path = place(request["path"])
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError:
        return {"size": None, "sha256": ""}
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


OPERATIONS = {
    "probe": probe,
    "hello": hello,
    "check": check,
    "stage": stage,
    "launch": launch,
    "trial": trial,
    "look": look,
    "stop": stop,
    "collect": collect,
    "fetch": fetch,
    "alive": alive,
    "shell": shell,
    "put": put,
    "describe": describe,
}
