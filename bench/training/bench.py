"""Images per second of the CIFAR-100 trainer against a plain PyTorch DataLoader loop with the same network, on one device, in one run.

All train the same network from the same weights on the same generated images with the same optimiser, augmentation and batch size, each in a process
of its own with the environment it really gets. They take turns, round by round, so that whatever else the machine does meets all alike; the ratio is the
median over rounds. Prints a page; with --keep FOLDER it is kept there, with the numbers beside it.
"""

from __future__ import annotations

import time

STARTED = time.monotonic()

import argparse
import json
import os
import platform
import sys
from typing import Any

import torch

from contenders import at_once, take_turns
from contending import Contending
from loops import Form, Loop, settings_for
from payload import devices
from payload.errors import ResourceError
from report import page

# What the steps are on a CPU and on an accelerator, where nobody says otherwise.
DEFAULTS = {
    "batch_size": (64, 128),
    "images": (1280, 50_000),
    "steps": (4, 100),
    "warmup": (2, 30),
    "seconds": (8.0, 5.0),
    "trials": ([1, 2], [1, 2, 4, 8]),
    "plain": (["off"], ["off", "bf16"]),
    "trainer": (["off", "bf16"], ["off", "off+no-tf32", "bf16+plain-layout", "bf16"]),
}


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return platform.machine()


def machine(options: argparse.Namespace) -> dict[str, Any]:
    device = devices.choose_device(settings_for(options, Form("off", ())))
    facts = {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": options.threads or cores(),
        "load_at_start": os.getloadavg()[0],
        "device": device.name if device.kind != "cpu" else cpu_name(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }
    if device.kind == "cuda":
        facts["device_memory_bytes"] = torch.cuda.get_device_properties(0).total_memory
        # torch's own defaults: convolutions may use TF32, matrix products not.
        facts["tf32"] = {"convolutions": torch.backends.cudnn.allow_tf32, "matrix_products": torch.backends.cuda.matmul.allow_tf32}
    return facts


def loops_of(options: argparse.Namespace) -> list[Loop]:
    """The plain loop in its first form with each number of loader processes, in its other forms with the last number; the trainer in each of its forms."""
    first, *others = options.plain
    plain = [Loop("plain", first, workers) for workers in options.workers] + [Loop("plain", form, options.workers[-1]) for form in others]
    alone = [Loop("plain", None, options.workers[-1]), Loop("trainer", None)]
    return [*plain, *(Loop("trainer", form) for form in options.trainer), *alone]


def without_folder(words: list[str]) -> list[str]:
    """The command's words without `--keep FOLDER`: where a page was kept says nothing to who reads it."""
    places = {number + step for number, word in enumerate(words) if word == "--keep" for step in (0, 1)}
    return [word for number, word in enumerate(words) if number not in places]


def keep(options: argparse.Namespace, result: dict[str, Any]) -> str:
    """Writes both files; returns the page."""
    setting = result["setting"]
    width = "" if setting["width_factor"] == 1 else f"-x{setting['width_factor']:g}"
    text = page(result)
    if options.keep:
        os.makedirs(options.keep, exist_ok=True)
        path = os.path.join(options.keep, f"training-{setting['device']}-{setting['model']}{width}{options.label and '-' + options.label}")
        for ending, content in ((".json", json.dumps(result, indent=2)), (".md", text)):
            with open(path + ending, "w", encoding="utf-8") as file:
                file.write(content + "\n")
    return text


def whole(options: argparse.Namespace) -> None:
    result = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": options.command or " ".join(["python3 bench/training/bench.py", *without_folder(sys.argv[1:])]),
        "machine": machine(options),
        "setting": {name: getattr(options, name) for name in ("device", "model", "width_factor", "batch_size", "images", "steps", "rounds")},
        **take_turns(options, loops_of(options)),
        "several_trials": [],
    }
    # Kept before the second part too: where that is cut off, the first is not lost.
    text = keep(options, result)
    if options.trials:
        result["several_trials"] = at_once(options, options.trials)
        text = keep(options, result)
    print(text)


def read_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contender", type=Loop.read, help=argparse.SUPPRESS)
    parser.add_argument("--command", help=argparse.SUPPRESS)
    parser.add_argument("--keep", metavar="FOLDER", help="keep training-<device>-<model>.md and .json there")
    parser.add_argument("--label", default="", help="a word that ends the files' name, where one machine has several pages of a network")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "xpu"))
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width-factor", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--steps", type=int, help="steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, help="steps before the first round")
    parser.add_argument("--seconds", type=float, help="how long several trials train at once")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--trainer", nargs="+", type=Form.read, help="forms of the trainer: off, bf16 or fp16, and +compile, +plain-layout, +no-tf32")
    parser.add_argument("--plain", nargs="+", type=Form.read, help="forms of the plain loop, off first; in a mixed precision it has the trainer's layout")
    parser.add_argument("--workers", nargs="+", type=int, help="loader processes of the plain loop; the last number is that of its other forms, too")
    parser.add_argument("--trials", nargs="*", type=int, help="trials at once on the device, in the trainer's last form; none: leave it out")
    parser.add_argument("--together", action="store_true", help="contenders get ready at the same time: quicker, but seconds to the first batch are left out")
    options = parser.parse_args(words)
    on_cpu = options.device == "cpu"
    for name, (cpu, accelerator) in DEFAULTS.items():
        if getattr(options, name) is None:
            value = cpu if on_cpu else accelerator
            setattr(options, name, [Form.read(text) for text in value] if name in ("plain", "trainer") else value)
    options.workers = options.workers or ([0, 2] if on_cpu else [4, max(5, cores() - 4)])
    return options


def main() -> None:
    options = read_options(sys.argv[1:])
    try:
        Contending(options, STARTED) if options.contender else whole(options)
    except ResourceError as error:
        raise SystemExit(f"bench: {error}") from None


if __name__ == "__main__":
    main()
