"""Being asked to stop: by the agent's stop file, or by SIGTERM or SIGINT. All are obeyed between two batches."""

from __future__ import annotations

import os
import signal
import time

LOOK_EVERY_SECONDS = 0.25


class StopRequested(Exception):
    """Raised between two batches, when everything needed to go on is known."""


class StopWatch:
    """Looks for the stop file at most four times a second: parallel file systems dislike more."""

    def __init__(self, stop_file: str | None) -> None:
        self.stop_file = stop_file
        self.reason: str | None = None
        self._looked = -1e9

    def listen(self) -> None:
        """Takes SIGTERM and SIGINT as requests; a second SIGINT ends the process as usual."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.reason = signal.Signals(number).name
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def is_requested(self) -> bool:
        if self.reason is None and self.stop_file is not None:
            now = time.monotonic()
            if now - self._looked >= LOOK_EVERY_SECONDS:
                self._looked = now
                if os.path.exists(self.stop_file):
                    self.reason = "stop file"
        return self.reason is not None

    def check(self) -> None:
        if self.is_requested():
            raise StopRequested(self.reason)
