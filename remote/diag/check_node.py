#!/usr/bin/env python3
"""What a training finds on a compute node, one check after the other; run as a trial by `holdfast diag SYSTEM`.

    python3 check_node.py [--data-dir FOLDER] [--needs-device]

Standard library only, so that it says what is missing instead of ending by it. Writes results.json: {"failed": N, "checks": [{"name", "status",
"found"}…]} with the statuses ok, warn and fail. Exits with 0 whatever it finds: the checks are the answer.
"""

import argparse
import json
import os
import platform
import socket
import sys
from typing import Callable, Dict

SLOT_VARIABLES = ("ZE_AFFINITY_MASK", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
TOLERANCE = 1e-3


class Failed(Exception):
    """A check that did not pass, in words."""


class Doubtful(Exception):
    """A check that passed with something a person should know."""


class Node:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.torch = None
        self.device = None

    def environment(self) -> str:
        slot = ["{}={}".format(name, os.environ[name]) for name in SLOT_VARIABLES if name in os.environ]
        job = os.environ.get("PBS_JOBID")
        if job is None:
            raise Failed("PBS_JOBID is not set: this is no batch job")
        return ", ".join(["{} in job {}".format(socket.gethostname(), job)] + slot)

    def python(self) -> str:
        return "Python {} from {}".format(platform.python_version(), sys.prefix)

    def modules(self) -> str:
        loaded = [name for name in os.environ.get("LOADEDMODULES", "").split(":") if name]
        return ", ".join(loaded) if loaded else "none loaded"

    def components(self) -> str:
        launch_tools = os.path.dirname(os.environ["HOLDFAST_PARAMS"])
        if not os.access(launch_tools, os.W_OK):
            raise Failed("{} cannot be written from this node".format(launch_tools))
        import holdfast  # noqa: PLC0415 - whether it can be imported is the question

        return "holdfast.py and its parameters ({}), launch folder writable".format(len(holdfast.params()))

    def torch_there(self) -> str:
        try:
            import torch  # noqa: PLC0415 - whether it can be imported is the question
        except Exception as error:
            raise Failed("torch cannot be imported: {!r}".format(error)) from error
        self.torch = torch
        return "torch {}".format(torch.__version__)

    def ipex(self) -> str:
        self.needs_torch()
        try:
            import intel_extension_for_pytorch as ipex  # noqa: PLC0415 - whether it can be imported is the question
        except Exception as error:
            # Newer releases of torch have xpu built in.
            raise Doubtful("not there ({}); torch's own xpu is used".format(type(error).__name__)) from error
        return "intel_extension_for_pytorch {}".format(ipex.__version__)

    def devices(self) -> str:
        self.needs_torch()
        for kind in ("xpu", "cuda"):
            part = getattr(self.torch, kind, None)
            if part is not None and part.is_available() and part.device_count() > 0:
                self.device = self.torch.device(kind, 0)
                return "{} x {} ({})".format(part.device_count(), part.get_device_name(0), kind)
        if self.options.needs_device:
            raise Failed("torch sees no accelerator, though the profile gives each slot one")
        self.device = self.torch.device("cpu")
        raise Doubtful("no accelerator: trainings run on processors")

    def tensor(self) -> str:
        if self.device is None:
            raise Failed("not tried without a device")
        self.torch.manual_seed(1)
        left, right = self.torch.randn(128, 128), self.torch.randn(128, 128)
        there = (left.to(self.device) @ right.to(self.device)).to("cpu")
        off = float((there - left @ right).abs().max())
        if not off < TOLERANCE:
            raise Failed("a product of two matrices on {} is off by {}".format(self.device, off))
        return "a product of two matrices on {} is right to {:.0e}".format(self.device, max(off, 1e-9))

    def data(self) -> str:
        folder = self.options.data_dir
        files, size = 0, 0
        for root, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(root, name)
                try:
                    with open(path, "rb") as stream:
                        stream.read(1)
                        size += os.fstat(stream.fileno()).st_size
                except OSError as error:
                    raise Failed("{} cannot be read on this node: {}".format(path, error.strerror)) from error
                files += 1
        if files == 0:
            raise Failed("{} is not there on this node, or empty".format(folder))
        return "{} files of {} opened, {:.0f} MB".format(files, folder, size / 1e6)

    def needs_torch(self) -> None:
        if self.torch is None:
            raise Failed("not tried without torch")


def run(name: str, check: Callable[[], str]) -> Dict[str, str]:
    try:
        return {"name": name, "status": "ok", "found": check()}
    except Doubtful as doubt:
        return {"name": name, "status": "warn", "found": str(doubt)}
    except Failed as failure:
        return {"name": name, "status": "fail", "found": str(failure)}
    except Exception as error:
        return {"name": name, "status": "fail", "found": repr(error)[:300]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir")
    parser.add_argument("--needs-device", action="store_true")
    node = Node(parser.parse_args())
    checks = [
        ("environment", node.environment),
        ("python", node.python),
        ("modules", node.modules),
        ("components", node.components),
        ("torch", node.torch_there),
        ("ipex", node.ipex),
        ("devices", node.devices),
        ("tensor", node.tensor),
    ]
    if node.options.data_dir:
        checks.append(("data", node.data))
    found = [run(name, check) for name, check in checks]
    failed = sum(each["status"] == "fail" for each in found)
    with open(os.path.join(os.environ["HOLDFAST_OUT"], "results.json"), "w", encoding="utf-8") as stream:
        json.dump({"failed": failed, "checks": found}, stream)


main()
