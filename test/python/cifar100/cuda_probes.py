"""What test_cuda.py asks of a GPU, each in a process of its own: `cuda_probes.py NAME` prints one JSON object."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

PAYLOAD = Path(__file__).resolve().parents[3] / "remote" / "training" / "cifar100"
sys.path.insert(0, str(PAYLOAD))

import torch

from payload import devices, images, learner
from payload.epoch_plan import cut, plan_epoch
from payload.models.factory import MODEL_TYPES, ModelShape, create_model
from payload.optimisation import make_optimizer
from payload.options import read_settings

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


def facts() -> dict[str, Any]:
    if not torch.cuda.is_available():
        return {"available": False}
    whole = torch.cuda.get_device_properties(0)
    return {"available": True, "name": whole.name, "memory": whole.total_memory, "capability": torch.cuda.get_device_capability(0)}


def augmentation() -> dict[str, Any]:
    """One epoch's batches, cut where the images lie: on the GPU and on the CPU."""
    data = {device.type: images.make_synthetic(1000, device).training for device in (CPU, CUDA)}
    plans = {device.type: plan_epoch(5, 2, 900, True, device) for device in (CPU, CUDA)}
    same, furthest = True, 0.0
    for start in range(0, 900, 128):
        found = {kind: cut(data[kind], plans[kind], start, min(start + 128, 900)) for kind in data}
        same = same and found["cuda"][0].is_cuda and all(torch.equal(one.cpu(), other) for one, other in zip(found["cuda"], found["cpu"]))
        normal = [images.Normaliser(device, True)(found[device.type][0]).cpu() for device in (CPU, CUDA)]
        furthest = max(furthest, float((normal[0] - normal[1]).abs().max()))
    return {"same": same, "furthest": furthest}


def _learner(kind: str, model: str, *flags: str) -> learner.Learner:
    settings = read_settings(["--model_type", model, "--dropout_rate", "0", "--device", kind, "--require-device", kind, *flags], None)
    torch.manual_seed(3)
    network = create_model(ModelShape(model, dropout_rate=0.0))
    return learner.make_learner(network, lambda each: make_optimizer(settings, each), devices.choose_device(settings), settings)


def networks() -> dict[str, Any]:
    """Each network: three steps in bf16 on the GPU; and its untrained logits there (without TF32) and on the CPU."""
    torch.backends.cudnn.allow_tf32 = False
    found = {}
    for model in MODEL_TYPES:
        made, reference = _learner("cuda", model, "--amp", "bf16"), _learner("cpu", model)
        data = images.make_synthetic(100, CUDA).training
        made.network.eval(), reference.network.eval()
        with torch.no_grad():
            here = made.forward(made.normalise(data.pixels[:8, 4:36, 4:36])).float().cpu()
            there = reference.forward(reference.normalise(data.pixels[:8, 4:36, 4:36].cpu()))
        made.network.train()
        plan = plan_epoch(1, 1, 90, True, CUDA)
        losses = [float(learner.train_batch(made, *cut(data, plan, 0, 64), 1.0)[0]) / 64 for _ in range(3)]
        weights = [each for each in made.network.parameters() if each.dim() == 4 and each.shape[1] > 1 and each.shape[2] > 1]
        found[model] = {
            "error": float((here - there).norm() / there.norm()),
            "losses": losses,
            "channels_last": all(each.is_cuda and each.is_contiguous(memory_format=torch.channels_last) for each in weights),
        }
        del made
        torch.cuda.empty_cache()
    return found


def capped(size: str, *words: str) -> None:
    """Runs a script in a process that may take no more than so many bytes of the GPU."""
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(int(size) / whole)
    sys.argv = list(words)
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    answer = {"facts": facts, "augmentation": augmentation, "networks": networks, "capped": capped}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
