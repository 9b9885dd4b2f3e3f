"""Lists launch folders below a base folder, and removes or archives one. Standard library only, Python 3.6 and newer.

python3 clean.py list BASE                     one JSON document on stdout: every launch folder with what it holds
python3 clean.py remove BASE FOLDER OWNER      removes it; OWNER is launch.json's owner as JSON, which must still be the same
python3 clean.py archive BASE FOLDER OWNER     packs it into FOLDER.tar.gz, reads that back, then removes the folder

A launch folder is known by its launch.json (version 1, with an owner), never by its name. Links are not followed. launch.json goes last,
so that what an interrupted call leaves behind is still known and is finished by the next one: also an archive whose folder was not yet removed.
"""

import fcntl
import json
import os
import shutil
import sys
import tarfile
import time
import zlib
from typing import Any, Dict, List, Optional

Json = Dict[str, Any]

MARKER = "launch.json"
# A launch pattern may hold one slash.
DEEPEST = 2
SUMMARY_KEYS = ("campaign", "status", "started_at", "ended_at", "objectives", "best", "counts")


def load(path: str) -> Optional[Json]:
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def marker_of(folder: str) -> Optional[Json]:
    path = os.path.join(folder, MARKER)
    if os.path.islink(folder) or os.path.islink(path) or not os.path.isfile(path):
        return None
    record = load(path)
    if record is None or record.get("version") != 1 or not isinstance(record.get("campaign"), str):
        return None
    owner = record.get("owner")
    if not isinstance(owner, dict) or not all(isinstance(owner.get(key), str) for key in ("namespace", "workflow_id")):
        return None
    return record


def launch_folders(base: str, depth: int = DEEPEST) -> List[str]:
    found = []
    for entry in sorted(os.scandir(base), key=lambda each: each.name):
        if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
            continue
        if marker_of(entry.path) is not None:
            found.append(entry.path)
        elif depth > 1:
            try:
                found.extend(launch_folders(entry.path, depth - 1))
            except OSError:
                continue
    return found


def sizes(folder: str) -> Dict[str, int]:
    files = size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
            files += 1
    return {"bytes": size, "files": files}


def beat_age(folder: str) -> Optional[float]:
    """Seconds since the last heartbeat of any agent; both times are of this computer's file system."""
    newest = None
    pilots = os.path.join(folder, "pilots")
    for pilot in os.listdir(pilots) if os.path.isdir(pilots) else []:
        place = os.path.join(pilots, pilot)
        for name in os.listdir(place) if os.path.isdir(place) else []:
            if name.startswith("heartbeat") and name.endswith(".json"):
                if (load(os.path.join(place, name)) or {}).get("state") == "ended":
                    continue
                newest = max(newest or 0, os.stat(os.path.join(place, name)).st_mtime)
    return None if newest is None else max(0.0, time.time() - newest)


def has_repository(folder: str) -> bool:
    if os.path.exists(os.path.join(folder, ".git")):
        return True
    return any(os.path.exists(os.path.join(entry.path, ".git")) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False))


def holds(folder: str, path: str) -> bool:
    whole, part = os.path.realpath(folder), os.path.realpath(path)
    return part == whole or part.startswith(whole + os.sep)


def is_in_use(folder: str) -> bool:
    return holds(folder, os.getcwd()) or holds(folder, os.path.expanduser("~"))


def describe(folder: str) -> Json:
    record = marker_of(folder) or {}
    trials = os.path.join(folder, "trials")
    closed = os.path.join(folder, "spool", "stop", "all")
    summary = load(os.path.join(folder, "summary.json"))
    return {
        "folder": folder,
        "campaign": record.get("campaign"),
        "launch": record.get("launch"),
        "system": record.get("system"),
        "owner": record.get("owner"),
        "objectives": record.get("objectives", []),
        "trials": len(os.listdir(trials)) if os.path.isdir(trials) else 0,
        "beatAgeSeconds": beat_age(folder),
        "closedAt": os.stat(closed).st_mtime if os.path.isfile(closed) else None,
        "hasRepository": has_repository(folder),
        "isInUse": is_in_use(folder),
        "summary": None if summary is None else {key: summary[key] for key in SUMMARY_KEYS if key in summary},
        **sizes(folder),
    }


