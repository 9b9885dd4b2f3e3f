"""Contenders as processes of their own: they take turns, round by round, or train at the same time on one device."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

from loops import Form, Loop, settings_for
from payload.surroundings import set_defaults


class Failed(Exception):
    """A contender that ended before it was told to."""


class Contender:
    """One loop in its own process, with the environment that it really gets: prepared at once, then it does what it is told."""

    def __init__(self, options: argparse.Namespace, loop: Loop, threads: int) -> None:
        self.name = loop.name
        environment = dict(os.environ)
        if loop.kind == "trainer":
            set_defaults(settings_for(options, loop.form or Form("off", ())), environment)
        self.began = time.monotonic()
        words = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench.py"), "--contender", str(loop)]
        words += ["--device", options.device, "--model", options.model, "--batch-size", str(options.batch_size), "--images", str(options.images)]
        words += ["--width-factor", str(options.width_factor), "--warmup", str(options.warmup), "--threads", str(threads), "--steps", str(options.steps)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.start: dict[str, Any] = {}
        self.rounds: list[dict[str, Any]] = []

    def answer(self) -> dict[str, Any]:
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            raise Failed(f"{self.name} ended with exit code {self.process.wait()}")
        return json.loads(line)

    def send(self, *words: object) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(" ".join(map(str, words)) + "\n")
            self.process.stdin.flush()

    def tell(self, *words: object) -> dict[str, Any]:
        self.send(*words)
        return self.answer()

    def begin(self) -> None:
        """The first batch and the warm-up, while no other contender does anything."""
        self.start = {**self.tell("begin"), "seconds_in_all": time.monotonic() - self.began}

    def end(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                assert self.process.stdin is not None
                self.process.stdin.close()
            self.process.wait()


def start_all(options: argparse.Namespace, loops: list[Loop]) -> tuple[list[Contender], dict[str, str]]:
    """(those that run, why the others do not). One after the other, so that nothing disturbs the first batch; or, with `together`, all at once until then."""
    failed: dict[str, str] = {}
    running: list[Contender] = []
    waiting: list[Contender] = []
    if options.together:
        waiting = [Contender(options, loop, options.threads) for loop in loops]
    for loop in loops:
        contender = waiting.pop(0) if options.together else Contender(options, loop, options.threads)
        try:
            contender.answer()
            contender.begin()
            if options.together:
                contender.start.update(seconds_to_first_batch=None, seconds_in_all=None)
            running.append(contender)
        except Failed as error:
            failed[loop.name] = str(error)
    return running, failed


def take_turns(options: argparse.Namespace, loops: list[Loop]) -> dict[str, Any]:
    """Every contender's images/s in turns; the best plain loop in float32 is the one compared with, and for each form the best plain loop of the same form."""
    contenders, failed = start_all(options, loops)
    try:
        for number in range(options.rounds):
            # The order changes from round to round, so that nobody always follows the same neighbour.
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                contender.rounds.append(contender.tell("round"))
        memory = {contender.name: contender.tell("memory") for contender in contenders}
    finally:
        for contender in contenders:
            contender.end()
    speeds = {contender.name: [found["images_per_second"] for found in contender.rounds] for contender in contenders}
    costs = {contender.name: statistics.median(found["images_per_processor_second"] or 0 for found in contender.rounds) for contender in contenders}
    start = {contender.name: {**contender.start, **memory[contender.name]} for contender in contenders}
    return {**compared([loop for loop in loops if loop.name in speeds], speeds, costs), "start": start, "failed": failed}


def compared(loops: list[Loop], rounds: dict[str, list[float]], costs: dict[str, float]) -> dict[str, Any]:
    """Medians and ratios. A ratio is the median of the rounds' ratios, so that what disturbed a round disturbed both sides."""
    median = {name: statistics.median(values) for name, values in rounds.items()}

    def best_plain(form: str) -> str | None:
        names = [loop.name for loop in loops if loop.kind == "plain" and str(loop.form or "") == form]
        return max(names, key=lambda name: median[name], default=None)

    def ratio(name: str, other: str | None) -> float | None:
        return None if other is None else statistics.median(a / b for a, b in zip(rounds[name], rounds[other]))

    plain = best_plain("off")
    steps = [loop for loop in loops if loop.form is not None]
    trainers = [loop for loop in steps if loop.kind == "trainer"]
    alone = [loop for loop in loops if loop.form is None]
    return {
        "images_per_second": {loop.name: median[loop.name] for loop in steps},
        "rounds": rounds,
        "compared_with": plain,
        "ratio": {loop.name: ratio(loop.name, plain) for loop in trainers},
        "ratio_in_the_same_form": {loop.name: ratio(loop.name, best_plain(str(loop.form))) for loop in trainers},
        "images_per_processor_second": {loop.name: costs[loop.name] for loop in steps},
        "ratio_by_processor_time": {loop.name: costs[loop.name] / costs[plain] for loop in trainers if plain and costs[plain]},
        "batches_alone": {loop.name: median[loop.name] for loop in alone},
        "batches_alone_ratio": next((ratio(loop.name, best_plain("")) for loop in alone if loop.kind == "trainer"), None),
    }


def at_once(options: argparse.Namespace, counts: list[int]) -> list[dict[str, Any]]:
    """Several processes on the one device: images/s of each and of all, for each of the numbers of trials. On the CPU each has one thread."""
    loop = Loop("trainer", options.trainer[-1])
    threads = 1 if options.device == "cpu" else options.threads
    processes = [Contender(options, loop, threads) for _ in range(max(counts))]
    rows = []
    try:
        for contender in processes:
            contender.answer()
        for contender in processes:
            contender.begin()
        for count in counts:
            for contender in processes[:count]:
                contender.send("go", options.seconds)
            found = [contender.answer() for contender in processes[:count]]
            speeds = [each["images_per_second"] for each in found]
            memory = [each["device_bytes"] for each in found]
            rows.append({"trials": count, "form": str(loop.form), "per_trial": speeds, "in_all": sum(speeds), "device_bytes": memory})
    finally:
        for contender in processes:
            contender.end()
    return rows
