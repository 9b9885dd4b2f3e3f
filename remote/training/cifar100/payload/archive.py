"""The CIFAR-100 files: where they lie, what their checksums are, and getting them out of the archive. Python 3.6 and newer, standard library only."""

import errno
import getpass
import json
import os
import shutil
import stat
import tarfile
import zlib
from typing import Optional

from payload.files import digest_of, sync_folder

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE = "cifar-100-python.tar.gz"
FOLDER = "cifar-100-python"
# The values that torchvision checks as well (torchvision.datasets.CIFAR100).
ARCHIVE_MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
FILES = (
    ("train", "16019d7e3df5f24257cddd939b257f8d"),
    ("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ("meta", "7973b15100ade9c7d40fb424638fde48"),
)
# A generated data set carries this file with its own checksums. Whatever was trained on it is marked as synthetic.
SYNTHETIC_MARK = "SYNTHETIC.json"


class DataProblem(Exception):
    """Something about the data that a person must know; the message says what to do."""


def folder_of(directory: str) -> str:
    """The folder with train, test and meta, from either form of `data.dir`: that folder itself, or its parent (torchvision's root)."""
    path = os.path.abspath(os.path.expanduser(directory))
    if os.path.basename(path) == FOLDER:
        return path
    child = os.path.join(path, FOLDER)
    if not os.path.exists(child) and os.path.isfile(os.path.join(path, "train")):
        return path
    return child


def synthetic_mark(folder: str) -> Optional[dict]:
    """What the generator wrote about itself, or None for a folder that it did not make."""
    path = os.path.join(folder, SYNTHETIC_MARK)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _who_may(path: str) -> str:
    try:
        status = os.stat(path)
    except OSError:
        return "a folder on the way cannot be entered"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"mode {stat.filemode(status.st_mode)}, owner uid {status.st_uid}, asked by {user}"


def look_at_file(path: str, expected: str) -> dict:
    """One row of a verification: `problem` is None, missing, permission, unreadable or md5."""
    row = {"name": os.path.basename(path), "path": path, "size": None, "md5": None, "expected": expected, "problem": None, "detail": None}
    try:
        row["size"] = os.stat(path).st_size
        row["md5"] = digest_of(path, "md5")
    except OSError as error:
        named = {errno.ENOENT: "missing", errno.ENOTDIR: "missing", errno.EACCES: "permission", errno.EPERM: "permission"}
        row["problem"] = named.get(error.errno, "unreadable")
        row["detail"] = _who_may(path) if row["problem"] == "permission" else error.strerror or str(error)
        return row
    if row["md5"] != expected:
        row["problem"] = "md5"
        row["detail"] = f"md5 is {row['md5']}, expected {expected}"
    return row


def verify(directory: str) -> dict:
    """Opens and checks every file. `ok` is False as soon as one is missing, not readable by this user, or differs by one byte."""
    folder = folder_of(directory)
    mark = None
    detail = None
    try:
        mark = synthetic_mark(folder)
    except (OSError, ValueError) as error:
        detail = f"{SYNTHETIC_MARK} cannot be read: {error}"
    expected = dict(FILES)
    if mark is not None:
        expected.update(mark.get("md5", {}))
    rows = [look_at_file(os.path.join(folder, name), expected[name]) for name, _ in FILES]
    return {
        "ok": detail is None and all(row["problem"] is None for row in rows),
        "folder": folder,
        "synthetic": mark is not None,
        "files": rows,
        "detail": detail,
    }


def problems_of(report: dict) -> str:
    """The problems of a verification in one line; empty when there is none."""
    words = [f"{row['name']}: {row['problem']} ({row['detail']})" for row in report["files"] if row["problem"]]
    if report["detail"]:
        words.append(report["detail"])
    return "; ".join(words)


def extract(archive: str, folder: str) -> None:
    """Takes train, test and meta out of the archive. Each file appears whole, by rename, so a killed extraction leaves nothing that looks like data.

    Only the members that are wanted are read, under names of ours: nothing in an archive can write elsewhere.
    """
    parent = os.path.dirname(folder) or "."
    staging = os.path.join(parent, f".{os.path.basename(folder)}.extracting-{os.getpid()}")
    wanted = [name for name, _ in FILES]
    try:
        os.makedirs(staging, exist_ok=True)
        found = []
        with tarfile.open(archive, "r:*") as tar:
            for member in tar:
                name = os.path.basename(member.name)
                if not member.isfile() or name not in [*wanted, SYNTHETIC_MARK]:
                    continue
                source = tar.extractfile(member)
                if source is None:
                    continue
                with open(os.path.join(staging, name), "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                    target.flush()
                    os.fsync(target.fileno())
                found.append(name)
        missing = [name for name in wanted if name not in found]
        if missing:
            raise DataProblem(f"{archive} has no {', '.join(missing)} inside. Is it {ARCHIVE}?")
        os.makedirs(folder, exist_ok=True)
        for name in found:
            os.replace(os.path.join(staging, name), os.path.join(folder, name))
        sync_folder(folder)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataProblem(f"{archive} is damaged: {error}. Remove it and fetch it again.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def holds_synthetic(archive: str) -> bool:
    """Whether an archive is one that the generator made."""
    try:
        with tarfile.open(archive, "r:*") as tar:
            return any(os.path.basename(member.name) == SYNTHETIC_MARK for member in tar)
    except (tarfile.TarError, EOFError, zlib.error):
        return False
