"""What a training may do wrong, and what its record must say."""

import json
import os
import stat
import sys

import pytest

from spool_folder import ROOT, lives, wait_for

HUGE = 'echo \'{"y": ' + "9" * 400 + '}\' > "$HOLDFAST_OUT/results.json"'


def shell(line):
    return ["/bin/sh", "-c", line, "training"]


def python(*lines):
    return [sys.executable, "-c", "\n".join(lines)]


RESULT = 'echo \'{"y": 0.5}\' > "$HOLDFAST_OUT/results.json"; '

ERROR = {"category": "data_access_error", "error_message": "no images", "stage": "data_loading"}
STATED = "echo '{}' > \"$HOLDFAST_OUT/results.json\"; ".format(json.dumps({"status": "failed", "error": ERROR}))
ODD = "echo '{}' > \"$HOLDFAST_OUT/results.json\"; ".format(json.dumps({"status": "failed", "error": dict(ERROR, category=["data"])}))

# (what the training does, command, status, class, words of the message)
TRAININGS = [
    ("a good one", shell(RESULT), "completed", None, ""),
    ("a missing command", ["/nowhere/train"], "failed", "command_not_found", "/nowhere/train does not exist"),
    ("a command that is no word of PATH", ["no-such-command"], "failed", "command_not_found", "does not exist"),
    ("exit code 3", shell("echo the reason >&2; exit 3"), "failed", "exit_code", "exit code 3: the reason"),
    ("exit code 3 after a good result", shell(RESULT + "exit 3"), "failed", "exit_code", "exit code 3"),
    ("killed by a foreign signal", shell("kill -9 $$"), "failed", "killed", "SIGKILL"),
    ("killed by SEGV", shell("kill -SEGV $$"), "failed", "killed", "SIGSEGV"),
    ("NaN", shell('echo \'{"y": NaN}\' > "$HOLDFAST_OUT/results.json"'), "failed", "not_finite", "diverged"),
    ("infinity", shell('echo \'{"y": -Infinity}\' > "$HOLDFAST_OUT/results.json"'), "failed", "not_finite", "diverged"),
    ("null", shell('echo \'{"y": null}\' > "$HOLDFAST_OUT/results.json"'), "failed", "not_finite", "diverged"),
    ("a word for a number", shell('echo \'{"y": "high"}\' > "$HOLDFAST_OUT/results.json"'), "failed", "bad_result", "no number"),
    ("an integer without bounds", shell(HUGE), "failed", "not_finite", "diverged"),
    ("no metric", shell("true"), "failed", "no_metric", "in the attempt's folder ($HOLDFAST_OUT, {out} in the command) has a number"),
    ("another metric", shell('echo \'{"z": 1, "s": "x"}\' > "$HOLDFAST_OUT/results.json"'), "failed", "no_metric", "objective y. There is: z. Write"),
    ("a truncated result", shell('printf \'{"y": 0.\' > "$HOLDFAST_OUT/results.json"'), "failed", "bad_result", "cannot be read"),
    ("a result that is a list", shell('echo "[1]" > "$HOLDFAST_OUT/results.json"'), "failed", "bad_result", "no object"),
    ("bytes for a result", shell('head -c 1000 /dev/urandom > "$HOLDFAST_OUT/results.json"'), "failed", "bad_result", "cannot be read"),
    ("a far too large result", shell('head -c 20000000 /dev/zero > "$HOLDFAST_OUT/results.json"'), "failed", "too_large", "20000000 bytes"),
    ("a missing module", python("import no_such_module"), "failed", "environment_error", "no_such_module"),
    ("no memory", python("raise MemoryError()"), "failed", "resource_error", "MemoryError"),
    ("a stated error", shell(STATED + "exit 1"), "failed", "data_access_error", "no images"),
    ("a stated error whose class is no word", shell(ODD + "exit 1"), "failed", "exit_code", "no images"),
    ("a placeholder that nobody knows", ["/bin/echo", "{learning_rte}"], "failed", "configuration_error", "{learning_rte}"),
    ("a placeholder without a value", ["/bin/echo", "{data_dir}"], "failed", "configuration_error", "{data_dir}"),
    ("a zero byte in the command", ["/bin/echo", "a\0b"], "failed", "configuration_error", "cannot be started"),
    (
        "deeply nested JSON",
        python("import os", 'open(os.environ["HOLDFAST_OUT"] + "/results.json", "w").write("[" * 100000)'),
        "failed",
        "bad_result",
        "cannot be read",
    ),
]


