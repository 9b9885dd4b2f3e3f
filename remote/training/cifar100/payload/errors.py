"""Error classes of the training (rows E1-E10): one table, one function that reads it, one shape in results.json."""

from __future__ import annotations

import errno
import re
import socket
import traceback
from typing import Callable, NamedTuple

from payload import stages


class Category(NamedTuple):
    severity: str
    description: str


# The names are those of the orchestrator's failure table, which decides on retries.
CATEGORIES = {
    "environment_error": Category("critical", "A Python module, library or driver is missing on this machine."),
    "data_access_error": Category("critical", "The data set could not be read."),
    "filesystem_error": Category("high", "The file system refused to write (quota, disk full, permission)."),
    "resource_error": Category("high", "Out of memory, or the wanted device is not there."),
    "configuration_error": Category("medium", "The training refuses its parameters."),
    "training_error": Category("medium", "The training itself failed."),
    "not_finite": Category("medium", "The loss became NaN or infinite: the training diverged (a training_error that is never worth a retry)."),
    "network_error": Category("high", "A connection failed."),
    "unknown_error": Category("medium", "The failure fits no class."),
}


class TrainingFailure(Exception):
    """A failure that knows its category."""

    category = "training_error"


class ConfigurationError(TrainingFailure):
    category = "configuration_error"


class DataAccessError(TrainingFailure):
    category = "data_access_error"


class ResourceError(TrainingFailure):
    category = "resource_error"


class NotFiniteError(TrainingFailure):
    category = "not_finite"


# Texts that CPU, CUDA and Level Zero allocators really print; "cuda" alone says nothing (a missing driver is no lack of memory).
_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc|alloc_failed"
    r"|out[_ ]of[_ ]resources|out_of_(device|host)_memory|not enough memory|array is too big",
    re.IGNORECASE,
)
# The last two are torch.compile's.
_NO_DRIVER = re.compile(
    r"no nvidia driver|driver version is insufficient|driver shared library|libze_loader|libcuda|no device of requested type"
    r"|torch not compiled with|no working c\+\+ compiler found|cannot find a working triton",
    re.IGNORECASE,
)
_FAILED_WRITE = re.compile(r"PytorchStreamWriter failed|file write failed|No space left on device", re.IGNORECASE)
_NO_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE}
_DATA_STAGES = {stages.DATA_DIRECTORY_SETUP, stages.DATA_LOADING}
_TRAINING_STAGES = {stages.TRAINER_SETUP, stages.TRAINING, stages.EVALUATION, stages.METRICS_CALCULATION}


def is_out_of_memory(error: BaseException) -> bool:
    """True for an exhausted host or device memory, whichever library noticed it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


# First rule that holds wins. TimeoutError and ConnectionError are OSErrors, so they stand before the file system's rule.
RULES: tuple[tuple[Callable[[BaseException, str], bool], str], ...] = (
    (lambda error, stage: isinstance(error, ImportError), "environment_error"),
    (lambda error, stage: is_out_of_memory(error), "resource_error"),
    (lambda error, stage: isinstance(error, OSError) and error.errno in _NO_WRITE, "filesystem_error"),
    (lambda error, stage: isinstance(error, (TimeoutError, ConnectionError, socket.timeout, socket.gaierror)), "network_error"),
    (lambda error, stage: isinstance(error, (RuntimeError, AssertionError)) and bool(_NO_DRIVER.search(str(error))), "environment_error"),
    (lambda error, stage: isinstance(error, RuntimeError) and bool(_FAILED_WRITE.search(str(error))), "filesystem_error"),
    (lambda error, stage: stage in _DATA_STAGES, "data_access_error"),
    (lambda error, stage: isinstance(error, OSError), "filesystem_error"),
    (lambda error, stage: stage in (stages.PARAMETER_EXTRACTION, stages.MODEL_CREATION), "configuration_error"),
    (lambda error, stage: stage in _TRAINING_STAGES, "training_error"),
)


def classify(error: BaseException, stage: str) -> str:
    """The category of a failure, from its type, its words and the stage it happened in."""
    if isinstance(error, TrainingFailure):
        return error.category
    for holds, category in RULES:
        if holds(error, stage):
            return category
    return "unknown_error"


def error_object(error: BaseException, stage: str) -> dict[str, str]:
    """`error` of results.json: what happened, of which class, where, and the traceback (at most its last 16,000 characters)."""
    category = classify(error, stage)
    words = str(error) or type(error).__name__
    if isinstance(error, ImportError) and getattr(error, "name", None) and error.name not in words:
        words = f"{words} (module {error.name})"
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {
        "category": category,
        "stage": stage,
        "error_message": words[:2000],
        "type": type(error).__name__,
        "severity": CATEGORIES[category].severity,
        "description": CATEGORIES[category].description,
        "traceback": trace[-16000:],
    }
