"""
another_host.py NAME SCRIPT [WORD...]: runs one of our scripts as on a computer of its own: another host name and boot, and locks that reach no further.

A lock lasts as long as the script does.
"""

import builtins
import fcntl
import io
import os
import runpy
import socket
import sys

NAME = sys.argv[1]
BOOT = "/proc/sys/kernel/random/boot_id"
flock, plain_open = fcntl.flock, open
own_files = {}


def lock_here(fd, how):
    """Locks a file beside the shared one that only this host knows."""
    path = os.readlink("/proc/self/fd/{}".format(fd))
    if path not in own_files:
        own_files[path] = os.open(path + ".of." + NAME, os.O_RDWR | os.O_CREAT, 0o644)
    flock(own_files[path], how)


def open_here(path, *words, **named):
    return io.StringIO(NAME + "-boot\n") if path == BOOT else plain_open(path, *words, **named)


socket.gethostname = lambda: NAME
fcntl.flock = lock_here
builtins.open = open_here
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
