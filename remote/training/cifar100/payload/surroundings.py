"""What the agent and the machine give a training: folders and files by environment, and the environment that torch should find."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import MutableMapping

from payload.errors import ConfigurationError

# Only where unset. ZE_AFFINITY_MASK is not here: a default would put every trial of a node on one tile; the agent sets one a slot.
XPU_DEFAULTS = {
    "OMP_NUM_THREADS": "1",
    "OMP_PLACES": "cores",
    "OMP_PROC_BIND": "close",
    "I_MPI_PIN_DOMAIN": "auto:compact",
    "I_MPI_PIN_ORDER": "compact",
    "ONEAPI_DEVICE_SELECTOR": "level_zero:gpu",
    "ZE_ENABLE_PCI_ID_DEVICE_ORDER": "1",
}
# Threads that wait without spinning: with another trial, or anything else, on the same cores a spinning team is many times slower.
COMMON_DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}
RECORDED = (*XPU_DEFAULTS, *COMMON_DEFAULTS, "ZE_AFFINITY_MASK", "ZE_FLAT_DEVICE_HIERARCHY", "CUDA_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Surroundings:
    out: str
    stop_file: str | None
    resume_from: str | None
    target_step: int | None
    data_dir: str
    data_dir_source: str
    campaign: str | None
    trial: str | None
    attempt: int | None
    job_id: str


def _whole_number(environment: MutableMapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if text == "":
        return None
    if not text.isdigit():
        raise ConfigurationError(f"{name} is {text!r}, not a whole number.")
    return int(text)


def data_directory(settings: argparse.Namespace, environment: MutableMapping[str, str]) -> tuple[str, str]:
    """(directory, where it was named). The node's own CIFAR100_DATA_DIR wins over every configuration (row G13)."""
    named = (
        (environment.get("CIFAR100_DATA_DIR", ""), "CIFAR100_DATA_DIR"),
        (settings.data_dir, "--data_dir"),
        (environment.get("HOLDFAST_DATA_DIR", ""), "HOLDFAST_DATA_DIR"),
        ("data/cifar-100-python", "default"),
    )
    return next((path, source) for path, source in named if path)


def read_surroundings(settings: argparse.Namespace, environment: MutableMapping[str, str]) -> Surroundings:
    """Raises ConfigurationError without an output folder."""
    out = settings.output_dir or environment.get("HOLDFAST_OUT", "")
    if not out:
        raise ConfigurationError("No output folder is named. Pass --output_dir, or start the training through Holdfast's agent.")
    data_dir, source = data_directory(settings, environment)
    trial = environment.get("HOLDFAST_TRIAL") or None
    return Surroundings(
        out=os.path.abspath(out),
        stop_file=environment.get("HOLDFAST_STOP_FILE") or None,
        resume_from=settings.resume_from or environment.get("HOLDFAST_RESUME_FROM") or None,
        target_step=_whole_number(environment, "HOLDFAST_TARGET_STEP"),
        data_dir=data_dir,
        data_dir_source=source,
        campaign=environment.get("HOLDFAST_CAMPAIGN") or None,
        trial=trial,
        attempt=_whole_number(environment, "HOLDFAST_ATTEMPT"),
        job_id=settings.job_id or trial or os.path.basename(os.path.abspath(out)),
    )


def set_defaults(settings: argparse.Namespace, environment: MutableMapping[str, str]) -> dict[str, str]:
    """Sets what is unset, before torch is imported; returns what was set. Intel's settings only where an XPU is wanted or a tile was given."""
    wants_xpu = "xpu" in (settings.device, settings.require_device) or (settings.device == "auto" and "ZE_AFFINITY_MASK" in environment)
    defaults = {**COMMON_DEFAULTS, **(XPU_DEFAULTS if wants_xpu else {})}
    if settings.deterministic:
        defaults["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    made = {name: value for name, value in defaults.items() if name not in environment}
    environment.update(made)
    return made
