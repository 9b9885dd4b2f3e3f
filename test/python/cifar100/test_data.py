"""Rows D5-D7: fetching that goes on where it stopped, repair of half an extraction, checks of every byte. A local server stands in for the real one."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import data
from conftest import become_nobody
from payload import archive, synthetic
from payload.archive import FOLDER, SYNTHETIC_MARK, DataProblem, folder_of, verify
from payload.download import download


class Server:
    """Serves one file, with ranges. `cut_after` bytes of a body it drops the connection; `ignores_ranges` makes it an old server."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.cut_after: int | None = None
        self.ignores_ranges = False
        self.status: int | None = None
        self.asked: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                outer.asked.append(asked)
                if outer.status is not None:
                    self.send_error(outer.status)
                    return
                start = 0 if asked is None or outer.ignores_ranges else int(asked.split("=")[1].split("-")[0])
                if start >= len(outer.content) and start > 0:
                    self.send_error(416)
                    return
                body = outer.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(outer.content) - 1}/{len(outer.content)}")
                self.end_headers()
                self.wfile.write(body[: outer.cut_after])

            def log_message(self, *_: object) -> None:
                return

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/cifar-100-python.tar.gz"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


def packed(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in entries.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def genuine(monkeypatch) -> dict[str, bytes]:
    """Small files that stand for the real ones: the checksums are set to theirs, everything else is as it is."""
    entry = {"data": np.random.RandomState(0).randint(0, 256, (100, 3072), np.uint8), "fine_labels": list(range(100))}
    files = {"train": pickle.dumps(entry, 2), "test": pickle.dumps({**entry, "batch_label": "test"}, 2), "meta": b"meta"}
    monkeypatch.setattr(archive, "FILES", tuple((name, hashlib.md5(content).hexdigest()) for name, content in files.items()))
    monkeypatch.setattr(archive, "ARCHIVE_MD5", hashlib.md5(packed(files)).hexdigest())
    return files


@pytest.fixture
def server(genuine: dict[str, bytes], monkeypatch):
    # tar stores times: one packing for checksum and server.
    content = packed(genuine)
    monkeypatch.setattr(archive, "ARCHIVE_MD5", hashlib.md5(content).hexdigest())
    made = Server(content)
    yield made
    made.http.shutdown()
    made.http.server_close()


def prepare(root: Path, *flags: str) -> tuple[int, dict]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = data.main([str(root), *flags, "--json"])
    return code, json.loads(out.getvalue())


def test_the_checksums_are_those_of_row_d6() -> None:
    assert archive.ARCHIVE_MD5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert dict(archive.FILES) == {
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    }


def test_a_first_run_fetches_unpacks_and_checks_and_a_second_does_nothing(server: Server, tmp_path: Path) -> None:
    code, report = prepare(tmp_path, "--url", server.url)
    assert (code, report["ok"], report["action"], report["synthetic"]) == (0, True, "downloaded", False)
    assert sorted(os.listdir(tmp_path / FOLDER)) == ["meta", "test", "train"]
    assert not (tmp_path / archive.ARCHIVE).exists()
    assert prepare(tmp_path, "--url", "http://127.0.0.1:1/")[1]["action"] == "exists"
    assert len(server.asked) == 1


def test_both_forms_of_the_directory_prepare_the_same_folder(server: Server, tmp_path: Path) -> None:
    prepare(tmp_path / FOLDER, "--url", server.url)
    assert verify(str(tmp_path))["ok"]
    assert verify(str(tmp_path / FOLDER))["ok"]
    assert folder_of(str(tmp_path)) == folder_of(str(tmp_path / FOLDER)) == str(tmp_path / FOLDER)


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.cut_after = len(server.content) // 3
    seen: list[int] = []
    download(server.url, str(tmp_path / "a"), archive.ARCHIVE_MD5, lambda got, total: seen.append(got), pause=0.01)
    assert (tmp_path / "a").read_bytes() == server.content
    third = server.cut_after
    assert server.asked == [None, f"bytes={third}-", f"bytes={2 * third}-"] + ([f"bytes={3 * third}-"] if 3 * third < len(server.content) else [])
    assert seen == sorted(seen)


def test_what_an_earlier_run_left_is_gone_on_from(server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{archive.ARCHIVE}.part").write_bytes(server.content[:100])
    assert prepare(tmp_path, "--url", server.url)[0] == 0
    assert server.asked == ["bytes=100-"]


@pytest.mark.parametrize("left", ["rubbish", "too long", "whole"])
def test_a_part_that_is_not_a_beginning_is_thrown_away_once(server: Server, tmp_path: Path, left: str) -> None:
    content = {"rubbish": b"x" * 100, "too long": server.content + b"x", "whole": server.content}[left]
    (tmp_path / f"{archive.ARCHIVE}.part").write_bytes(content)
    assert prepare(tmp_path, "--url", server.url)[0] == 0
    assert verify(str(tmp_path))["ok"]


def test_a_server_without_ranges_starts_again_from_zero(server: Server, tmp_path: Path) -> None:
    server.ignores_ranges = True
    (tmp_path / f"{archive.ARCHIVE}.part").write_bytes(server.content[:100])
    assert prepare(tmp_path, "--url", server.url)[0] == 0


def test_a_server_with_another_file_is_refused_by_its_checksum(server: Server, tmp_path: Path) -> None:
    server.content = server.content[:-1] + b"x"
    code, report = prepare(tmp_path, "--url", server.url)
    assert code == 1
    assert "expected" in report["error"]
    assert not (tmp_path / FOLDER).exists()


def test_a_server_that_refuses_is_not_asked_again_and_one_that_is_away_is(server: Server, tmp_path: Path) -> None:
    server.status = 404
    code, report = prepare(tmp_path, "--url", server.url)
    assert code == 1
    assert "404" in report["error"]
    assert "--from" in report["error"]
    assert len(server.asked) == 1
    server.status = 503
    with pytest.raises(DataProblem, match="503"):
        download(server.url, str(tmp_path / "a"), "x", lambda got, total: None, tries=3, pause=0.01)
    assert len(server.asked) == 4


def test_half_an_extraction_is_repaired(server: Server, genuine: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / FOLDER
    folder.mkdir()
    (folder / "train").write_bytes(genuine["train"][:500])
    (folder / "meta").write_bytes(genuine["meta"])
    code, report = prepare(tmp_path, "--url", server.url)
    assert (code, report["action"]) == (0, "repaired")
    assert (folder / "train").read_bytes() == genuine["train"]


def test_one_flipped_byte_is_found_and_its_file_named(server: Server, tmp_path: Path) -> None:
    prepare(tmp_path, "--url", server.url)
    path = tmp_path / FOLDER / "train"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(bytes(content))
    code, report = prepare(tmp_path, "--verify")
    assert code == 1
    assert "train: md5" in report["error"]
    assert [row["problem"] for row in report["files"]] == ["md5", None, None]
    assert len(server.asked) == 1, "--verify only looks"


@pytest.mark.parametrize("missing", ["train", "test", "meta"])
def test_a_missing_file_is_named(server: Server, tmp_path: Path, missing: str) -> None:
    prepare(tmp_path, "--url", server.url)
    (tmp_path / FOLDER / missing).unlink()
    assert f"{missing}: missing" in prepare(tmp_path, "--verify")[1]["error"]


def test_an_archive_or_a_folder_that_is_already_there_is_taken(server: Server, genuine: dict[str, bytes], tmp_path: Path) -> None:
    source = tmp_path / "here.tgz"
    source.write_bytes(server.content)
    code, report = prepare(tmp_path / "a", "--from", str(source))
    assert (code, report["action"]) == (0, "unpacked")
    assert source.exists(), "an archive of somebody else's is left alone"
    assert prepare(tmp_path / "b", "--from", str(tmp_path / "a"))[0] == 0
    assert (tmp_path / "b" / FOLDER / "test").read_bytes() == genuine["test"]
    assert server.asked == []


def test_an_archive_of_another_thing_or_a_damaged_one_is_refused(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other.tgz"
    other.write_bytes(packed({"train": b"1"}))
    code, report = prepare(tmp_path / "a", "--from", str(other))
    assert code == 1
    assert "is not CIFAR-100's archive" in report["error"]
    assert prepare(tmp_path / "a", "--from", str(tmp_path / "none"))[0] == 1
    cut = tmp_path / "cut.tgz"
    cut.write_bytes(server.content[:-50])
    with pytest.raises(DataProblem, match="is damaged"):
        archive.extract(str(cut), str(tmp_path / "b" / FOLDER))
    assert not (tmp_path / "b" / FOLDER).exists(), "nothing that looks like data may be left"


def test_nothing_in_an_archive_can_write_elsewhere(genuine: dict[str, bytes], tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {**{f"{FOLDER}/{name}": content for name, content in genuine.items()}, "../../evil": b"x", "/tmp/train2": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    path = tmp_path / "a.tgz"
    path.write_bytes(buffer.getvalue())
    archive.extract(str(path), str(tmp_path / "in" / "deep" / FOLDER))
    assert sorted(os.listdir(tmp_path / "in" / "deep" / FOLDER)) == ["meta", "test", "train"]
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "in" / "evil").exists()


def test_a_killed_extraction_leaves_nothing_that_looks_like_data(server: Server, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / FOLDER
    (tmp_path / "a.tgz").write_bytes(server.content)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        archive.extract(str(tmp_path / "a.tgz"), str(folder))
    assert not (folder / "train").exists()


def test_a_file_that_this_user_may_not_read_is_a_permission_problem(open_folder: Path) -> None:
    synthetic.generate(str(open_folder / "d"), 100, 10)
    (open_folder / "d" / FOLDER / "test").chmod(0o000)
    report = open_folder / "report.json"
    pid = os.fork()
    if pid == 0:
        become_nobody()
        with open(report, "w") as file, contextlib.redirect_stdout(file):
            code = data.main([str(open_folder / "d"), "--verify", "--json"])
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    rows = {row["name"]: row for row in json.loads(report.read_text())["files"]}
    assert rows["test"]["problem"] == "permission"
    assert "mode ----------" in rows["test"]["detail"]
    assert rows["train"]["problem"] is None


def wait_until_over(root: Path) -> tuple[int, dict]:
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        code, status = prepare(root, "--status")
        if code != 3:
            return code, status
        time.sleep(0.05)
    raise AssertionError("the detached run never ended")


def test_a_detached_run_is_polled_to_its_end(server: Server, tmp_path: Path) -> None:
    code, begun = prepare(tmp_path, "--detach", "--url", server.url)
    assert (code, begun["detached"]) == (0, True)
    code, status = wait_until_over(tmp_path)
    assert (code, status["state"], status["result"]["action"]) == (0, "done", "downloaded")
    assert verify(str(tmp_path))["ok"]


def test_a_detached_run_that_fails_says_why(server: Server, tmp_path: Path) -> None:
    server.status = 404
    prepare(tmp_path, "--detach", "--url", server.url)
    code, status = wait_until_over(tmp_path)
    assert (code, status["state"]) == (1, "failed")
    assert "404" in status["message"]


def test_a_detached_run_that_was_killed_is_known_to_be_dead_and_can_be_started_again(server: Server, tmp_path: Path) -> None:
    status = {"state": "running", "pid": 2**22 + 1, "host": __import__("socket").gethostname(), "message": "fetching", "updated_at": 0}
    (tmp_path / data.STATUS).write_text(json.dumps(status))
    assert prepare(tmp_path, "--status")[1]["state"] == "died"
    prepare(tmp_path, "--detach", "--url", server.url)
    assert wait_until_over(tmp_path)[0] == 0


@pytest.mark.parametrize(("age", "state"), [(60, "running"), (900, "running"), (3600, "died")])
def test_a_detached_run_of_another_machine_is_believed_until_it_has_long_been_silent(tmp_path: Path, age: int, state: str) -> None:
    status = {"state": "running", "pid": os.getpid(), "host": "another-uan", "message": "fetching", "updated_at": time.time() - age}
    (tmp_path / data.STATUS).write_text(json.dumps(status))
    assert prepare(tmp_path, "--status")[1]["state"] == state


def test_two_runs_in_one_folder_do_not_disturb_each_other(server: Server, tmp_path: Path) -> None:
    path = str(tmp_path / data.LOCK)
    script = f"import fcntl, sys; f = open({path!r}, 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(DataProblem, match="another process"):
            data.take_lock(str(tmp_path), 0.2)
    finally:
        holder.communicate(b"")
    assert prepare(tmp_path, "--url", server.url)[0] == 0


def test_generated_data_are_the_format_are_small_once_packed_and_say_what_they_are(tmp_path: Path) -> None:
    code, report = prepare(tmp_path / "a", "--generate", "--archive", str(tmp_path / "a.tgz"))
    assert (code, report["synthetic"], report["ok"]) == (0, True, True)
    assert 100_000 < report["archive"]["size"] < 600_000
    with open(tmp_path / "a" / FOLDER / "train", "rb") as file:
        entry = pickle.load(file, encoding="latin1")
    assert entry["data"].shape == (2000, 3072)
    assert entry["data"].dtype == np.uint8
    assert sorted(set(entry["fine_labels"])) == list(range(100))
    assert len(entry["coarse_labels"]) == len(entry["filenames"]) == 2000
    assert entry["synthetic"] is True
    unpacked = prepare(tmp_path / "b", "--from", str(tmp_path / "a.tgz"))[1]
    assert unpacked["synthetic"] is True
    assert (tmp_path / "b" / FOLDER / "train").read_bytes() == (tmp_path / "a" / FOLDER / "train").read_bytes()


def test_generated_data_depend_on_their_seed_alone(tmp_path: Path) -> None:
    folders = [Path(synthetic.generate(str(tmp_path / name), 100, 10, seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    contents = [(folder / "train").read_bytes() for folder in folders]
    assert contents[0] == contents[1] != contents[2]


def test_generated_and_real_data_never_mix(server: Server, tmp_path: Path) -> None:
    prepare(tmp_path / "real", "--url", server.url)
    code, report = prepare(tmp_path / "real", "--generate")
    assert code == 1
    assert "holds data that were not generated" in report["error"]
    prepare(tmp_path / "made", "--generate", "--train-images", "100", "--test-images", "10")
    code, report = prepare(tmp_path / "made", "--url", server.url)
    assert code == 1
    assert "generated data, not CIFAR-100" in report["error"]


def test_a_generation_that_was_cut_short_is_not_taken_for_anything(tmp_path: Path) -> None:
    folder = Path(synthetic.generate(str(tmp_path), 100, 10))
    mark = json.loads((folder / SYNTHETIC_MARK).read_text())
    (folder / SYNTHETIC_MARK).write_text(json.dumps({**mark, "md5": {}}))
    assert prepare(tmp_path, "--verify")[0] == 1


def test_modes_exclude_each_other(tmp_path: Path, capsys) -> None:
    assert data.main([str(tmp_path), "--verify", "--generate"]) == 2
    assert "exclude each other" in capsys.readouterr().err
