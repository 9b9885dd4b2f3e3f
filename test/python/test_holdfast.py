"""remote/holdfast.py as a training sees it, under Holdfast and without."""

import json
import os
import subprocess
import sys

from spool_folder import ROOT


def run(code, folder, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}
    clean.update(env, PYTHONPATH=str(ROOT / "remote"))
    answer = subprocess.run([sys.executable, "-c", code], env=clean, cwd=folder, stdout=subprocess.PIPE, check=True)
    return answer.stdout.decode()


def test_without_holdfast_a_training_gets_its_defaults_and_prints(tmp_path):
    code = "import holdfast as h; h.report(epoch=1, y=h.params({'lr': 2})['lr']); print(h.should_stop(), h.resume_dir(), h.target_step()); h.result(y=3)"
    assert run(code, tmp_path).splitlines() == ['{"epoch": 1, "y": 2}', "False None None", '{"y": 3, "status": "completed"}']
    assert os.listdir(tmp_path) == []


def test_under_holdfast_it_gets_the_trials_own(tmp_path):
    (tmp_path / "params.json").write_text('{"lr": 0.5}')
    code = "import holdfast as h; p = h.params({'lr': 2, 'wd': 1}); h.report(epoch=1, **p); "
    code += "h.report(epoch=2, y=1); h.result(y=3); h.checkpoint_dir(); print(h.target_step())"
    env = {"HOLDFAST_PARAMS": str(tmp_path / "params.json"), "HOLDFAST_OUT": str(tmp_path), "HOLDFAST_TARGET_STEP": "9"}
    assert run(code, tmp_path, **env) == "9.0\n"
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1, "lr": 0.5, "wd": 1}\n{"epoch": 2, "y": 1}\n'
    assert json.loads((tmp_path / "results.json").read_text()) == {"y": 3, "status": "completed"}
    assert (tmp_path / "checkpoint").is_dir()


def test_a_result_after_a_request_to_stop_says_stopped(tmp_path):
    (tmp_path / "stop").write_text("")
    code = "import holdfast as h; assert h.should_stop(); h.result(y=3)"
    run(code, tmp_path, HOLDFAST_OUT=str(tmp_path), HOLDFAST_STOP_FILE=str(tmp_path / "stop"))
    assert json.loads((tmp_path / "results.json").read_text())["status"] == "stopped"


def test_numbers_of_numpy_are_plain_numbers(tmp_path):
    code = "import numpy, holdfast as h; h.result(a=numpy.float32(0.5), b=numpy.int64(2), c=[numpy.float64(1)], d=float('nan'))"
    run(code, tmp_path, HOLDFAST_OUT=str(tmp_path))
    record = json.loads((tmp_path / "results.json").read_text())
    assert (record["a"], record["b"], record["c"], record["d"] != record["d"]) == (0.5, 2, [1.0], True)
