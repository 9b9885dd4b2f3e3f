"""
dying.py N SCRIPT [WORD...]: runs one of our scripts and kills it with SIGKILL right after its N-th change of the disk or signal to another process.

Its own forks go on. Exits as the script does when it makes fewer changes.
"""

import builtins
import os
import runpy
import signal
import sys

CHANGES = ("rename", "unlink", "mkdir", "rmdir", "link", "kill", "killpg", "write")
self_kill = os.kill
own = os.getpid()
left = int(sys.argv[1])


def count():
    global left
    if os.getpid() != own:
        return
    left -= 1
    if left == 0:
        self_kill(own, signal.SIGKILL)


def dying(function, counts):
    def call(*words, **named):
        result = function(*words, **named)
        if counts(*words, **named):
            count()
        return result

    return call


def always(*_words, **_named):
    return True


for name in CHANGES:
    setattr(os, name, dying(getattr(os, name), always))
os.open = dying(os.open, lambda _path, flags, *_rest, **_named: flags & os.O_CREAT)
builtins.open = dying(open, lambda _path, mode="r", *_rest, **_named: isinstance(mode, str) and bool(set(mode) & set("wax")))
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
