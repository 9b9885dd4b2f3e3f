"""The same trials on Parsl's HighThroughputExecutor: one block a "node", so many workers in each, all on this computer.

    python parsl_peer.py FOLDER NODES SLOTS < lengths.json > runs.jsonl

Reads a list of seconds; prints one line a trial: {"slot", "start", "end", "length"}, times in milliseconds since the epoch. A trial is a Python
function that sleeps in Parsl's standing worker: no process is started for it, which ours does for each. FOLDER takes Parsl's logs.
"""

import json
import os
import sys

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SimpleLauncher
from parsl.providers import LocalProvider


@parsl.python_app
def trial(length):
    import os
    import time

    start = time.time()
    time.sleep(length)
    slot = "{}:{}".format(os.environ["PARSL_WORKER_BLOCK_ID"], os.environ["PARSL_WORKER_RANK"])
    return {"slot": slot, "start": start * 1000, "end": time.time() * 1000, "length": length}


def main() -> None:
    folder, nodes, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    lengths = json.load(sys.stdin)
    # The pool finds its program in PATH.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    executor = HighThroughputExecutor(
        label="peer",
        # Without addresses it tries those of every interface, and asks a public service for one more: here only loopback is there.
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        max_workers_per_node=slots,
        # As many workers as asked for, whatever the number of processors: they sleep.
        cores_per_worker=0.001,
        prefetch_capacity=0,
        encrypted=False,
        provider=LocalProvider(init_blocks=nodes, min_blocks=nodes, max_blocks=nodes, launcher=SimpleLauncher()),
    )
    config = Config(executors=[executor], run_dir=folder, strategy="none", usage_tracking=0, initialize_logging=False)
    with parsl.load(config):
        for future in [trial(length) for length in lengths]:
            print(json.dumps(future.result()), flush=True)


if __name__ == "__main__":
    main()
