"""The one function that a Globus Compute worker executes: source text in an empty namespace, nothing beside it."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "remote" / "globus_task.py"

# As the worker does (strategy `st`): executed in a namespace of its own, then looked up by name.
CALL = """
import json, sys
namespace = {}
exec(sys.stdin.read(), namespace)
print(json.dumps([namespace["holdfast_task"](request) for request in json.loads(sys.argv[1])]))
"""


# A hardened build of Python: MD5 is there as a checksum, and only when told so.
HARDENED = """
import hashlib
real = hashlib.new
def new(name, data=b"", **words):
    if name == "md5" and words.get("usedforsecurity", True):
        raise ValueError("[digital envelope routines] unsupported")
    return real(name, data, **words)
hashlib.new = new
hashlib.md5 = lambda data=b"": new("md5", data)
"""


def call(*requests: dict, before: str = "") -> list[dict]:
    # -I -S: no PYTHONPATH, no site-packages, not even the current folder.
    words = [sys.executable, "-I", "-S", "-c", before + CALL, json.dumps(requests)]
    done = subprocess.run(words, input=SOURCE.read_text(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    hello, probe, shell = call(
        {"op": "hello", "index": 3},
        {"op": "probe", "base": str(tmp_path / "base")},
        {"op": "shell", "script": 'printf %s "$1"', "args": ["a b"], "seconds": 5, "bytes": 100},
    )
    assert (hello["message"], hello["index"]) == ("Hello from {}!".format(hello["host"]), 3)
    assert probe["base"] == str(tmp_path / "base")
    assert (shell["code"], shell["stdout"]) == (0, "YSBi")


def test_setup_lines_may_print_and_read_what_they_like(tmp_path: Path) -> None:
    setup = ["printf 'Loading modules'", "cat >/dev/null", "export SEEN=1", "# done"]
    check = {"op": "check", "setup": setup, "env": {}, "modules": ["json"], "data_dir": None, "dataset": None}
    assert call(check)[0]["problems"] == []
    agent = tmp_path / "agent.py"
    agent.write_text(
        "import json, os, sys\noffer = json.load(sys.stdin)\nprint(json.dumps(dict(offer, seen=os.environ['SEEN'], files=[], directory='trials')))\n"
    )
    trial = {"op": "trial", "directory": str(tmp_path), "agent": str(tmp_path), "python": sys.executable, "setup": setup, "env": {}}
    trial.update(offer={"trial": "trial-0001", "attempt": 1}, poll=1, heartbeat=1, stale=1, seconds=60, inline_bytes=1000)
    (answer,) = call(trial)
    assert (answer["state"], answer["record"]["seen"]) == ("ended", "1")


def engine_of(*pool_words: str) -> str | None:
    """What a look says of the engine when its worker was started by a pool with these words."""
    parent = "import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', sys.argv[1], sys.argv[2]], check=True)"
    words = [sys.executable, "-c", parent, CALL, json.dumps([{"op": "look", "attempts": []}]), *pool_words]
    done = subprocess.run(words, input=SOURCE.read_text(), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)[0]["engine"]


def test_a_look_says_which_engine_ran_it_where_that_can_be_told(tmp_path: Path) -> None:
    assert engine_of("--port=54321") is None
    # The pool that starts the workers has its engine's port among its words.
    pool = "parsl.executors.high_throughput.process_worker_pool"
    assert engine_of(pool, "--cert_dir", "None", "--port=54321") == "--port=54321"
    # Also where the ports are fixed: each engine makes new keys.
    engines = []
    for key in ("one", "one", "two"):
        (tmp_path / "server.key").write_text(key)
        engines.append(engine_of(pool, "--port=54321", "--cert_dir", str(tmp_path)))
    assert engines[0] == engines[1] != engines[2]


def test_it_is_written_in_python_3_6() -> None:
    ast.parse(SOURCE.read_text(), feature_version=(3, 6))


def test_data_are_checked_by_a_hardened_python_too(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(b"no images")
    check = {"op": "check", "python": sys.executable, "data_dir": str(tmp_path), "dataset": "cifar100"}
    (plain,) = call(check)
    (hardened,) = call(check, before=HARDENED)
    told = [problem["message"] for problem in plain["problems"]]
    assert [problem["message"] for problem in hardened["problems"]] == told
    assert [("damaged" in line, "cannot be read" in line) for line in told] == [(False, True), (True, False), (True, False)]


def test_the_first_failing_line_of_worker_init_is_named() -> None:
    check = {"op": "check", "python": sys.executable, "modules": []}
    good, bad, loud = call(
        {**check, "worker_init": "export A=1\nif false; then\n  exit 4\nfi\nfalse || true\n"},
        {**check, "worker_init": "true\nls /nowhere-at-all\ntrue"},
        {**check, "worker_init": "true\nexit 4"},
    )
    assert good["problems"] == []
    assert [problem["code"] for problem in bad["problems"]] == ["worker_init"]
    assert bad["problems"][0]["message"].startswith("line 2 ended with 2: ls /nowhere-at-all (")
    assert loud["problems"] == [{"code": "worker_init", "message": "it ended with 4: "}]
