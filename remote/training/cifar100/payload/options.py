"""Every setting of the training in one table: flags, the trial's parameters, defaults, ranges. Row T1, with both spellings of each flag."""

from __future__ import annotations

import argparse
import difflib
import json
import math
from typing import Any, NamedTuple

from payload.errors import ConfigurationError

MODEL_TYPES = ("resnet18", "resnet34", "resnet50", "vgg16", "densenet121", "custom")
OBJECTIVES = ("val_auc", "best_val_accuracy", "final_val_accuracy", "test_accuracy", "accuracy_per_second")


class Row(NamedTuple):
    """One setting. `low` and `high` bound numbers (both allowed); `affects_result`: two runs that differ here may differ in their numbers."""

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    affects_result: bool = True


TABLE: tuple[Row, ...] = (
    Row("model_type", "resnet18", "network", MODEL_TYPES),
    Row("hidden_size", 1024, "width of the linear layers (custom)", low=1, high=16384),
    Row("num_layers", 3, "linear layers, the output among them (custom)", low=1, high=10),
    Row("width_factor", 1.0, "scales the convolutions' channels (custom)", low=0.03, high=8),
    Row("dropout_rate", 0.2, "dropout before the last layer (custom: everywhere)", low=0, high=0.95),
    Row("learning_rate", 0.001, "learning rate (one-cycle: its peak)", low=1e-9, high=100),
    Row("batch_size", 128, "images a step", low=2, high=50000),
    Row("num_epochs", 50, "epochs to train", low=1, high=100000),
    Row("weight_decay", 1e-4, "weight decay", low=0, high=10),
    Row("optimizer", "adam", "optimiser; sgd has Nesterov momentum", ("adam", "adamw", "sgd")),
    Row("momentum", 0.9, "momentum (sgd)", low=0.01, high=0.9999),
    Row("schedule", "plateau", "learning-rate schedule", ("plateau", "cosine", "onecycle", "constant")),
    Row("warmup_epochs", 0.0, "epochs of linear warm-up (cosine, constant)", low=0, high=1000),
    Row("label_smoothing", 0.0, "label smoothing", low=0, high=0.9),
    Row("mixup_alpha", 0.0, "mixup's beta parameter; 0: no mixup", low=0, high=10),
    Row("clip_grad_norm", 0.0, "largest gradient norm; 0: no clipping", low=0, high=1e6),
    Row("augment", True, "random crops and flips of training images"),
    Row("early_stopping_patience", 10, "epochs without a better validation accuracy before stopping; 0: never", low=0, high=100000),
    Row("early_stopping_min_delta", 0.0, "least gain in validation accuracy that counts", low=0, high=1),
    Row("seed", 42, "seed of weights, order and augmentation", low=0, high=2**31 - 1),
    Row("objective", "val_auc", "what results.json reports as the objective", OBJECTIVES, affects_result=False),
    Row("amp", "off", "mixed precision; auto: bf16 where the device multiplies it in hardware", ("off", "auto", "bf16", "fp16")),
    Row("channels_last", "auto", "memory layout; auto: channels last on every device", ("auto", "on", "off")),
    Row("compile", False, "torch.compile the network (torch 2 and newer)"),
    Row("deterministic", False, "deterministic kernels on accelerators, at some speed"),
    Row("halve_batch_on_oom", False, "out of memory: go on in half batches with the gradients of both"),
    Row("device", "auto", "auto: xpu, then cuda, then cpu", ("auto", "xpu", "cuda", "cpu")),
    Row("require_device", "any", "fail rather than run on another device", ("any", "xpu", "cuda", "cpu"), affects_result=False),
    Row("use_ipex", False, "Intel's extension (deprecated upstream): import it and call ipex.optimize"),
    Row("num_workers", 0, "CPU threads; 0: torch's own choice. There are no loader processes: batches are made on the device", low=0, high=1024),
    Row("checkpoint_epochs", 5, "epochs between checkpoints", low=1, high=100000, affects_result=False),
    Row("checkpoint_minutes", 10.0, "minutes between checkpoints, also inside an epoch", low=0.001, high=1e6, affects_result=False),
    Row("keep_checkpoint", False, "keep the resumable checkpoint of a finished training, not only its best weights", affects_result=False),
    Row("classification_metrics", False, "per-class, ROC and precision-recall metrics of the test set", affects_result=False),
    Row("tensorboard", True, "TensorBoard files when the package is there", affects_result=False),
    Row("synthetic_images", 0, "train on so many generated images instead of CIFAR-100 (dry runs); 0: no", low=0, high=1e6),
    Row("data_dir", "", "data root or its folder cifar-100-python (CIFAR100_DATA_DIR wins)", affects_result=False),
    Row("output_dir", "", "where everything is written (default: HOLDFAST_OUT)", affects_result=False),
    Row("resume_from", "", "checkpoint folder to go on from (default: HOLDFAST_RESUME_FROM)", affects_result=False),
    Row("job_id", "", "name of this run in its results (default: the trial's)", affects_result=False),
    Row("log_level", "INFO", "how much is logged", ("DEBUG", "INFO", "WARNING", "ERROR"), affects_result=False),
)
ROWS = {row.name: row for row in TABLE}
# What campaigns also call them.
ALIASES = {"dropout": "dropout_rate", "lr": "learning_rate", "epochs": "num_epochs", "optimiser": "optimizer"}
# A longer horizon is another schedule, so num_epochs counts; these do not change a single number of the epochs before.
NOT_IN_FINGERPRINT = ("num_workers", "device", "early_stopping_patience", "early_stopping_min_delta")


