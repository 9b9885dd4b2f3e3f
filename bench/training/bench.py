"""Images per second of the CIFAR-100 trainer against a plain PyTorch DataLoader loop with the same network, on one device, in one run.

All train the same network from the same weights on the same generated images with the same optimiser, augmentation and batch size, each in a process
of its own with the environment it really gets. They take turns, round by round, so that whatever else the machine does meets all alike; the ratio is the
median over rounds. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any, Iterator

STARTED = time.monotonic()
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "remote", "training", "cifar100"))

import torch
from torch.utils.data import DataLoader, Dataset

from payload import devices, images, synthetic
from payload.epoch_plan import batch_bounds, cut, plan_epoch
from payload.errors import ResourceError
from payload.learner import Learner, make_learner, train_batch
from payload.models.factory import ModelShape, create_model
from payload.optimisation import make_optimizer
from payload.options import read_settings
from payload.surroundings import set_defaults


class PlainImages(Dataset):
    """What tutorials write: one image at a time, cropped, flipped, scaled and normalised in the loader's processes."""

    def __init__(self, count: int) -> None:
        entry = synthetic.entries(count, 100)["train"]
        self.pixels = torch.from_numpy(entry["data"]).view(-1, 3, 32, 32)
        self.labels = entry["fine_labels"]
        self.mean = torch.tensor(images.MEAN).view(3, 1, 1)
        self.deviation = torch.tensor(images.DEVIATION).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        padded = torch.nn.functional.pad(self.pixels[index], (4, 4, 4, 4))
        down, right = (int(offset) for offset in torch.randint(0, 9, (2,)))
        image = padded[:, down : down + 32, right : right + 32]
        if torch.rand(1) < 0.5:
            image = image.flip(2)
        return (image.float() / 255 - self.mean) / self.deviation, self.labels[index]


def settings_for(options: argparse.Namespace, amp: str) -> argparse.Namespace:
    words = ["--model_type", options.model, "--batch_size", str(options.batch_size), "--require_device", options.device, "--amp", amp]
    return read_settings([*words, "--width_factor", str(options.width_factor)], None)


def network_of(options: argparse.Namespace) -> torch.nn.Module:
    torch.manual_seed(1)
    return create_model(ModelShape(options.model, width_factor=options.width_factor))


def plain_batches(options: argparse.Namespace, workers: int) -> Iterator[int]:
    """Endless training steps of the plain loop; yields the images of each step after the device has done it."""
    device = torch.device(options.device)
    loader = DataLoader(
        PlainImages(options.images),
        batch_size=options.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=options.device == "cuda",
    )
    network = network_of(options).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    criterion = torch.nn.CrossEntropyLoss()
    running, correct = 0.0, 0
    while True:
        for batch, labels in loader:
            batch, labels = batch.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad()
            outputs = network(batch)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(labels)
            correct += (outputs.argmax(1) == labels).sum().item()
            yield len(labels)


