import os
import subprocess

import pytest

from spool_folder import Spool


@pytest.fixture
def spool(tmp_path):
    """Makes launch folders: spool(command, **launch_record). What runs in them is ended with the test."""
    made = []

    def make(command, folder=None, **record):
        made.append(Spool(folder or tmp_path / "launch-{}".format(len(made)), command, **record))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    # Lazily: a process that a failed test left behind must not keep it.
    subprocess.run(["umount", "-l", str(folder)], check=True)
