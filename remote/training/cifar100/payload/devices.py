"""Which device trains (row T9: xpu, then cuda, then cpu), what it holds, how busy it is. XPU, CUDA and CPU behind one set of functions."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import platform
import resource
import sys
from dataclasses import dataclass
from typing import Any

import torch

from payload.errors import ConfigurationError, ResourceError

logger = logging.getLogger("cifar100")
ORDER = ("xpu", "cuda", "cpu")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class ChosenDevice:
    kind: str
    name: str
    asked: str
    fell_back: bool
    ipex: Any = None

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.kind if self.kind == "cpu" else f"{self.kind}:0")


def _runtime(kind: str) -> Any:
    """torch.cuda or torch.xpu; None for the CPU and for a torch that knows no XPU."""
    return None if kind == "cpu" else getattr(torch, kind, None)


def is_available(kind: str) -> bool:
    runtime = _runtime(kind)
    return kind == "cpu" or (runtime is not None and bool(runtime.is_available()))


def _name_of(kind: str) -> str:
    if kind == "cpu":
        return platform.processor() or platform.machine()
    return str(_runtime(kind).get_device_name(0))


def choose_device(settings: argparse.Namespace) -> ChosenDevice:
    """Raises ResourceError when `require_device` names another than what there is; without it a fall-back is loud and recorded, not an error.

    Intel's extension is imported only when `use_ipex` asks for it, before XPUs are looked for: on old versions it brings them.
    """
    ipex = None
    if settings.use_ipex:
        import intel_extension_for_pytorch as ipex  # type: ignore[import-not-found,no-redef]
    wanted = settings.device if settings.device != "auto" else (settings.require_device if settings.require_device != "any" else "auto")
    candidates = ORDER if wanted == "auto" else (wanted, "cpu")
    kind = next(candidate for candidate in candidates if is_available(candidate))
    if settings.require_device not in ("any", kind):
        there = ", ".join(candidate for candidate in ORDER if is_available(candidate))
        raise ResourceError(
            f"{settings.require_device} is required but this process can use {there} only (torch {torch.__version__}). "
            "Check the node, its modules and the device mask, or drop require_device."
        )
    fell_back = wanted not in ("auto", kind)
    if fell_back:
        logger.warning("%s was asked for but is not there: training on %s", wanted, kind)
    return ChosenDevice(kind, _name_of(kind), settings.device, fell_back, ipex)


def synchronise(kind: str) -> None:
    """Waits until the device has done what it was given."""
    runtime = _runtime(kind)
    if runtime is not None:
        runtime.synchronize()


def release_cache(kind: str) -> None:
    runtime = _runtime(kind)
    if runtime is not None:
        runtime.empty_cache()


def peak_memory_bytes(kind: str) -> int | None:
    """Most memory that was in use: the device's allocator, or this process's resident set on the CPU."""
    if kind == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    measure = getattr(_runtime(kind), "max_memory_allocated", None)
    return int(measure()) if measure else None


def cpu_seconds() -> float:
    """Processor time that this process has used so far, all threads together."""
    times = os.times()
    return times.user + times.system


def utilisation_percent(kind: str, cpu_used: float, wall: float) -> float | None:
    """How busy the device was: on the CPU, processor time over wall time and threads; on CUDA, NVML's counter where its library is installed; else None."""
    if kind == "cpu":
        return 100 * cpu_used / (wall * torch.get_num_threads()) if wall > 0 else None
    if kind != "cuda":
        return None
    try:
        return float(torch.cuda.utilization())
    except Exception as error:
        # NVML's errors have no common class with anything else (a slice of a GPU has no counter, for one); no figure is worth a training.
        logger.debug("no utilisation counter: %s", error)
        return None


def resolved_precision(kind: str, amp: str) -> str:
    """`auto` as the precision it stands for: bf16 on XPUs, on CUDA from compute capability 8.0, on CPUs with AMX or AVX-512 BF16; else off."""
    if amp != "auto":
        return amp
    if kind == "cuda":
        return "bf16" if torch.cuda.get_device_capability(0) >= (8, 0) else "off"
    if kind == "cpu":
        flags = ""
        if os.path.exists("/proc/cpuinfo"):
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                flags = next((line for line in file if line.startswith("flags")), "")
        return "bf16" if {"amx_bf16", "avx512_bf16"} & set(flags.split()) else "off"
    return "bf16"


def precision(kind: str, amp: str) -> Any:
    """Context in which the forward pass runs."""
    if amp == "off":
        return contextlib.nullcontext()
    return torch.autocast(kind, dtype=DTYPES[amp])


def make_scaler(kind: str, amp: str) -> Any:
    """A gradient scaler for fp16, else None. Raises ConfigurationError where the device cannot train in fp16."""
    if amp != "fp16":
        return None
    if kind == "cpu":
        raise ConfigurationError("amp fp16 cannot train on the CPU. Take bf16 or off.")
    modern = getattr(getattr(torch, "amp", None), "GradScaler", None)
    if modern is not None:
        return modern(kind)
    if kind == "cuda":
        return torch.cuda.amp.GradScaler()
    raise ConfigurationError(f"amp fp16 on {kind} needs a newer torch than {torch.__version__}. Take bf16.")


def random_state(kind: str) -> dict[str, torch.Tensor]:
    """State of torch's generators: the CPU's, and the device's where there is one."""
    states = {"cpu": torch.get_rng_state()}
    runtime = _runtime(kind)
    if runtime is not None:
        states[kind] = runtime.get_rng_state()
    return states


def restore_random_state(kind: str, states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    runtime = _runtime(kind)
    if runtime is not None and kind in states:
        runtime.set_rng_state(states[kind])
