"""The benchmark runs and its numbers are consistent; what they are is nobody's promise."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from conftest import PAYLOAD

BENCH = PAYLOAD.parents[2] / "bench" / "training" / "bench.py"


@pytest.mark.slow
def test_the_benchmark_compares_memory_start_and_speed_in_one_run() -> None:
    words = ["--model", "custom", "--width-factor", "0.1", "--steps", "1", "--rounds", "3", "--warmup", "1", "--images", "256"]
    words += ["--workers", "0", "1", "--amp", "off", "--trials", "1", "2", "--seconds", "0.5", "--threads", "1"]
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["rounds"]) == {"plain, 0 loader processes", "plain, 1 loader processes", "trainer, off"}
    assert all(len(speeds) == 3 and min(speeds) > 0 for speeds in found["rounds"].values())
    assert found["compared_with"].startswith("plain")
    assert found["ratio"]["trainer, off"] > 0
    for start in found["start"].values():
        assert 0 < start["seconds_to_first_batch"] <= start["seconds_in_all"]
        assert start["resident_bytes"] > 1 << 20
    assert [row["trials"] for row in found["several_trials"]] == [1, 2]
    assert all(row["in_all"] == pytest.approx(sum(row["per_trial"])) for row in found["several_trials"])
