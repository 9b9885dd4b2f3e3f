"""One run of the training script, as far as it has come."""

from __future__ import annotations

import argparse
import time
from typing import Any

from payload import results
from payload.stages import StageTracker
from payload.surroundings import Surroundings


class Run:
    """What is known so far, for the last words of a training that fails at any stage."""

    def __init__(self, started: float, started_at: float) -> None:
        """When the process began: `started` on the monotonic clock, `started_at` on the wall's."""
        self.started = started
        self.started_at = started_at
        self.tracker = StageTracker()
        self.settings: argparse.Namespace | None = None
        self.around: Surroundings | None = None
        self.trainer: Any = None
        self.facts: dict[str, Any] = {}

    def timing(self) -> dict[str, Any]:
        first = self.trainer.first_batch_at if self.trainer else None
        return {
            "started_at": self.started_at,
            "ended_at": time.time(),
            "seconds": time.monotonic() - self.started,
            "seconds_to_first_batch": first - self.started if first else None,
        }

    def history(self) -> list[dict[str, Any]]:
        return self.trainer.progress.history if self.trainer else []

    def record(self, status: str) -> dict[str, Any]:
        return {**results.head(self.settings, self.around, status, self.timing()), **self.facts, "training_history": self.history()}