class _Help(argparse.HelpFormatter):
    """Both spellings, then the value once; the same words on every version of Python."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=60, width=140)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        spellings = ", ".join(action.option_strings)
        return spellings if action.nargs == 0 else f"{spellings} {action.metavar}"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ConfigurationError(f"{message}. `train.py --help` lists every flag.")


def _to_flag(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ValueError(f"{text} is neither true nor false")
    return words[text.lower()]


def build_parser() -> argparse.ArgumentParser:
    """Flags with `-` or `_`; switches also as `--no-<flag>`. Nothing is converted here, so that one place checks flags and parameters alike."""

    parser = _Parser(
        prog="train.py",
        description="Trains a network on CIFAR-100. Settings come from flags and from the trial's parameters ($HOLDFAST_PARAMS).",
        formatter_class=_Help,
        usage="train.py [settings]",
        allow_abbrev=False,
    )
    for row in TABLE:
        spellings = [f"--{row.name}"] + ([f"--{row.name.replace('_', '-')}"] if "_" in row.name else [])
        words = f"{row.help} (default: {row.default})" if row.default != "" else row.help
        if isinstance(row.default, bool):
            parser.add_argument(*spellings, dest=row.name, nargs="?", const="true", default=None, metavar="BOOL", help=words)
            negated = [f"--no{spelling[1:]}" for spelling in spellings] + [f"--no_{row.name}"]
            parser.add_argument(*dict.fromkeys(negated), dest=row.name, action="store_const", const="false", help=argparse.SUPPRESS)
        else:
            metavar = "|".join(row.choices) if row.choices else type(row.default).__name__.upper()
            parser.add_argument(*spellings, dest=row.name, default=None, metavar=metavar, help=words)
    return parser


def checked(row: Row, value: Any, origin: str) -> Any:
    """The value in the setting's own type and range. Raises ConfigurationError that names the setting and where the value came from."""
    wanted = type(row.default)
    words = f"{row.name}: {value!r} ({origin})"
    try:
        if wanted is bool:
            result: Any = value if isinstance(value, bool) else _to_flag(str(value))
        elif wanted is int:
            number = float(value)
            if number != int(number):
                raise ValueError(f"{value} is not a whole number")
            result = int(number)
        else:
            result = wanted(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(f"{words} is not a {wanted.__name__}.") from error
    if row.choices and result not in row.choices:
        near = difflib.get_close_matches(str(result), row.choices, 1)
        raise ConfigurationError(f"{words} is not one of {', '.join(row.choices)}." + (f" Did you mean {near[0]}?" if near else ""))
    if row.name == "synthetic_images" and 0 < result < 100:
        raise ConfigurationError(f"{words} is below 100, one image a class.")
    if wanted in (int, float) and not (math.isfinite(result) and row.low <= result <= row.high):
        raise ConfigurationError(f"{words} is outside {row.low:g} to {row.high:g}.")
    return result


def read_parameters(path: str) -> dict[str, Any]:
    """The trial's point: a JSON object of names and values, aliases resolved. Raises ConfigurationError for anything else and for unknown names."""
    with open(path, encoding="utf-8") as file:
        try:
            given = json.load(file)
        except ValueError as error:
            raise ConfigurationError(f"{path} is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise ConfigurationError(f"{path} is not a JSON object of parameters.")
    result: dict[str, Any] = {}
    for key, value in given.items():
        name = ALIASES.get(key, key)
        if name not in ROWS:
            near = difflib.get_close_matches(key, [*ROWS, *ALIASES], 1)
            raise ConfigurationError(f"{key} is no setting of this training ({path})." + (f" Did you mean {near[0]}?" if near else ""))
        result[name] = value
    return result


def read_settings(arguments: list[str], parameters_file: str | None) -> argparse.Namespace:
    """Defaults, then the trial's parameters and the flags. A setting that both give with different values is refused: one of them would be without effect."""
    flags = {name: value for name, value in vars(build_parser().parse_args(arguments)).items() if value is not None}
    parameters = read_parameters(parameters_file) if parameters_file else {}
    settings = argparse.Namespace()
    for row in TABLE:
        value = row.default
        if row.name in parameters:
            value = checked(row, parameters[row.name], "the trial's parameters")
        if row.name in flags:
            flag = checked(row, flags[row.name], f"--{row.name}")
            if row.name in parameters and flag != value:
                raise ConfigurationError(f"{row.name} is {value} among the trial's parameters and {flag} as a flag. Remove one of them.")
            value = flag
        setattr(settings, row.name, value)
    return settings


def fingerprint(settings: argparse.Namespace) -> dict[str, Any]:
    """The settings that decide a training's numbers: a checkpoint of others is not gone on from."""
    return {row.name: getattr(settings, row.name) for row in TABLE if row.affects_result and row.name not in NOT_IN_FINGERPRINT}
