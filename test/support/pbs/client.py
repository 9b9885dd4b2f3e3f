"""qsub, qstat, qdel, qselect, pbsnodes, pbs_rstat and pbsadmin of the stand-in: sends its words to server.py and prints the answer.

The name it is called by is the command (argv[1], given by the wrapper); PBS_STANDIN is the state folder. STATE/faults.json may hold a list of
faults; the first one that fits is used up: {"command": "qsub", "fault": "die_after", "after": 0, "seconds": 1, "exit": 1, "stderr": "", "times": 1}
faults: delay, hang (before the act), hang_after, die_before, die_after, drop (empty answer, exit 0), truncate, corrupt, exit (without the act).
"""

import json
import os
import pwd
import signal
import socket
import sys
import time

STATE = os.environ["PBS_STANDIN"]
DOWN = {
    "qsub": (
        162,
        "Connection refused\nqsub: cannot connect to server %s (errno=15010)\n",
    ),
    "qdel": (162, "Connection refused\nCouldn't connect to cluster: %s\n"),
    "qselect": (
        162,
        "Connection refused\nqselect: cannot connect to server aurora- (errno=15010)\n",
    ),
    "qstat": (
        255,
        "Connection refused\nqstat: cannot connect to server %s (errno=15010)\n",
    ),
    "pbsnodes": (
        1,
        "Connection refused\npbsnodes: cannot connect to server %s, error=15010\n",
    ),
    "pbs_rstat": (
        162,
        "Connection refused\npbs_rstat: cannot connect to server (errno=15010)\n",
    ),
    "pbsadmin": (1, "down %s\n"),
}


def take_fault(command):
    path = os.path.join(STATE, "faults.json")
    if not os.path.exists(path):
        return None
    import fcntl

    with open(os.path.join(STATE, "faults.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            with open(path, encoding="utf-8") as file:
                faults = json.load(file)
        except FileNotFoundError:
            return None
        for index, fault in enumerate(faults):
            if fault["command"] != command:
                continue
            if fault.get("after", 0) > 0:
                fault["after"] -= 1
                found = None
            else:
                found = dict(fault)
                fault["times"] = fault.get("times", 1) - 1
                if fault["times"] <= 0:
                    del faults[index]
            with open(path + ".tmp", "w", encoding="utf-8") as file:
                json.dump(faults, file)
            os.rename(path + ".tmp", path)
            return found
    return None


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def main():
    command, args = sys.argv[1], sys.argv[2:]
    fault = take_fault(command) or {}
    kind = fault.get("fault")
    with open(
        os.path.join(STATE, "commands.log"),
        "a",
        encoding="utf-8",
        errors="surrogateescape",
    ) as file:
        file.write(
            "{:.3f} {} {} {}\n".format(
                time.time(), command, kind or "-", json.dumps(args)
            )
        )
    if kind == "delay":
        time.sleep(fault.get("seconds", 1))
    if kind == "hang":
        time.sleep(fault.get("seconds", 3600))
    if kind == "die_before":
        die()
    if kind == "exit":
        sys.stderr.write(fault.get("stderr", ""))
        return fault.get("exit", 1)
    stdin = None
    if command == "qsub":
        stdin, problem = script_of(args)
        if problem is not None:
            sys.stderr.write(problem)
            return 1
    request = {
        "command": command.replace("pbsadmin", "admin"),
        "args": args,
        "stdin": stdin,
        "user": os.environ.get("PBS_STANDIN_USER") or pwd.getpwuid(os.getuid()).pw_name,
        "cwd": os.getcwd(),
        "env": {key: os.environ[key] for key in ("HOME", "PATH") if key in os.environ},
    }
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(os.path.join(STATE, "socket"))
        connection.sendall(
            json.dumps(request).encode("utf-8", "surrogateescape") + b"\n"
        )
        answer = b""
        while not answer.endswith(b"\n"):
            chunk = connection.recv(1 << 20)
            if not chunk:
                break
            answer += chunk
    except OSError:
        answer = b""
    if not answer:
        code, text = DOWN[command]
        sys.stderr.write(
            text % "aurora-pbs-0001.hostmgmt.cm.aurora.test" if "%s" in text else text
        )
        if command == "qstat" and "json" in args:
            sys.stdout.write(
                json.dumps({"timestamp": int(time.time()), "pbs_version": "23.06.06", "pbs_server": "aurora-pbs-0001"}, indent="\t") + "\n"
            )
        return code
    reply = json.loads(answer.decode("utf-8", "surrogateescape"))
    if kind == "hang_after":
        time.sleep(fault.get("seconds", 3600))
    if kind == "die_after":
        die()
    out = reply["stdout"]
    if kind == "drop":
        return 0
    if kind == "truncate":
        out = out[: int(len(out) * fault.get("share", 0.5))]
    if kind == "corrupt" and out:
        at = int(len(out) * fault.get("share", 0.5))
        out = out[:at] + "\x07" + out[at + 1 :]
    sys.stdout.write(out)
    sys.stderr.write(reply["stderr"])
    return reply["exit"]


def script_of(args):
    """The script file is the word behind the options; without one, standard input."""
    words = list(args)
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if len(word) == 2 and word[1] in "aACceEJjklmMNopPqrRSuvW" and words:
            words.pop(0)
    if not words:
        return sys.stdin.read(), None
    if os.path.isdir(words[0]):
        return None, "qsub: script not a file\n"
    try:
        with open(
            words[0], encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            return file.read(), None
    except OSError:
        return None, "qsub: script file:: No such file or directory\n"


sys.exit(main())
