"""What a training may ask Holdfast and tell it. Standard library only, Python 3.6 or newer; no training needs it, and it works without Holdfast too.

    import holdfast

    params = holdfast.params({"learning_rate": 0.1, "epochs": 10})
    model = load(holdfast.resume_dir()) if holdfast.resume_dir() else Model(params["learning_rate"])
    for epoch in range(model.epoch + 1, params["epochs"] + 1):
        model.train()
        holdfast.report(epoch=epoch, val_accuracy=model.validate())
        if holdfast.should_stop():
            model.save(holdfast.checkpoint_dir())
            break
    holdfast.result(val_accuracy=model.best)

Outside Holdfast, params() returns the defaults, report() and result() print, should_stop() is False, and files go to the working folder.
"""

import json
import os
import sys
from typing import Any, Dict, Optional

_asked_to_stop = False


def params(defaults: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    """The trial's parameters, over the given defaults. A parameter that is not active in this trial keeps its default.

    lr = holdfast.params({"lr": 0.1})["lr"]
    """
    merged = dict(defaults or {})
    path = os.environ.get("HOLDFAST_PARAMS")
    if path:
        with open(path, encoding="utf-8") as stream:
            merged.update(json.load(stream))
    return merged


def report(**metrics: Any) -> None:
    """One line of metrics.jsonl: call it once an epoch, with `epoch` or `step` and whatever numbers you have.

    holdfast.report(epoch=3, train_loss=0.41, val_accuracy=0.93)

    The line is written in one piece, so that a reader never sees half of it and a kill loses at most the last one.
    """
    line = json.dumps(_plain(metrics)) + "\n"
    folder = os.environ.get("HOLDFAST_OUT")
    if not folder:
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    fd = os.open(os.path.join(folder, "metrics.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(fd, line.encode("utf-8"))
    finally:
        os.close(fd)


def should_stop() -> bool:
    """Whether the training should write a checkpoint and leave: it is cancelled, pruned, or its batch job is about to end.

    if holdfast.should_stop():
        save(holdfast.checkpoint_dir())
        sys.exit(0)
    """
    global _asked_to_stop
    path = os.environ.get("HOLDFAST_STOP_FILE")
    if path and os.path.exists(path):
        _asked_to_stop = True
    return _asked_to_stop


def checkpoint_dir() -> str:
    """Folder for checkpoints, made if needed. Write under another name and rename, so that a kill in the middle leaves the old one.

    torch.save(state, holdfast.checkpoint_dir() + "/new.tmp")
    os.replace(holdfast.checkpoint_dir() + "/new.tmp", holdfast.checkpoint_dir() + "/state.pt")
    """
    folder = os.path.join(os.environ.get("HOLDFAST_OUT") or ".", "checkpoint")
    os.makedirs(folder, exist_ok=True)
    return folder


def resume_dir() -> Optional[str]:
    """Folder of the checkpoints of the attempt to go on from; None when training starts from nothing.

    if holdfast.resume_dir():
        state = torch.load(holdfast.resume_dir() + "/state.pt")
    """
    return os.environ.get("HOLDFAST_RESUME_FROM") or None


def target_step() -> Optional[float]:
    """The epoch or step to train to in this attempt, where the campaign gives trials different lengths; None: your own.

    epochs = int(holdfast.target_step() or 50)
    """
    text = os.environ.get("HOLDFAST_TARGET_STEP")
    return float(text) if text else None


def result(**metrics: Any) -> None:
    """Writes results.json: the trial's final metrics, the objective among them. Call it once, at the end.

    holdfast.result(val_accuracy=0.97, test_accuracy=0.96)

    A training that leaves early because should_stop() was True is recorded as stopped, otherwise as completed. Two names mean something to Holdfast:
    synthetic=True marks the values as those of generated data; is_final=True says that the training ended for good, even below target_step().
    """
    record = dict(_plain(metrics), status="stopped" if _asked_to_stop else "completed")
    folder = os.environ.get("HOLDFAST_OUT")
    if not folder:
        sys.stdout.write(json.dumps(record) + "\n")
        return
    path = os.path.join(folder, "results.json")
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        json.dump(record, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(path + ".tmp", path)


def _plain(value: Any) -> Any:
    """Numbers of numpy, torch and their like as plain numbers."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "item"):
        return value.item()
    return str(value)
