"""A contender's side: a process with one loop that reads words from its parent and answers each with one line of JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from typing import Any, Iterator

import torch

from loops import batches_of
from payload import devices


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


class Contending:
    """Prepared as soon as it is made; the first batch comes when it is told to begin."""

    def __init__(self, options: argparse.Namespace, started: float) -> None:
        """`started`: when this process began, before its first heavy import."""
        self.options = options
        self.started = started
        self.loop = options.contender
        self.kind = options.device
        # What a loader has ready when its turn comes was made in other contenders' time: it is used up before the clock starts.
        self.run_in = 2 * self.loop.workers
        # Batches without a network are soon made: more of them, to have something to measure.
        self.steps = options.steps * (1 if self.loop.form else 5)
        torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
        self.batches: Iterator[int] = batches_of(options, self.loop)
        next(self.batches)
        self.say(prepared=True)
        answers = {"begin": self.begin, "round": self.round, "memory": self.memory, "go": self.go}
        for line in sys.stdin:
            word, *rest = line.split()
            answers[word](*rest)

    def say(self, **facts: Any) -> None:
        print(json.dumps(facts), flush=True)

    def run(self, steps: int) -> float:
        """Images per second over so many steps."""
        devices.synchronise(self.kind)
        started = time.monotonic()
        count = sum(next(self.batches) for _ in range(steps))
        devices.synchronise(self.kind)
        return count / (time.monotonic() - started)

    def begin(self) -> None:
        self.run(1)
        seconds = time.monotonic() - self.started
        # Told after the warm-up, so that the next contender does not start beside it.
        self.run(self.options.warmup)
        self.say(seconds_to_first_batch=seconds)

    def round(self) -> None:
        self.run(self.run_in)
        before = processor_seconds()
        found = self.run(self.steps)
        spent = processor_seconds() - before
        self.say(images_per_second=found, images_per_processor_second=self.steps * self.options.batch_size / spent if spent > 0 else None)

    def memory(self) -> None:
        self.say(resident_bytes=proportional_bytes(), device_bytes=None if self.kind == "cpu" else devices.peak_memory_bytes(self.kind))

    def go(self, seconds: str) -> None:
        started, count = time.monotonic(), 0
        while time.monotonic() - started < float(seconds):
            count += sum(next(self.batches) for _ in range(4 if self.kind != "cpu" else 1))
            devices.synchronise(self.kind)
        speed = count / (time.monotonic() - started)
        self.say(images_per_second=speed, device_bytes=None if self.kind == "cpu" else devices.peak_memory_bytes(self.kind))
