"""Small generated data and a way to run trainings as processes of their own: forked, so that torch is imported once."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

# These trainings are the CPU's, where the same seed gives the same numbers; test_cuda.py gives its own the GPUs that this process was given.
# (pytest-xdist's workers inherit the hidden mask, so the real one has a name of its own.)
os.environ.setdefault("TEST_CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# One thread: results are then the same on every machine, and a fork of this process may use torch.
os.environ["OMP_NUM_THREADS"] = "1"
PAYLOAD = Path(__file__).resolve().parents[3] / "remote" / "training" / "cifar100"
sys.path.insert(0, str(PAYLOAD))

import pytest
import torch

import train
from payload import synthetic

torch.set_num_threads(1)
# The smallest network there is: an epoch of the small data takes a fraction of a second.
SMALL = ["--model_type", "custom", "--width_factor", "0.1", "--hidden_size", "32", "--num_layers", "2", "--batch_size", "32"]
CLOCKED = {"epoch_time", "training_seconds", "images_per_second", "peak_memory_bytes", "utilisation_percent", "replayed"}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: only with HOLDFAST_SLOW=1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("HOLDFAST_SLOW") != "1":
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: set HOLDFAST_SLOW=1"))


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    synthetic.generate(str(root), 150, 50, seed=3)
    return root


NOBODY = 65534


def become_nobody() -> None:
    """For a forked child: a user who may read only what all may read. Without root's rights a closed mode holds for ourselves too."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and write, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-open-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


class Training:
    """One training as a process. `end` waits for it; `kill_when` kills it without warning."""

    def __init__(self, arguments: list[str], out: Path, environment: dict[str, str], before: Callable[[], None] | None = None) -> None:
        """`before` runs in the new process, before the training."""
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                for name in list(os.environ):
                    if name.startswith(("HOLDFAST_", "CIFAR100_")):
                        del os.environ[name]
                os.environ.update(environment)
                sys.stdout = sys.stderr = open(out / "log", "a", buffering=1)
                logging.getLogger().handlers.clear()
                if before is not None:
                    before()
                code = train.main(arguments)
            finally:
                sys.stdout.flush()
                os._exit(code)

    def end(self, seconds: float = 240) -> int:
        """Exit code; minus the signal's number if one ended it."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            time.sleep(0.005)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"did not end within {seconds} s:\n{self.log}")

    @property
    def log(self) -> str:
        return (self.out / "log").read_text()

    @property
    def results(self) -> dict[str, Any]:
        return json.loads((self.out / "results.json").read_text())

    @property
    def lines(self) -> list[dict[str, Any]]:
        path = self.out / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Waits until something is so. It is an error if the training ends first."""
        limit = time.monotonic() + seconds
        while not holds():
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            assert pid == 0, f"ended with status {status} before that:\n{self.log}"
            assert time.monotonic() < limit, f"waited {seconds} s in vain:\n{self.log}"
            time.sleep(0.002)

    def kill_when(self, holds: Callable[[], bool]) -> None:
        self.wait_for(holds)
        os.kill(self.pid, signal.SIGKILL)
        assert self.end() == -signal.SIGKILL


def kill_all(made: Iterable[Training]) -> None:
    """Nothing that a test began outlives it."""
    for training in made:
        try:
            os.kill(training.pid, signal.SIGKILL)
            os.waitpid(training.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


@pytest.fixture
def start(data_root: Path, tmp_path: Path) -> Callable[..., Training]:
    """start('name', *flags, **environment) runs the small training on the small data, unless flags say otherwise."""
    made: list[Training] = []

    def begin(name: str, *flags: str, small: bool = True, folder: Path = tmp_path, before: Callable[[], None] | None = None, **environment: str) -> Training:
        out = folder / name
        data = [] if "CIFAR100_DATA_DIR" in environment or "--data_dir" in flags else ["--data_dir", str(data_root)]
        training = Training([*(SMALL if small else []), *data, *flags], out, {"HOLDFAST_OUT": str(out), **environment}, before)
        made.append(training)
        return training

    yield begin
    kill_all(made)


def numbers(value: Any) -> Any:
    """A record without what clocks and memory decide: what must be the same, bit for bit, in two runs."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items() if key not in CLOCKED}
    return [numbers(item) for item in value] if isinstance(value, list) else value