def trainer_batches(options: argparse.Namespace, amp: str) -> Iterator[int]:
    """Endless training steps of ours, with what the trainer does between them."""
    settings = settings_for(options, amp)
    device = devices.choose_device(settings)
    learner: Learner = make_learner(network_of(options), lambda made: make_optimizer(settings, made), device, settings)
    data = images.make_synthetic(options.images * 10 // 9, device.torch_device).training
    bounds = [bound for bound in batch_bounds(len(data), options.batch_size) if bound[1] - bound[0] == options.batch_size]
    loss = torch.zeros((), device=device.torch_device)
    learner.network.train()
    for epoch in range(1, 1 << 30):
        plan = plan_epoch(1, epoch, len(data), True, device.torch_device)
        for number, (start, end) in enumerate(bounds):
            batch_loss, _ = train_batch(learner, *cut(data, plan, start, end), 1.0)
            loss += batch_loss
            if options.device == "cpu" or number % 16 == 0:
                loss.item()
            yield end - start


def processor_seconds() -> float:
    """Processor time of this process, its threads and its loader processes so far."""
    total = sum(os.times()[:4])
    ticks = os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children", encoding="utf-8") as file:
        for pid in file.read().split():
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
            total += (int(user) + int(system)) / ticks
    return total


def speed(batches: Iterator[int], steps: int, kind: str) -> float:
    """Images per second over so many steps."""
    devices.synchronise(kind)
    started = time.monotonic()
    count = sum(next(batches) for _ in range(steps))
    devices.synchronise(kind)
    return count / (time.monotonic() - started)


class Contender:
    """One of the two loops in its own process: `first batch` at once, then a round whenever it is told to."""

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        self.name = name
        environment = dict(os.environ)
        if name.startswith("trainer"):
            set_defaults(settings_for(options, "off"), environment)
        started = time.monotonic()
        words = [*child_words(options, "contend"), "--contender", name]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.start = {"seconds_in_all": 0.0, **self.answer()}
        self.start["seconds_in_all"] = time.monotonic() - started
        self.rounds: list[float] = []
        self.costs: list[float] = []

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        return json.loads(line)

    def tell(self, word: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()


def throughput(options: argparse.Namespace) -> dict[str, Any]:
    """Every contender's images/s in turns; the plain loop with no loader process and with some, and its better form is the one compared with."""
    names = [f"plain, {workers} loader processes" for workers in options.workers] + [f"trainer, {amp}" for amp in options.amp]
    contenders: list[Contender] = []
    try:
        for name in names:
            contenders.append(Contender(options, name))
        for number in range(options.rounds):
            # The order changes from round to round, so that nobody always follows the same neighbour.
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                found = contender.tell("round")
                contender.rounds.append(found["images_per_second"])
                contender.costs.append(found["images_per_processor_second"])
        memory = {contender.name: contender.tell("end") for contender in contenders}
    finally:
        for contender in contenders:
            if contender.process.poll() is None:
                contender.process.stdin.close()
                contender.process.wait()
    rounds = {contender.name: contender.rounds for contender in contenders}
    median = {name: statistics.median(values) for name, values in rounds.items()}
    plain = max((name for name in rounds if name.startswith("plain")), key=lambda name: median[name])
    ratios = {name: statistics.median(a / b for a, b in zip(rounds[name], rounds[plain])) for name in rounds if name.startswith("trainer")}
    cost = {contender.name: statistics.median(contender.costs) for contender in contenders}
    cheapest = max(cost[name] for name in cost if name.startswith("plain"))
    start = {contender.name: {**contender.start, **memory[contender.name]} for contender in contenders}
    return {"images_per_second": median, "rounds": rounds, "compared_with": plain, "ratio": ratios, "start": start, **by_processor_time(cost, cheapest)}


def by_processor_time(cost: dict[str, float], plain: float) -> dict[str, Any]:
    """The same comparison by processor seconds, loader processes included: on a machine that does other things as well it wavers less than the clock."""
    ratio = {name: value / plain for name, value in cost.items() if name.startswith("trainer")}
    return {"images_per_processor_second": cost, "ratio_by_processor_time": ratio}


def contend(options: argparse.Namespace) -> None:
    """A contender's side. Memory is that of the process and of its loader processes together, in proportion to what they share."""
    kind, _, detail = options.contender.partition(", ")
    batches = plain_batches(options, int(detail.split()[0])) if kind == "plain" else trainer_batches(options, detail)
    next(batches)
    devices.synchronise(options.device)
    seconds = time.monotonic() - STARTED
    # Told after the warm-up, so that the next contender does not start beside it.
    speed(batches, options.warmup, options.device)
    print(json.dumps({"seconds_to_first_batch": seconds}), flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            print(json.dumps({"resident_bytes": proportional_bytes(), "device_bytes": device_bytes(options)}), flush=True)
            break
        before = processor_seconds()
        found = speed(batches, options.steps, options.device)
        spent = processor_seconds() - before
        per_processor_second = options.steps * options.batch_size / spent if spent > 0 else None
        print(json.dumps({"images_per_second": found, "images_per_processor_second": per_processor_second}), flush=True)


def proportional_bytes() -> int | None:
    """Memory of this process and its children, shared pages divided among those who share them (Linux' PSS)."""
    total = 0
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="utf-8") as file:
            pids = [str(os.getpid()), *file.read().split()]
        for pid in pids:
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:")) * 1024
    except OSError:
        return None
    return total


def device_bytes(options: argparse.Namespace) -> int | None:
    return None if options.device == "cpu" else devices.peak_memory_bytes(options.device)


def load(options: argparse.Namespace) -> dict[str, Any]:
    """One of several trials on one device: warms up, waits for the others' beginning, then counts for a fixed time."""
    batches = trainer_batches(options, options.amp[-1])
    speed(batches, options.warmup, options.device)
    print("ready", flush=True)
    sys.stdin.readline()
    started, count = time.monotonic(), 0
    while time.monotonic() - started < options.seconds:
        count += sum(next(batches) for _ in range(4 if options.device != "cpu" else 1))
        devices.synchronise(options.device)
    return {"images_per_second": count / (time.monotonic() - started), "device_bytes": device_bytes(options)}


def child_words(options: argparse.Namespace, role: str) -> list[str]:
    words = [sys.executable, os.path.abspath(__file__), "--role", role, "--device", options.device, "--model", options.model]
    words += ["--batch-size", str(options.batch_size), "--images", str(options.images), "--width-factor", str(options.width_factor)]
    words += ["--warmup", str(options.warmup), "--seconds", str(options.seconds), "--threads", str(options.threads)]
    words += ["--steps", str(options.steps)]
    return [*words, "--amp", *options.amp, "--workers", *map(str, options.workers)]


def several(options: argparse.Namespace, trials: int) -> dict[str, Any]:
    """`trials` processes on the one device at the same time: images/s of each and of all."""
    words = child_words(options, "load")
    if options.device == "cpu":
        words += ["--threads", "1"]
    environment = dict(os.environ)
    set_defaults(settings_for(options, "off"), environment)
    running = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(trials)]
    try:
        for process in running:
            line = process.stdout.readline() if process.stdout else ""
            if line != "ready\n":
                raise SystemExit(f"a trial did not get ready: {line}")
        outputs = []
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            outputs.append(json.loads(process.communicate()[0]))
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
    speeds = [output["images_per_second"] for output in outputs]
    return {"trials": trials, "per_trial": speeds, "in_all": sum(speeds), "device_bytes": [output["device_bytes"] for output in outputs]}


def cpu_name() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    return platform.machine()


def machine(options: argparse.Namespace) -> dict[str, Any]:
    device = devices.choose_device(settings_for(options, "off"))
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_at_start": os.getloadavg()[0],
        "device": device.name if device.kind != "cpu" else cpu_name(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def whole(options: argparse.Namespace) -> dict[str, Any]:
    where = machine(options)
    found = throughput(options)
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": where,
        "setting": {name: getattr(options, name) for name in ("device", "model", "width_factor", "batch_size", "images", "steps", "rounds")},
        **found,
        "several_trials": [several(options, trials) for trials in options.trials],
    }


ROLES = {"whole": whole, "contend": contend, "load": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", default="whole", choices=ROLES)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda", "xpu"))
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--width-factor", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--amp", nargs="+", default=["off", "bf16"], help="precisions of the trainer; the plain loop has none")
    parser.add_argument("--workers", nargs="+", type=int, help="loader processes of the plain loop")
    parser.add_argument("--trials", nargs="*", type=int, help="trials at once on the device")
    options = parser.parse_args()
    on_cpu = options.device == "cpu"
    options.batch_size = options.batch_size or (64 if on_cpu else 128)
    options.images = options.images or (1280 if on_cpu else 50_000)
    options.steps = options.steps or (4 if on_cpu else 200)
    options.seconds = options.seconds or (8.0 if on_cpu else 15.0)
    options.workers = options.workers or [0, 2 if on_cpu else 4]
    options.trials = [1, 2] if options.trials is None and on_cpu else [1, 2, 4, 8] if options.trials is None else options.trials
    torch.set_num_threads(options.threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
    try:
        found = ROLES[options.role](options)
    except ResourceError as error:
        raise SystemExit(f"bench: {error}") from None
    if found is not None:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