@pytest.mark.parametrize("command,status,kind,words", [case[1:] for case in TRAININGS], ids=[case[0].replace(" ", "-") for case in TRAININGS])
def test_a_training_that_ends_badly_is_recorded_as_what_it_was(spool, command, status, kind, words):
    launch = spool(command)
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert record["status"] == status
    assert (record["error"] and record["error"]["class"]) == kind
    assert words in (record["error"] or {"message": ""})["message"]
    assert record["values"] == ([0.5] if status == "completed" else None)
    assert launch.claims() == []


def test_a_command_without_execute_permission_is_told_apart_from_a_missing_one(spool, tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\n")
    launch = spool([str(script)])
    launch.offer(1)
    error = launch.run()["trial-0001.1"]["error"]
    assert (error["class"], "is not executable" in error["message"]) == ("command_not_found", True)


def test_a_script_without_an_interpreter_line_is_no_program(spool, tmp_path):
    script = tmp_path / "train.sh"
    script.write_text("echo hello\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    launch = spool([str(script)])
    launch.offer(1)
    assert launch.run()["trial-0001.1"]["error"]["class"] == "command_not_found"


def test_words_of_the_command_are_never_read_by_a_shell(spool, tmp_path):
    wicked = 'a b\'; touch {}; "$(id)" `id` \n*'.format(tmp_path / "touched")
    code = "import json, os, sys; json.dump({'y': 1, 'word': sys.argv[1]}, open(os.environ['HOLDFAST_OUT'] + '/results.json', 'w'))"
    launch = spool([sys.executable, "-c", code, "{word}"])
    launch.offer(1, params={"word": wicked})
    assert launch.run()["trial-0001.1"]["status"] == "completed"
    assert json.loads((launch.attempt(1) / "results.json").read_text())["word"] == wicked
    assert not (tmp_path / "touched").exists()


def test_names_and_values_beyond_ascii_arrive_also_where_python_knows_no_more_in_the_locale_of_a_batch_job(spool, tmp_path):
    line = 'printf "%s|%s" "$1" "$SIZE" > "$HOLDFAST_OUT/größe ✓.txt"; ' + RESULT
    launch = spool(shell(line) + ["{size}"], folder=tmp_path / "größe ✓", env={"SIZE": "groß ✓"}, job_pattern="größe {job_id}")
    launch.offer(1, params={"size": "groß ✓"})
    # Python 3.6 is so by itself where the locale is C.
    record = launch.run(env={"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})["trial-0001.1"]
    assert (record["status"], record["error"]) == ("completed", None)
    assert record["directory"] == "trials/größe trial-0001/attempt-1"
    assert "größe ✓.txt" in [each["path"] for each in record["files"]]
    written = launch.path(record["directory"], "größe ✓.txt").read_text()
    assert written == "groß ✓|groß ✓"


def test_placeholders_and_environment_tell_the_training_everything(spool, tmp_path):
    code = "\n".join(
        [
            "import json, os, sys",
            "params = json.load(open(os.environ['HOLDFAST_PARAMS']))",
            "seen = dict(y=1, argv=sys.argv[1:], env=dict(os.environ), cwd=os.getcwd(), params=params)",
            "json.dump(seen, open(os.environ['HOLDFAST_OUT'] + '/results.json', 'w'))",
        ]
    )
    words = ["{python}", "{out}", "{params_file}", "{data_dir}", "{trial}", "{attempt}", "{slot}", "lr={lr}", "{flag}", "{{lr}}", "{}", '{"a": 1}']
    launch = spool([sys.executable, "-c", code, *words], data_dir=str(tmp_path), env={"MINE": "yes"})
    launch.offer(1, params={"lr": 1e-05, "flag": True})
    assert launch.run()["trial-0001.1"]["status"] == "completed"
    seen = json.loads((launch.attempt(1) / "results.json").read_text())
    folder = str(launch.attempt(1))
    params = str(launch.attempt(1).parent / "params.json")
    assert seen["argv"] == [sys.executable, folder, params, str(tmp_path), "trial-0001", "1", "0", "lr=1e-05", "true", "{lr}", "{}", '{"a": 1}']
    assert seen["params"] == {"lr": 1e-05, "flag": True}
    assert seen["cwd"] == folder
    env = seen["env"]
    assert (env["HOLDFAST_TRIAL"], env["HOLDFAST_ATTEMPT"], env["HOLDFAST_SLOT"], env["MINE"]) == ("trial-0001", "1", "0", "yes")
    assert env["HOLDFAST_DATA_DIR"] == str(tmp_path)
    assert env["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT / "remote")


def test_a_training_that_hangs_is_killed_after_some_of_its_own_gaps(spool):
    code = ["import json, os, time", "out = open(os.environ['HOLDFAST_OUT'] + '/metrics.jsonl', 'a', buffering=1)"]
    code += ["for epoch in range(5):", "    print(json.dumps(dict(epoch=epoch, y=epoch)), file=out)", "    time.sleep(0.2)", "time.sleep(1000)"]
    launch = spool(python(*code), limits={"hang_factor": 3, "hang_min_seconds": 1})
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert record["error"]["class"] == "hang"
    # On a loaded computer one of the gaps may be that long already.
    assert record["curve"] == [[epoch, epoch] for epoch in range(5)][: len(record["curve"])] != []
    assert 1 <= record["run_seconds"] < 60


def test_a_slow_training_that_reports_is_not_taken_for_hanging(spool):
    code = ["import json, os, time", "out = open(os.environ['HOLDFAST_OUT'] + '/metrics.jsonl', 'a', buffering=1)"]
    code += ["for epoch in range(4):", "    print(json.dumps(dict(epoch=epoch, y=epoch)), file=out)", "    time.sleep(0.7)"]
    launch = spool(python(*code), limits={"hang_factor": 1000, "hang_min_seconds": 0.1})
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["status"], record["values"], record["step"]) == ("completed", [3], 3)


def test_a_training_that_never_reports_is_not_taken_for_hanging(spool):
    launch = spool(shell("sleep 1.5; " + RESULT), limits={"hang_factor": 2, "hang_min_seconds": 0.1})
    launch.offer(1)
    assert launch.run()["trial-0001.1"]["status"] == "completed"


def test_a_training_that_ignores_term_is_killed_with_all_its_children(spool):
    line = 'trap \'\' TERM; sleep 1001 & echo $! > "$HOLDFAST_OUT/child"; setsid sleep 1002 & echo $! >> "$HOLDFAST_OUT/child"; '
    launch = spool(shell(line + 'touch "$HOLDFAST_OUT/up"; while :; do sleep 0.1; done'), limits={"grace_seconds": 0.3})
    launch.offer(1)
    agent = launch.agent("--idle-exit", "0.1")
    wait_for((launch.attempt(1) / "up").exists)
    launch.path("spool/stop/trial-0001.1").write_text("because\n")
    assert agent.wait(timeout=60) == 0
    record = launch.done("trial-0001.1")
    assert (record["status"], record["error"]["class"], record["signal"]) == ("stopped", "cancelled", "SIGKILL")
    for pid in (launch.attempt(1) / "child").read_text().split():
        wait_for(lambda pid=pid: not lives(pid))


def test_a_training_that_takes_longer_than_it_may_is_ended(spool):
    launch = spool(shell("sleep 1000"), limits={"trial_seconds": 1, "grace_seconds": 0.3})
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["status"], record["error"]["class"]) == ("failed", "timeout")
    assert record["signal"] in ("SIGTERM", "SIGKILL")


def test_background_processes_of_a_training_end_with_it(spool):
    launch = spool(shell('sleep 1001 & echo $! > "$HOLDFAST_OUT/child"; ' + RESULT))
    launch.offer(1)
    assert launch.run()["trial-0001.1"]["status"] == "completed"
    pid = (launch.attempt(1) / "child").read_text().strip()
    wait_for(lambda: not lives(pid))


def test_only_the_late_trial_is_killed_not_its_neighbours(spool):
    launch = spool(["/bin/sh", "-c", 'sleep "$1"; ' + RESULT, "training", "{seconds}"], limits={"trial_seconds": 5, "grace_seconds": 0.2})
    launch.offer(1, params={"seconds": 1000})
    launch.offer(2, params={"seconds": 0.2})
    records = launch.run()
    assert [records["trial-000{}.1".format(trial)]["status"] for trial in (1, 2)] == ["failed", "completed"]


def test_a_gigabyte_of_output_neither_fills_the_disk_nor_stalls(spool):
    launch = spool(shell("head -c 1000000000 /dev/zero; echo the end; " + RESULT), limits={"log_bytes": 1_000_000})
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert record["status"] == "completed"
    logs = {name: (launch.attempt(1) / name).stat().st_size for name in os.listdir(launch.attempt(1)) if name.startswith("stdout")}
    assert set(logs) == {"stdout.log", "stdout.log.1"}
    assert all(size <= 1_000_000 for size in logs.values())
    assert (launch.attempt(1) / "stdout.log").read_bytes().endswith(b"the end\n")


def test_logs_are_rotated_by_size_and_keep_the_last_lines(spool):
    launch = spool(shell('i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; ' + RESULT), limits={"log_bytes": 10_000})
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    text = (launch.attempt(1) / "stdout.log.1").read_text() + (launch.attempt(1) / "stdout.log").read_text()
    assert text.endswith("line 2999\n")
    lines = text.splitlines()[1:]
    assert lines == ["line {}".format(i) for i in range(3000 - len(lines), 3000)]
    assert {"results.json", "stdout.log", "stdout.log.1"} <= {each["path"] for each in record["files"]}


def test_files_are_listed_with_their_size_and_sha256(spool):
    launch = spool(shell('mkdir "$HOLDFAST_OUT/checkpoint"; printf abc > "$HOLDFAST_OUT/checkpoint/a.pt"; ' + RESULT))
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    files = {each["path"]: each for each in record["files"]}
    assert files["checkpoint/a.pt"] == {"path": "checkpoint/a.pt", "size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert record["has_checkpoint"] is True


@pytest.mark.parametrize("reduce,direction,value", [("result", "maximize", 9), ("last", "maximize", 2), ("best", "maximize", 7), ("best", "minimize", 1)])
def test_the_value_of_a_trial_is_its_result_its_last_or_its_best_report(spool, reduce, direction, value):
    lines = ["1", "7", "2"]
    reports = "".join('echo \'{{"y": {}}}\' >> "$HOLDFAST_OUT/metrics.jsonl"; '.format(line) for line in lines)
    results = 'echo \'{"metrics": {"y": 9}}\' > "$HOLDFAST_OUT/results.json"'
    launch = spool(shell(reports + results), objectives=[{"metric": "y", "direction": direction, "reduce": reduce}])
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["values"], record["curve"]) == ([value], [[1, 1], [2, 7], [3, 2]])


@pytest.mark.parametrize("name", ["synthetic", "is_final"])
@pytest.mark.parametrize("said,marked", [("true", True), ("false", False), ('"yes"', False), ("1", False)])
def test_what_a_result_says_of_generated_data_and_of_its_end_is_kept(spool, name, said, marked):
    launch = spool(shell('echo \'{{"y": 9, "{}": {}}}\' > "$HOLDFAST_OUT/results.json"'.format(name, said)))
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["status"], record["values"]) == ("completed", [9])
    assert record.get(name, False) is marked


def test_a_long_curve_is_thinned_and_keeps_its_rungs(spool):
    code = ["import json, os", "out = open(os.environ['HOLDFAST_OUT'] + '/metrics.jsonl', 'w')"]
    code += ["for step in range(1, 10001):", "    print(json.dumps(dict(step=step, y=step / 10)), file=out)"]
    launch = spool(python(*code), report_steps=[9, 27, 81, 7777])
    launch.offer(1)
    curve = launch.run()["trial-0001.1"]["curve"]
    assert len(curve) <= 64
    steps = [step for step, _ in curve]
    assert steps == sorted(steps)
    assert {1, 9, 27, 81, 7777, 10000} <= set(steps)
    assert all(value == step / 10 for step, value in curve)


def test_half_lines_and_foreign_lines_in_metrics_are_skipped(spool):
    launch = spool(shell('printf \'not json\\n{"y": 1}\\n[1]\\n{"y": 2}\\n{"y": 3\' > "$HOLDFAST_OUT/metrics.jsonl"'))
    launch.offer(1)
    record = launch.run()["trial-0001.1"]
    assert (record["status"], record["values"]) == ("completed", [2])