def refuse(words: str) -> None:
    sys.stderr.write(words + "\n")
    sys.exit(3)


def checked(base: str, folder: str, owner: str) -> None:
    record = marker_of(folder)
    if record is None:
        refuse("{} is no launch folder any more".format(folder))
    elif record["owner"] != json.loads(owner):
        refuse("{} belongs to another campaign by now".format(folder))
    if not holds(base, folder) or os.path.realpath(base) == os.path.realpath(folder):
        refuse("{} does not lie below {}".format(folder, base))
    if has_repository(folder) or is_in_use(folder):
        refuse("{} holds a git repository, the home folder or the working folder".format(folder))


def remove(folder: str) -> None:
    for entry in os.scandir(folder):
        if entry.name == MARKER:
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
    os.unlink(os.path.join(folder, MARKER))
    os.rmdir(folder)


def is_archive_of(target: str, folder: str) -> bool:
    """Whether an archive holds all that is still in a folder: then it was made of it, and its maker was stopped while it removed the folder."""
    try:
        with tarfile.open(target, "r:gz") as packed:
            there = {member.name: member for member in packed.getmembers()}
    except (OSError, EOFError, tarfile.TarError, zlib.error):
        return False
    above = os.path.dirname(folder)
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            member = there.get(os.path.relpath(path, above))
            facts = os.lstat(path)
            # With their times: a later launch of the same name is another one.
            if member is None or abs(member.mtime - facts.st_mtime) > 1e-5 or (member.isreg() and member.size != facts.st_size):
                return False
    return True


def archive(folder: str) -> str:
    target = folder + ".tar.gz"
    if os.path.exists(target):
        if is_archive_of(target, folder):
            return target
        refuse("{} is there already".format(target))
    # The same name each time: what a stopped call left is written over, and the lock keeps two calls apart.
    part = target + ".tmp"
    with open(part, "ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse("{} is being packed by another call".format(folder))
        except OSError:
            # No locks on this file system: two calls at once then spoil each other's archive, which is read back before anything is removed.
            pass
        return pack(folder, part, target)


def pack(folder: str, part: str, target: str) -> str:
    try:
        # The format that holds times to the last digit.
        with tarfile.open(part, "w:gz", format=tarfile.PAX_FORMAT) as packed:
            packed.add(folder, arcname=os.path.basename(folder))
        with tarfile.open(part, "r:gz") as packed:
            there = sorted(member.name for member in packed.getmembers())
        name = os.path.basename(folder)
        wanted = [name]
        for parent, folders, files in os.walk(folder):
            inner = os.path.join(name, os.path.relpath(parent, folder)) if parent != folder else name
            wanted += [os.path.join(inner, each) for each in folders + files]
        if there != sorted(wanted):
            refuse("{} changed while it was packed, or the archive is damaged".format(folder))
        with open(part, "rb+") as stream:
            os.fsync(stream.fileno())
        os.rename(part, target)
        sync_folder(os.path.dirname(target))
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return target


def sync_folder(path: str) -> None:
    """The archive's name must be on the disk before the first file of the folder goes. Some file systems refuse; they have no better to offer."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)


def main(argv: List[str]) -> None:
    verb, base = argv[0], os.path.abspath(os.path.expanduser(argv[1]))
    if verb == "list":
        folders = launch_folders(base) if os.path.isdir(base) else []
        json.dump({"base": base, "launches": [describe(folder) for folder in folders]}, sys.stdout)
        return
    folder, owner = argv[2], argv[3]
    checked(base, folder, owner)
    target = archive(folder) if verb == "archive" else None
    packed = 0 if target is None else os.stat(target).st_size
    remove(folder)
    json.dump({"folder": folder, "archive": target, "archiveBytes": packed}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
