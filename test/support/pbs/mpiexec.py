"""mpiexec and pbsdsh of the stand-in: one process per line of PBS_NODEFILE, all on this computer; exits with the worst status.

    mpiexec -n NODES --ppn 1 [--cpu-bind none] COMMAND…        pbsdsh [--] COMMAND…
HOLDFAST_HOST_NAME tells each process which node it is on.
"""

import os
import signal
import subprocess
import sys

words = sys.argv[2:]
while words and words[0].startswith("-"):
    word = words.pop(0)
    if word in ("-n", "-np", "--ppn", "-ppn", "--cpu-bind"):
        words.pop(0)
with open(os.environ["PBS_NODEFILE"], encoding="utf-8") as file:
    nodes = file.read().split()
children = [
    subprocess.Popen(
        words, env=dict(os.environ, HOLDFAST_HOST_NAME=node, PMI_RANK=str(rank))
    )
    for rank, node in enumerate(nodes)
]


def forward(number, _frame):
    for child in children:
        child.send_signal(number)


signal.signal(signal.SIGTERM, forward)
codes = [child.wait() for child in children]
sys.exit(max(code if code >= 0 else 128 - code for code in codes) if codes else 1)
