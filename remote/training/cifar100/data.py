#!/usr/bin/env python3
"""CIFAR-100 on this machine: fetch, check, repair, or generate a stand-in. `holdfast data cifar100 <dir>` runs this file.

Exit codes: 0 the data are there and right; 1 they are not; 2 wrong arguments; 3 still being fetched (--status).
Runs on Python 3.6 and newer with the standard library; only --generate needs numpy.
"""

import argparse
import fcntl
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from payload import archive
from payload.archive import DataProblem
from payload.download import download
from payload.files import digest_of, write_bytes, write_json

STATUS = ".cifar-100-status.json"
LOCK = ".cifar-100.lock"
LOG = "cifar-100-download.log"
# A run on another machine of the same file system counts as gone when it has written nothing for so long; more than clocks are apart.
SILENT_SECONDS = 1800


def parser_of_flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="data.py", description="Fetches, checks and repairs CIFAR-100, or generates data of the same format.")
    parser.add_argument("dir", help="the data root, or its folder cifar-100-python")
    parser.add_argument("--from", dest="source", metavar="FILE", help="an archive, or a folder with the files, that is already on this machine")
    parser.add_argument("--url", default=archive.URL, help="address of the archive")
    parser.add_argument("--verify", action="store_true", help="check only: nothing is written")
    parser.add_argument("--generate", action="store_true", help="make synthetic data of the same format")
    parser.add_argument("--train-images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--archive", metavar="FILE", help="with --generate: pack the files there as well")
    parser.add_argument("--keep-archive", action="store_true", help="leave the archive beside the folder after unpacking")
    parser.add_argument("--detach", action="store_true", help="go on in the background and return at once; ask with --status")
    parser.add_argument("--status", action="store_true", help="say how a detached run is getting on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


class Status:
    """The file that says how far it is; written at most once a second, and at every change of state."""

    def __init__(self, root: str) -> None:
        self.path = os.path.join(root, STATUS)
        self.written = 0.0

    def write(self, state: str, **more: object) -> None:
        now = time.monotonic()
        if state == "running" and more.get("bytes") and now - self.written < 1.0:
            return
        self.written = now
        write_json(self.path, dict(more, state=state, pid=os.getpid(), host=socket.gethostname(), updated_at=time.time()))


def root_of(directory: str) -> str:
    return os.path.dirname(archive.folder_of(directory))


def take_lock(root: str, wait_seconds: float) -> object:
    """One fetch at a time in a folder. A file system without locks (some parallel ones) is no reason not to fetch: the renames keep the files whole."""
    handle = open(os.path.join(root, LOCK), "w")  # noqa: SIM115 (held open as long as the lock)
    end = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except (BlockingIOError, PermissionError):
            if time.monotonic() >= end:
                handle.close()
                raise DataProblem(f"{root} is being prepared by another process. Ask again with --status.") from None
            time.sleep(0.5)
        except OSError:
            return handle


def archive_to_unpack(options: argparse.Namespace, root: str, status: Status) -> tuple:
    """(path, is it ours to delete). Checked by MD5 before anything is unpacked."""
    if options.source:
        if not os.path.isfile(options.source):
            raise DataProblem(f"{options.source} does not exist. --from takes the archive, or a folder with train, test and meta.")
        found = digest_of(options.source, "md5")
        if found != archive.ARCHIVE_MD5 and not archive.holds_synthetic(options.source):
            raise DataProblem(
                f"{options.source} is not CIFAR-100's archive (md5 is {found}, expected {archive.ARCHIVE_MD5}). Fetch it again from {archive.URL}."
            )
        return options.source, False
    local = os.path.join(root, archive.ARCHIVE)
    if os.path.exists(local):
        if digest_of(local, "md5") == archive.ARCHIVE_MD5:
            return local, not options.keep_archive
        # A half archive under the final name (another tool's): as good as the start of ours.
        os.replace(local, local + ".part")
    status.write("running", message=f"fetching {options.url}")
    download(options.url, local, archive.ARCHIVE_MD5, lambda got, total: status.write("running", message="fetching", bytes=got, total=total))
    return local, not options.keep_archive


def copy_from_folder(source: str, folder: str) -> None:
    report = archive.verify(source)
    if not report["ok"]:
        raise DataProblem(f"{report['folder']} is not a whole copy: {archive.problems_of(report)}.")
    os.makedirs(folder, exist_ok=True)
    names = [row["name"] for row in report["files"]] + ([archive.SYNTHETIC_MARK] if report["synthetic"] else [])
    for name in names:
        with open(os.path.join(report["folder"], name), "rb") as file:
            content = file.read()
        write_bytes(os.path.join(folder, name), content)


def prepare(options: argparse.Namespace) -> dict:
    """Makes the folder whole, doing only what is missing. Raises DataProblem."""
    folder = archive.folder_of(options.dir)
    root = os.path.dirname(folder)
    os.makedirs(root, exist_ok=True)
    status = Status(root)
    lock = take_lock(root, 2.0)
    try:
        before = archive.verify(folder)
        if before["ok"] and not options.source:
            if before["synthetic"]:
                raise DataProblem(f"{folder} holds generated data, not CIFAR-100. Choose another folder, or remove it first.")
            return dict(before, action="exists")
        had_files = any(row["problem"] != "missing" for row in before["files"])
        if options.source and os.path.isdir(options.source):
            copy_from_folder(options.source, folder)
        else:
            packed, is_ours = archive_to_unpack(options, root, status)
            status.write("running", message="unpacking")
            archive.extract(packed, folder)
            if is_ours:
                os.unlink(packed)
        after = archive.verify(folder)
        if not after["ok"]:
            raise DataProblem(f"{folder} is not right even after unpacking: {archive.problems_of(after)}.")
        return dict(after, action="repaired" if had_files else ("unpacked" if options.source else "downloaded"))
    finally:
        lock.close()


def generate(options: argparse.Namespace) -> dict:
    from payload import synthetic

    folder = synthetic.generate(options.dir, options.train_images, options.test_images, options.seed)
    report = dict(archive.verify(folder), action="generated")
    if options.archive:
        report["archive"] = {"path": os.path.abspath(options.archive), "size": synthetic.pack(folder, options.archive)}
    return report


def detach(options: argparse.Namespace) -> dict:
    """Starts the same work in a session of its own, with its output in a log file, and returns its process id."""
    root = root_of(options.dir)
    os.makedirs(root, exist_ok=True)
    current = read_status(root)
    if current["state"] == "running":
        return dict(current, ok=True, detached=True)
    status = Status(root)
    log = os.path.join(root, LOG)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            now = read_status(root)
            if now["state"] != current["state"] or now.get("updated_at") != current.get("updated_at"):
                return dict(now, ok=now["state"] != "failed", detached=True, log=log)
            time.sleep(0.05)
        raise DataProblem(f"the detached run did not start (see {log}).")
    os.setsid()
    if os.fork():
        os._exit(0)
    with open(log, "ab", 0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    status.write("running", message="started")
    os._exit(run_and_record(options, status))


def run_and_record(options: argparse.Namespace, status: Status) -> int:
    try:
        result = prepare(options)
        status.write("done", result=result)
        return 0
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status.write("failed", message=str(error))
        return 1


def read_status(root: str) -> dict:
    """The recorded state; `died` for a run of this machine whose process is gone, and for one of another machine that has been silent for long."""
    path = os.path.join(root, STATUS)
    if not os.path.exists(path):
        return {"state": "none", "message": "no detached run was started here"}
    with open(path, encoding="utf-8") as file:
        status = json.load(file)
    if status["state"] != "running":
        return status
    if status["host"] != socket.gethostname():
        if time.time() - status["updated_at"] < SILENT_SECONDS:
            return status
        message = "nothing was heard of it on {} for half an hour; start again, it goes on from where it stopped".format(status["host"])
        return dict(status, state="died", message=message)
    try:
        os.kill(status["pid"], 0)
    except ProcessLookupError:
        return dict(status, state="died", message="the process is gone; start again, it goes on from where it stopped")
    except PermissionError:
        pass
    return status


def show(report: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    if report.get("error"):
        print(f"error: {report['error']}", file=sys.stderr)
    if report.get("state"):
        share = "" if not report.get("bytes") else f" ({report['bytes']} of {report.get('total') or '?'} bytes)"
        print(f"{report['state']}: {report.get('message') or ''}{share}")
    for row in report.get("files", []):
        verdict = "ok" if row["problem"] is None else f"{row['problem']}: {row['detail']}"
        print(f"{row['name']:<6} {verdict}")
    if report.get("folder"):
        words = "generated data (synthetic, not CIFAR-100)" if report.get("synthetic") else "CIFAR-100"
        print(f"{report['folder']}: {words if report['ok'] else 'not usable'} ({report.get('action', 'verified')})")


def run(options: argparse.Namespace) -> tuple:
    if options.status:
        status = read_status(root_of(options.dir))
        code = {"done": 0, "running": 3}.get(status["state"], 1)
        return dict(status, ok=code != 1), code
    if options.verify:
        report = archive.verify(options.dir)
        problems = archive.problems_of(report)
        if problems:
            report["error"] = f"{report['folder']} is not usable: {problems}. Run `holdfast data cifar100 {options.dir}` to repair it."
        return report, 0 if report["ok"] else 1
    if options.generate:
        return generate(options), 0
    if options.detach:
        report = detach(options)
        return report, 0 if report["ok"] else 1
    return prepare(options), 0


def main(arguments: list) -> int:
    options = parser_of_flags().parse_args(arguments)
    if sum(map(bool, (options.verify, options.generate, options.detach, options.status))) > 1:
        print("error: --verify, --generate, --detach and --status exclude each other. Take one.", file=sys.stderr)
        return 2
    try:
        report, code = run(options)
    except (DataProblem, OSError, ValueError, ImportError) as error:
        report, code = {"ok": False, "folder": archive.folder_of(options.dir), "error": str(error), "files": []}, 1
    show(report, options.json)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
