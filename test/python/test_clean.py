"""remote/clean.py: what it takes for a launch folder, and that it removes nothing else."""

import fcntl
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "remote" / "clean.py"
OWNER = {"namespace": "default", "workflow_id": "digits-1", "epoch": 5}


def call(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", str(SCRIPT), *words]
    return subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, cwd=str(cwd))


def launch(base: Path, name: str, **change: Any) -> Path:
    folder = base / name
    (folder / "trials" / "job_trial-0001" / "attempt-1").mkdir(parents=True)
    (folder / "trials" / "job_trial-0001" / "attempt-1" / "stdout.log").write_text("hello\n")
    record = {"version": 1, "campaign": "digits-1", "launch": name, "system": "local", "objectives": [], "owner": OWNER}
    record.update(change)
    (folder / "launch.json").write_text(json.dumps(record))
    return folder


def listed(base: Path, tmp_path: Path) -> "list[dict[str, Any]]":
    done = call("list", str(base), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["launches"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["20261123-051500_digits-1", "agentic_20261123_digits_1", "digits-1", "group/20261123", "ohne-id"])
def test_facts_come_from_the_record_and_never_from_the_name(base: Path, tmp_path: Path, name: str) -> None:
    launch(base, name)
    (found,) = listed(base, tmp_path)
    assert found["folder"] == str(base / name)
    assert (found["campaign"], found["launch"], found["owner"], found["trials"]) == ("digits-1", name, OWNER, 1)
    record = (base / name / "launch.json").stat().st_size
    assert (found["bytes"], found["files"]) == (6 + record, 2)


def test_a_folder_without_the_mark_is_no_launch_folder(base: Path, tmp_path: Path) -> None:
    (base / "mine").mkdir()
    (base / "mine" / "launch.json").write_text("{}")
    (base / "broken").mkdir()
    (base / "broken" / "launch.json").write_text("{")
    launch(base, "no-owner", owner=None)
    launch(base, "later-version", version=2)
    real = launch(tmp_path, "elsewhere")
    (base / "link").symlink_to(real)
    assert listed(base, tmp_path) == []
    for name in ("mine", "broken", "no-owner", "later-version", "link"):
        done = call("remove", str(base), str(base / name), json.dumps(OWNER), cwd=tmp_path)
        assert done.returncode == 3 and "no launch folder" in done.stderr
        assert (base / name).exists()
    assert (real / "trials").is_dir()


def test_a_folder_is_removed_whole_and_links_in_it_are_not_followed(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "old")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("keep me")
    (folder / "trials" / "data").symlink_to(precious)
    (folder / "top").symlink_to(precious)
    launch(base, "beside")
    assert call("remove", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path).returncode == 0
    assert not folder.exists() and (base / "beside" / "launch.json").exists()
    assert (precious / "data").read_text() == "keep me"


@pytest.mark.parametrize("where", [".git", "repository/.git"])
def test_a_repository_is_seen_and_never_removed(base: Path, tmp_path: Path, where: str) -> None:
    folder = launch(base, "deployed")
    (folder / where).mkdir(parents=True)
    assert listed(base, tmp_path)[0]["hasRepository"] is True
    assert call("remove", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path).returncode == 3
    assert (folder / where).is_dir()


def test_what_changed_since_the_list_is_refused(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "taken", owner={"namespace": "default", "workflow_id": "other", "epoch": 9})
    done = call("remove", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path)
    assert done.returncode == 3 and "another campaign" in done.stderr
    outside = launch(tmp_path, "outside")
    done = call("remove", str(base), str(outside), json.dumps(OWNER), cwd=tmp_path)
    assert done.returncode == 3 and "below" in done.stderr
    used = launch(base, "used")
    assert call("remove", str(base), str(used), json.dumps(OWNER), cwd=used / "trials").returncode == 3
    assert folder.exists() and outside.exists() and used.exists()


def test_an_archive_holds_every_file_and_replaces_none(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "old")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("launch.json")
    done = call("archive", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    packed = base / "old.tar.gz"
    assert json.loads(done.stdout)["archive"] == str(packed) and not folder.exists()
    with tarfile.open(str(packed)) as archive:
        names = archive.getnames()
        assert "old/trials/job_trial-0001/attempt-1/stdout.log" in names and "old/empty" in names and "old/link" in names
        stream = archive.extractfile("old/trials/job_trial-0001/attempt-1/stdout.log")
        assert stream is not None and stream.read() == b"hello\n"
    assert [entry.name for entry in base.iterdir()] == ["old.tar.gz"]
    again = launch(base, "old")
    done = call("archive", str(base), str(again), json.dumps(OWNER), cwd=tmp_path)
    assert done.returncode == 3 and "there already" in done.stderr and again.exists()


def test_a_removal_that_was_cut_off_is_finished_by_the_next(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "half")
    (folder / "trials" / "job_trial-0001" / "attempt-1" / "stdout.log").unlink()
    (found,) = listed(base, tmp_path)
    assert call("remove", str(base), found["folder"], json.dumps(found["owner"]), cwd=tmp_path).returncode == 0
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("verb", ["archive", "remove"])
def test_a_call_that_is_cut_off_after_any_step_is_finished_by_the_next(base: Path, tmp_path: Path, verb: str) -> None:
    dying = Path(__file__).with_name("dying.py")
    for step in range(1, 60):
        folder = launch(base, "cut")
        (folder / "pilots").mkdir()
        command = [sys.executable, str(dying), str(step), str(SCRIPT), verb, str(base), str(folder), json.dumps(OWNER)]
        is_over = subprocess.run(command, check=False, stdout=subprocess.DEVNULL, cwd=str(tmp_path)).returncode == 0
        if (folder / "launch.json").exists():
            done = call(verb, str(base), str(folder), json.dumps(OWNER), cwd=tmp_path)
            assert done.returncode == 0, "cut off after step {}: {}".format(step, done.stderr)
        # At worst an empty folder is left.
        if folder.exists():
            folder.rmdir()
        assert [entry.name for entry in base.iterdir()] == (["cut.tar.gz"] if verb == "archive" else [])
        if verb == "archive":
            with tarfile.open(str(base / "cut.tar.gz")) as archive:
                assert {"cut/launch.json", "cut/trials/job_trial-0001/attempt-1/stdout.log"} <= set(archive.getnames())
            (base / "cut.tar.gz").unlink()
        if is_over:
            assert step > 3
            return
    raise AssertionError("it never came to its end")


def test_two_archives_of_one_folder_at_once_are_kept_apart(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "twice")
    with open(str(folder) + ".tar.gz.tmp", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = call("archive", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path)
        assert done.returncode == 3 and "another call" in done.stderr
    assert call("archive", str(base), str(folder), json.dumps(OWNER), cwd=tmp_path).returncode == 0


def test_heartbeats_tell_an_agent_at_work(base: Path, tmp_path: Path) -> None:
    folder = launch(base, "live")
    pilot = folder / "pilots" / "p1"
    pilot.mkdir(parents=True)
    (pilot / "heartbeat.json").write_text(json.dumps({"state": "running"}))
    old = launch(base, "old") / "pilots" / "p1"
    old.mkdir(parents=True)
    (old / "heartbeat.json").write_text(json.dumps({"state": "running"}))
    os.utime(str(old / "heartbeat.json"), (1, 1))
    gone = launch(base, "said-goodbye") / "pilots" / "p1"
    gone.mkdir(parents=True)
    (gone / "heartbeat.json").write_text(json.dumps({"state": "ended"}))
    ages = {Path(found["folder"]).name: found["beatAgeSeconds"] for found in listed(base, tmp_path)}
    assert ages["live"] < 60 and ages["old"] > 1e6 and ages["said-goodbye"] is None


def test_a_base_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert listed(tmp_path / "nowhere", tmp_path) == []
