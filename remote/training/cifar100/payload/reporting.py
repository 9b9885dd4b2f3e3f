"""What a training says while it runs: one line of metrics.jsonl an epoch, and TensorBoard files where the package is there."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from typing import Any

from payload.files import append_json_line, finite, write_bytes

logger = logging.getLogger("cifar100")
METRICS = "metrics.jsonl"
# Tag: key of the epoch's record.
TAGS = {
    "Loss/Train": "train_loss",
    "Loss/Validation": "val_loss",
    "Accuracy/Train": "train_accuracy",
    "Accuracy/Validation": "val_accuracy",
    "Learning_Rate": "learning_rate",
    "Time/Epoch": "epoch_time",
}


def tensorboard_writer(folder: str, wanted: bool) -> Any:
    """A SummaryWriter, or None where TensorBoard is not wanted, not installed or not usable: a training never fails for it."""
    if not wanted or importlib.util.find_spec("tensorboard") is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(folder)
    except (ImportError, OSError, AttributeError) as error:
        logger.warning("no TensorBoard files: %s", error)
        return None


class Reporter:
    """An attempt's file begins with the epochs of the attempts before it, so each file is the whole curve."""

    def __init__(self, out: str, use_tensorboard: bool) -> None:
        self.path = os.path.join(out, METRICS)
        self.writer = tensorboard_writer(os.path.join(out, "tensorboard"), use_tensorboard)

    def begin(self, history: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(finite({**record, "replayed": True}), allow_nan=False) + "\n" for record in history)
        write_bytes(self.path, lines.encode("utf-8"))
        for record in history:
            self._to_tensorboard(record)

    def epoch(self, record: dict[str, Any]) -> None:
        """On the disk before this returns: what was reported stays reported."""
        append_json_line(self.path, record)
        self._to_tensorboard(record)

    def _to_tensorboard(self, record: dict[str, Any]) -> None:
        if self.writer is None:
            return
        for tag, key in TAGS.items():
            self.writer.add_scalar(tag, record[key], record["epoch"])
        self.writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
