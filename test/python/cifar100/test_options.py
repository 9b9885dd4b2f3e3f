"""Row T1: every flag in both spellings, one place that checks flags and parameters alike."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from payload.errors import ConfigurationError
from payload.options import TABLE, build_parser, fingerprint, read_settings

GOLDEN = Path(__file__).with_name("help.golden.txt")
OTHER = {
    bool: lambda row: not row.default,
    int: lambda row: row.default + (100 if row.name == "synthetic_images" else 1),
    float: lambda row: row.default + 0.01,
    str: lambda row: next(choice for choice in (*row.choices, "x") if choice != row.default),
}


def point(path: Path, values: object) -> str:
    path.write_text(json.dumps(values))
    return str(path)


def test_help_is_the_documented_one() -> None:
    # Versions of Python differ in a heading and in how they wrap: the words are what is promised.
    words = " ".join(re.sub(r"^optional arguments:", "options:", build_parser().format_help(), flags=re.MULTILINE).split())
    assert words == " ".join(GOLDEN.read_text().split()), f"new help:\n{build_parser().format_help()}"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_flag_works_with_hyphens_underscores_and_as_a_parameter(row, tmp_path: Path) -> None:
    value = OTHER[type(row.default)](row)
    assert value != row.default
    text = str(value).lower() if isinstance(value, bool) else str(value)
    for spelling in (row.name, row.name.replace("_", "-")):
        assert getattr(read_settings([f"--{spelling}", text], None), row.name) == value
        assert getattr(read_settings([f"--{spelling}={text}"], None), row.name) == value
    assert getattr(read_settings([], point(tmp_path / "p.json", {row.name: value})), row.name) == value


@pytest.mark.parametrize("row", [row for row in TABLE if isinstance(row.default, bool)], ids=lambda row: row.name)
def test_a_switch_can_be_turned_on_and_off(row) -> None:
    hyphens = row.name.replace("_", "-")
    for spelling in (row.name, hyphens):
        assert getattr(read_settings([f"--{spelling}"], None), row.name) is True
        assert getattr(read_settings([f"--no-{spelling}"], None), row.name) is False
    assert getattr(read_settings([f"--no_{row.name}"], None), row.name) is False


def test_defaults_are_the_prototypes_where_it_had_them() -> None:
    found = vars(read_settings([], None))
    wanted = {"model_type": "resnet18", "hidden_size": 1024, "num_layers": 3, "dropout_rate": 0.2, "learning_rate": 0.001, "batch_size": 128, "num_epochs": 50}
    assert {name: found[name] for name in wanted} == wanted
    assert (found["weight_decay"], found["device"], found["optimizer"], found["early_stopping_patience"]) == (1e-4, "auto", "adam", 10)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model_type", "resnet52"], "Did you mean resnet50"),
        (["--learning_rate", "fast"], "is not a float"),
        (["--learning_rate", "nan"], "is outside"),
        (["--learning_rate", "-1"], "is outside"),
        (["--batch_size", "12.5"], "is not a int"),
        (["--batch_size", "1"], "is outside 2"),
        (["--dropout_rate", "1"], "is outside"),
        (["--augment", "perhaps"], "is not a bool"),
        (["--num_epochs", "0"], "is outside 1"),
        (["--lerning_rate", "1"], "unrecognized arguments"),
        (["--learning_rate"], "expected one argument"),
    ],
)
def test_a_wrong_flag_is_a_configuration_error_that_names_it(flags: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_settings(flags, None)


def test_numbers_that_yaml_or_json_wrote_as_text_are_numbers(tmp_path: Path) -> None:
    found = read_settings([], point(tmp_path / "p.json", {"learning_rate": "1e-5", "batch_size": 64.0}))
    assert found.learning_rate == 1e-5
    assert found.batch_size == 64
    assert isinstance(found.batch_size, int)


def test_names_that_campaigns_use_are_understood(tmp_path: Path) -> None:
    found = read_settings([], point(tmp_path / "p.json", {"dropout": 0.4, "lr": 0.5, "epochs": 7}))
    assert (found.dropout_rate, found.learning_rate, found.num_epochs) == (0.4, 0.5, 7)


def test_an_unknown_parameter_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean weight_decay"):
        read_settings([], point(tmp_path / "p.json", {"weight_decai": 0.1}))


@pytest.mark.parametrize("content", ["[1]", "{", '"text"'])
def test_parameters_that_are_no_object_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="JSON"):
        read_settings([], str(path))


def test_a_flag_may_repeat_a_parameter_but_not_contradict_it(tmp_path: Path) -> None:
    path = point(tmp_path / "p.json", {"learning_rate": 0.01})
    assert read_settings(["--learning-rate", "1e-2"], path).learning_rate == 0.01
    with pytest.raises(ConfigurationError, match="Remove one of them"):
        read_settings(["--learning-rate", "0.1"], path)


def test_where_things_lie_does_not_make_another_training() -> None:
    one, two = read_settings(["--output_dir", "a"], None), read_settings(["--output_dir", "b", "--log_level", "DEBUG", "--checkpoint_epochs", "1"], None)
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(read_settings(["--seed", "1"], None))
