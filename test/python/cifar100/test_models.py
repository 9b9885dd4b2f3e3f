"""Rows T2-T4: the six networks."""

from __future__ import annotations

import hashlib
import sys

import pytest
import torch

from payload.errors import ConfigurationError
from payload.models.factory import MODEL_TYPES, ModelShape, count_parameters, create_model, multiply_adds
from payload.options import MODEL_TYPES as ADVERTISED

PARAMETERS = {
    "resnet18": 11_220_132,
    "resnet34": 21_328_292,
    "resnet50": 23_705_252,
    "vgg16": 134_670_244,
    "densenet121": 7_056_356,
    "custom": 6_498_724,
}


def test_the_flags_offer_exactly_the_networks_there_are() -> None:
    assert ADVERTISED == MODEL_TYPES == tuple(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_has_its_parameters_and_gives_a_hundred_logits(name: str) -> None:
    network = create_model(ModelShape(name))
    assert count_parameters(network) == (PARAMETERS[name], PARAMETERS[name])
    network.eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 100)


@pytest.mark.parametrize(("layers", "linear"), [(1, 1), (2, 2), (5, 5)])
def test_num_layers_counts_the_linear_layers_of_custom(layers: int, linear: int) -> None:
    network = create_model(ModelShape("custom", num_layers=layers, hidden_size=16, width_factor=0.1))
    assert sum(isinstance(module, torch.nn.Linear) for module in network.modules()) == linear


def weights_hash(seed: int) -> str:
    torch.manual_seed(seed)
    state = create_model(ModelShape("custom", hidden_size=32, width_factor=0.25)).state_dict()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()


def test_the_same_seed_draws_the_same_weights_and_another_does_not() -> None:
    assert weights_hash(1) == weights_hash(1) != weights_hash(2)


def test_custom_starts_as_told() -> None:
    network = create_model(ModelShape("custom"))
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            assert torch.all(module.weight == 1)
            assert torch.all(module.bias == 0)
        if isinstance(module, torch.nn.Linear):
            assert float(module.weight.std()) == pytest.approx(0.01, rel=0.1)
        if isinstance(module, torch.nn.Conv2d):
            fan_out = module.out_channels * 9
            assert float(module.weight.std()) == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_a_whole_training_opens_no_connection(start) -> None:
    """Row T3: weights are drawn, never fetched, and data are read. Making a socket or asking for an address would be an error."""

    def forbid_connections() -> None:
        def refuse(event: str, _arguments: tuple[object, ...]) -> None:
            if event in ("socket.__new__", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
                raise AssertionError(f"a training must need no network: {event}")

        sys.addaudithook(refuse)

    training = start("a", "--num_epochs", "1", before=forbid_connections)
    assert training.end() == 0, training.log


def test_looking_at_the_cost_changes_nothing() -> None:
    network = create_model(ModelShape("custom", width_factor=0.25))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert multiply_adds(network) > 1_000_000
    assert torch.equal(state, torch.get_rng_state())
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_resnet18_costs_what_the_literature_says() -> None:
    assert multiply_adds(create_model(ModelShape("resnet18"))) / 1e6 == pytest.approx(555.5, abs=0.1)


def test_a_model_that_does_not_exist_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean resnet50"):
        create_model(ModelShape("resnet52"))
