"""Code that is staged on a system: a power cut must leave no empty file under a name that says that it is right."""

import base64
import hashlib
import importlib.util
import io
import os
import tarfile

import pytest

from spool_folder import ROOT


def module_of(file):
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive_of(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def unpack_behind_pbs(folder, packed):
    (folder / "code.tar.gz").write_bytes(packed)
    module = module_of(ROOT / "remote/pbs/exchange.py")
    return lambda: module.unpack(str(folder / "code.tar.gz"), str(folder / "code"), hashlib.sha256(packed).hexdigest()), folder / "code"


def stage_behind_globus(folder, packed):
    module = module_of(ROOT / "remote/globus_task.py")
    piece = {"index": 0, "data": base64.b64encode(packed).decode()}
    request = dict(piece, base=str(folder), name="code", sha256=hashlib.sha256(packed).hexdigest(), count=1)
    return lambda: module.stage(request), folder / "staged" / "code"


@pytest.mark.parametrize("way", [unpack_behind_pbs, stage_behind_globus])
def test_all_of_it_is_on_disk_before_it_has_its_name(way, tmp_path, monkeypatch):
    stage, target = way(tmp_path, archive_of({"train.py": "print(1)", "lib/deep/net.py": "x = 1"}))
    before, after = set(), set()
    fsync = os.fsync

    def watched(fd):
        (after if target.exists() else before).add(os.fstat(fd).st_ino)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    stage()
    placed = [target, *target.rglob("*")]
    assert len(placed) == 5
    assert [path for path in placed if path.stat().st_ino not in before] == []
    # Its name itself, too: what it was made of may be removed then.
    assert target.parent.stat().st_ino in after
