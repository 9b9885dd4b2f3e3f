"""The benchmark runs and its numbers are consistent; what they are is nobody's promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PAYLOAD

BENCH = PAYLOAD.parents[2] / "bench" / "training" / "bench.py"


@pytest.mark.slow
@pytest.mark.parametrize("together", [False, True])
def test_the_benchmark_compares_memory_start_and_speed_in_one_run(tmp_path: Path, together: bool) -> None:
    words = ["--model", "custom", "--width-factor", "0.1", "--steps", "1", "--rounds", "3", "--warmup", "1", "--images", "256", "--plain", "off", "bf16"]
    words += ["--workers", "0", "1", "--trainer", "off", "bf16", "--trials", "1", "2", "--seconds", "0.5", "--threads", "1", "--keep", str(tmp_path)]
    words += ["--together"] if together else []
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "training-cpu-custom-x0.1.json").read_text())
    steps = {"plain, 0 loader processes", "plain, 1 loader processes", "plain, 1 loader processes, bf16", "trainer, off", "trainer, bf16"}
    alone = {"batches alone: plain, 1 loader processes", "batches alone: trainer"}
    assert (set(found["images_per_second"]), set(found["batches_alone"]), set(found["rounds"])) == (steps, alone, steps | alone)
    assert all(len(speeds) == 3 and min(speeds) > 0 for speeds in found["rounds"].values())
    assert found["compared_with"] in ("plain, 0 loader processes", "plain, 1 loader processes")
    assert set(found["ratio"]) == set(found["ratio_in_the_same_form"]) == {"trainer, off", "trainer, bf16"}
    assert min(*found["ratio"].values(), *found["ratio_in_the_same_form"].values(), found["batches_alone_ratio"]) > 0
    for start in found["start"].values():
        assert together or 0 < start["seconds_to_first_batch"] <= start["seconds_in_all"]
        assert start["resident_bytes"] > 1 << 20
    assert [row["trials"] for row in found["several_trials"]] == [1, 2]
    assert all(row["in_all"] == pytest.approx(sum(row["per_trial"])) for row in found["several_trials"])
    page = (tmp_path / "training-cpu-custom-x0.1.md").read_text()
    assert page.strip() == done.stdout.strip()
    assert ("first batch after" in page) is not together
    assert all(f"| {name} |" in page for name in steps)


def test_a_contender_that_does_not_start_is_named_and_the_others_are_compared(tmp_path: Path) -> None:
    """fp16 cannot train on a CPU."""
    words = ["--model", "custom", "--width-factor", "0.03", "--steps", "1", "--rounds", "1", "--warmup", "1", "--images", "128", "--batch-size", "16"]
    words += ["--workers", "0", "--trainer", "fp16", "off", "--trials", "--threads", "1", "--keep", str(tmp_path), "--label", "some"]
    done = subprocess.run([sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "training-cpu-custom-x0.03-some.json").read_text())
    assert set(found["images_per_second"]) == {"plain, 0 loader processes", "trainer, off"}
    assert found["failed"] == {"trainer, fp16": "trainer, fp16 ended with exit code 1"}
    assert "Did not run: trainer, fp16" in done.stdout
    assert str(tmp_path) not in done.stdout
