"""Row T9 and the paths of accelerators, as far as a machine without one can walk them: the choice, its refusals, precision, bookkeeping."""

from __future__ import annotations

import types

import pytest
import torch

from payload import devices
from payload.errors import ConfigurationError, ResourceError
from payload.options import read_settings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """machine('cuda', …) makes it look as if these devices were there."""

    def make(*there: str) -> None:
        monkeypatch.setattr(devices, "is_available", lambda kind: kind == "cpu" or kind in there)
        monkeypatch.setattr(devices, "_name_of", lambda kind: f"a {kind}")

    return make


@pytest.mark.parametrize(
    ("there", "flags", "chosen", "fell_back"),
    [
        (("xpu", "cuda"), [], "xpu", False),
        (("cuda",), [], "cuda", False),
        ((), [], "cpu", False),
        (("xpu", "cuda"), ["--device", "cuda"], "cuda", False),
        (("xpu", "cuda"), ["--device", "cpu"], "cpu", False),
        (("xpu",), ["--device", "cuda"], "cpu", True),
        (("xpu", "cuda"), ["--require-device", "cuda"], "cuda", False),
        ((), ["--require-device", "cpu"], "cpu", False),
    ],
)
def test_the_order_is_xpu_cuda_cpu_and_what_is_asked_for_comes_first(machine, there: tuple[str, ...], flags: list[str], chosen: str, fell_back: bool) -> None:
    machine(*there)
    device = devices.choose_device(read_settings(flags, None))
    assert (device.kind, device.name, device.fell_back) == (chosen, f"a {chosen}", fell_back)
    assert device.torch_device == torch.device("cpu" if chosen == "cpu" else f"{chosen}:0")


@pytest.mark.parametrize(
    ("there", "flags"),
    [
        ((), ["--require-device", "xpu"]),
        (("xpu",), ["--require-device", "cuda"]),
        (("cuda",), ["--device", "cpu", "--require-device", "cuda"]),
    ],
)
def test_another_device_than_the_required_one_is_refused_and_says_what_there_is(machine, there: tuple[str, ...], flags: list[str]) -> None:
    machine(*there)
    with pytest.raises(ResourceError, match=r"is required but this process can use .*cpu only"):
        devices.choose_device(read_settings(flags, None))


@pytest.mark.parametrize(("kind", "capability", "wanted"), [("cuda", (7, 5), "off"), ("cuda", (8, 0), "bf16"), ("cuda", (9, 0), "bf16"), ("xpu", None, "bf16")])
def test_automatic_precision_is_bf16_where_the_device_multiplies_it_in_hardware(monkeypatch, kind: str, capability, wanted: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _index: capability)
    assert devices.resolved_precision(kind, "auto") == wanted
    assert devices.resolved_precision(kind, "fp16") == "fp16"


def test_fp16_wants_a_scaler_and_an_accelerator() -> None:
    assert devices.make_scaler("cuda", "bf16") is None
    assert devices.make_scaler("cpu", "off") is None
    with pytest.raises(ConfigurationError, match="Take bf16 or off"):
        devices.make_scaler("cpu", "fp16")
    scaler = devices.make_scaler("cuda", "fp16")
    # What a checkpoint needs of it. Without a GPU torch's scaler is there but idle.
    scaler.load_state_dict(scaler.state_dict())


def test_an_accelerator_is_asked_through_its_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting, memory and random state go to torch.cuda or torch.xpu, whichever it is; a runtime without a counter of memory has no figure."""
    calls: list[str] = []
    runtime = types.SimpleNamespace(
        synchronize=lambda: calls.append("synchronize"),
        empty_cache=lambda: calls.append("empty_cache"),
        max_memory_allocated=lambda: 123,
        get_rng_state=lambda: torch.ones(2),
        set_rng_state=lambda state: calls.append(f"set {state.tolist()}"),
    )
    monkeypatch.setattr(torch, "xpu", runtime, raising=False)
    devices.synchronise("xpu")
    devices.release_cache("xpu")
    assert devices.peak_memory_bytes("xpu") == 123
    states = devices.random_state("xpu")
    assert set(states) == {"cpu", "xpu"}
    devices.restore_random_state("xpu", states)
    devices.restore_random_state("xpu", {"cpu": states["cpu"]})
    assert calls == ["synchronize", "empty_cache", "set [1.0, 1.0]"]
    monkeypatch.setattr(torch, "xpu", types.SimpleNamespace(), raising=False)
    assert devices.peak_memory_bytes("xpu") is None
    assert devices.utilisation_percent("xpu", 1.0, 1.0) is None


def test_a_counter_that_fails_in_its_own_way_costs_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML's errors are plain exceptions: a slice of a GPU, for one, has no utilisation."""

    class NotSupported(Exception):
        pass

    def refuse() -> float:
        raise NotSupported

    monkeypatch.setattr(torch.cuda, "utilization", refuse, raising=False)
    assert devices.utilisation_percent("cuda", 1.0, 1.0) is None
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 87, raising=False)
    assert devices.utilisation_percent("cuda", 1.0, 1.0) == 87.0
