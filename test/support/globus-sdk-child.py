"""The real Globus Compute package in a long-lived child: lines of JSON in, lines of JSON out.

{"do": "roundtrip", "id": 1, "payloads": [...]}      each payload through the SDK's unpack and deserialize, then back as a JSONData result
{"do": "execute", "id": 2, "task_id": ..., "buffer": ..., "serializers": [...], "run_dir": ..., "env": {...}}
                                                       the endpoint's own execute_task in a forked worker; answers "started" (pid), then "ended"
A worker that dies without a result (SIGKILL) is reported as "ended" with its wait status and no data.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import uuid

from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Result, Task
from globus_compute_endpoint.engines.helper import execute_task
from globus_compute_sdk.serialize import ComputeSerializer, JSONData

OUT = os.dup(1)
os.dup2(2, 1)
selector = selectors.DefaultSelector()


def say(message: dict) -> None:
    data = (json.dumps(message) + "\n").encode()
    while data:
        data = data[os.write(OUT, data) :]


def round_trip(request: dict) -> None:
    serde = ComputeSerializer(strategy_data=JSONData())
    code = serde.pack_buffers(["st\nf:def f(*a, **k):\n    return 1\n"])
    texts = []
    for payload in request["payloads"]:
        _, args, kwargs = serde.unpack_and_deserialize(code + payload)
        texts.append(serde.serialize_from_list([args, kwargs], ["globus_compute_sdk.serialize.JSONData"]))
    say({"id": request["id"], "texts": texts})


def worker(request: dict, pipe: int) -> None:
    os.environ.update(request.get("env", {}))
    task = Task(task_id=uuid.UUID(request["task_id"]), task_buffer=request["buffer"])
    packed = execute_task(
        messagepack.pack(task),
        task.task_id,
        None,
        run_dir=request["run_dir"],
        task_deserializers=request.get("allowed"),
        result_serializers=request.get("serializers") or [],
    )
    result = messagepack.unpack(packed)
    assert isinstance(result, Result)
    failed = result.error_details is not None
    answer = {
        "data": result.data,
        "failed": failed,
        "code": result.error_details.code if failed else None,
    }
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(pipe, data) :]


def execute(request: dict) -> None:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read_end)
            # What the trial starts must not hold our pipe open after a killed worker.
            os.set_inheritable(write_end, False)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.setsid()
            worker(request, write_end)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    selector.register(read_end, selectors.EVENT_READ, [request["id"], pid, b""])
    say({"id": request["id"], "started": pid})


def finish(pipe: int, state: list) -> None:
    chunk = os.read(pipe, 1 << 16)
    if chunk:
        state[2] += chunk
        return
    selector.unregister(pipe)
    os.close(pipe)
    _, status = os.waitpid(state[1], 0)
    answer = {"id": state[0], "ended": status}
    try:
        answer["result"] = json.loads(state[2])
    except ValueError:
        pass  # died before its result was whole
    say(answer)


def main() -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    selector.register(0, selectors.EVENT_READ, None)
    rest = b""
    say({"ready": os.getpid()})
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                finish(key.fd, key.data)
                continue
            chunk = os.read(0, 1 << 20)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                {"roundtrip": round_trip, "execute": execute}[request["do"]](request)


if __name__ == "__main__":
    sys.exit(main())
