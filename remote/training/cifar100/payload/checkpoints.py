"""Checkpoints that a kill cannot spoil: each file whole by rename and known by its SHA-256, the manifest last, the one before kept."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from typing import Any, BinaryIO

import torch

from payload.files import digest_of, sync_folder, write_json

logger = logging.getLogger("cifar100")
MANIFEST = "checkpoint.json"
BEST_MODEL = "best_model.pt"
KEPT = 2


class _Hashed:
    """A file that hashes what goes through it and remembers the error torch would wrap in words of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            self.file.write(content)
        except OSError as error:
            self.error = error
            raise
        self.digest.update(content)
        return len(content)

    def flush(self) -> None:
        self.file.flush()


def save_tensors(path: str, value: Any) -> dict[str, Any]:
    """Writes a torch file whole or not at all; returns its row for the manifest. Raises OSError (disk full, quota) and leaves nothing behind."""
    temporary = f"{path}.{os.getpid()}.tmp"
    hashed: _Hashed | None = None
    try:
        with open(temporary, "wb") as file:
            hashed = _Hashed(file)
            torch.save(value, hashed)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        if hashed is not None and hashed.error is not None and hashed.error is not error:
            raise hashed.error from error
        raise
    sync_folder(os.path.dirname(path))
    return {"file": os.path.basename(path), "size": os.path.getsize(path), "sha256": hashed.digest.hexdigest()}


def load_tensors(path: str) -> Any:
    """Tensors and plain values only, so that a checkpoint cannot run code; torch 1's restricted reader knows no floats, there our own hash must do."""
    is_restricted = int(str(torch.__version__).split(".")[0]) >= 2
    return torch.load(path, map_location="cpu", weights_only=is_restricted)


def read_manifest(folder: str) -> dict[str, Any] | None:
    path = os.path.join(folder, MANIFEST)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class CheckpointFolder:
    """The checkpoints of one attempt. `save` after `save` keeps the newest two states and the best weights they name."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.entries: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.best_epoch: int | None = None

    def start_afresh(self) -> None:
        """Removes what an earlier run left here: nothing of it may be taken for this attempt's."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder, exist_ok=True)

    def save(self, state: dict[str, Any], best_weights: dict[str, Any] | None) -> None:
        """Writes state and, when they have changed, the best weights; then the manifest; then removes what it no longer names."""
        best_epoch = state["best"]["epoch"]
        if best_weights is not None and best_epoch != self.best_epoch:
            self.best = save_tensors(os.path.join(self.folder, f"best-{best_epoch:05d}.pt"), best_weights)
            self.best_epoch = best_epoch
        batch = state["progress"]["batch"] if state["progress"] else 0
        row = save_tensors(os.path.join(self.folder, f"state-{state['epoch']:05d}-{batch:06d}.pt"), state)
        entry = {"epoch": state["epoch"], "batch": batch, "state": row, "best": self.best}
        self.entries = [entry, *(old for old in self.entries if old["state"]["file"] != row["file"])][:KEPT]
        write_json(os.path.join(self.folder, MANIFEST), {"version": 1, "epoch": state["epoch"], "batch": batch, "checkpoints": self.entries})
        named = {MANIFEST, BEST_MODEL} | {part["file"] for kept in self.entries for part in (kept["state"], kept["best"]) if part}
        for name in os.listdir(self.folder):
            if name not in named:
                os.unlink(os.path.join(self.folder, name))

    def finish(self, best_weights: dict[str, Any] | None, keep_states: bool) -> None:
        """The training will never be gone on from: its best weights stay as best_model.pt, its states go (quotas count every byte)."""
        if best_weights is not None:
            save_tensors(os.path.join(self.folder, BEST_MODEL), best_weights)
        if keep_states:
            return
        # The manifest goes first: a folder without one holds no checkpoint.
        for name in [MANIFEST, *os.listdir(self.folder)]:
            path = os.path.join(self.folder, name)
            if name != BEST_MODEL and os.path.exists(path):
                os.unlink(path)


def _whole(folder: str, row: dict[str, Any]) -> bool:
    path = os.path.join(folder, row["file"])
    return os.path.exists(path) and os.path.getsize(path) == row["size"] and digest_of(path) == row["sha256"]


def load_latest(folder: str) -> tuple[dict[str, Any], dict[str, Any] | None] | None:
    """(state, best weights) of the newest checkpoint that is whole; None where there is none. A damaged one is logged and passed over."""
    try:
        manifest = read_manifest(folder) or {}
        entries = list(manifest.get("checkpoints", []))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        logger.warning("the checkpoints in %s have no readable manifest: %s", folder, error)
        return None
    for entry in entries:
        try:
            return _load(folder, entry)
        except MemoryError:
            raise
        except Exception as error:
            # Whatever is wrong with it (a byte, a field, another torch's format): the training goes on from the one before, or from the beginning.
            logger.warning("a checkpoint in %s cannot be used (%s): taking the one before", folder, error or type(error).__name__)
    return None


def _load(folder: str, entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    parts = [part for part in (entry["state"], entry["best"]) if part]
    if not all(_whole(folder, part) for part in parts):
        raise ValueError(f"epoch {entry['epoch']} is damaged")
    best = load_tensors(os.path.join(folder, entry["best"]["file"])) if entry["best"] else None
    return load_tensors(os.path.join(folder, entry["state"]["file"])), best
