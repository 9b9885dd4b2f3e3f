"""The engine that an endpoint builds from our files, with the real worker pool on this computer: tasks in, results out.

stdin: {"config": rendered template, "buffers": [task buffer, ...], "serializers": [...], "run_dir": ...}; stdout: [result data, ...] in the same order.
"""

from __future__ import annotations

import json
import os
import sys
import uuid

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_endpoint.endpoint.config.utils import load_config_yaml
from globus_compute_endpoint.engines.base import GCFuture


def main() -> None:
    request = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    engine = load_config_yaml(request["config"]).engine
    engine.start(endpoint_id=uuid.uuid4(), run_dir=request["run_dir"])
    try:
        futures = []
        for buffer in request["buffers"]:
            task_id = uuid.uuid4()
            future = GCFuture(gc_task_id=task_id)
            packed = messagepack.pack(Task(task_id=task_id, task_buffer=buffer))
            engine.submit(task_f=future, packed_task=packed, resource_specification={}, result_serializers=request["serializers"])
            futures.append(future)
        results = [messagepack.unpack(future.result(timeout=450)).data for future in futures]
    finally:
        engine.shutdown()
    os.write(out, json.dumps(results).encode())


if __name__ == "__main__":
    main()
    # Threads of the engine may outlive it.
    os._exit(0)
