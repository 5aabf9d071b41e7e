"""`settings.toml` and what overrides it: SageMaker's hyperparameters, then the command line."""

import argparse
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from training.errors import SettingsError

PATH = Path(__file__).with_name("settings.toml")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The table [train]; `settings.toml` says what each key means and holds its default."""

    backbone: str
    pretrained: bool
    size: int
    crop: float
    train_size: int
    valid_fraction: float
    epochs: int
    batch_size: int
    learning_rate: float
    layer_decay: float
    frozen_below: float
    depthwise: bool
    weight_decay: float
    warmup: float
    clip_norm: float
    label_smoothing: float
    mixup: float
    least_area: float
    colour: float
    erasing: float
    balance: float
    probe_penalty: float
    gate_weight: float
    ema_decay: float
    precision: str
    cache_size: int
    workers: int
    checkpoint_steps: int
    sharded: bool
    seed: int
    threads: int


def table(name: str) -> dict[str, Any]:
    """One table of settings.toml. Raises `SettingsError` where it is missing or not TOML."""
    try:
        found = _document()[name]
    except KeyError:
        raise SettingsError(f"{PATH} has no table [{name}]") from None
    return dict(found)


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """One option for each key of [train], absent unless given, so that defaults can lie below."""
    help_texts = comments("train")
    parser.add_argument(
        "--settings", type=Path, help="a TOML file of such keys (what tune wrote), below options"
    )
    for key, default in table("train").items():
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            dest=key,
            metavar=type(default).__name__.upper(),
            default=argparse.SUPPRESS,
            help=f"{help_texts[key]} (default {default})".replace("%", "%%"),
        )


def train_settings(given: Mapping[str, Any]) -> TrainSettings:
    """The settings of a run: settings.toml, then SM_HPS, then a --settings file, then options.

    `given` may hold other options beside the settings. Raises `SettingsError` naming the value.
    """
    names = {field.name for field in fields(TrainSettings)}
    values = table("train")
    if set(values) != names:
        raise SettingsError(f"{PATH}: [train] must hold exactly {', '.join(sorted(names))}")
    types = {key: type(value) for key, value in values.items()}
    overlays = {"SM_HPS": sagemaker_hyperparameters()}
    if file := given.get("settings"):
        overlays[str(file)] = _toml(file)
    for origin, overlay in {**overlays, "option": given}.items():
        for key, value in overlay.items():
            if key in names:
                values[key] = _convert(f"{origin} {key}", value, types[key])
    return TrainSettings(**values)


def sagemaker_hyperparameters(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The job's hyperparameters from SM_HPS, keys with underscores, launcher's own left out."""
    text = environment.get("SM_HPS", "{}")
    try:
        document = json.loads(text)
    except ValueError:
        raise SettingsError(f"SM_HPS is not JSON: {text[:60]!r}") from None
    return {
        key.replace("-", "_"): value
        for key, value in document.items()
        if not key.startswith(("sagemaker_", "_tuning"))
    }


def _convert(name: str, value: Any, wanted: type) -> Any:
    """`value`, perhaps a text from a command line, as `wanted`."""
    if wanted is bool:
        found = {"true": True, "false": False}.get(str(value).strip('"').lower())
        if found is None:
            raise SettingsError(f"{name} is {value!r}, not true or false")
        return found
    try:
        return wanted(value) if wanted is not str else str(value).strip('"')
    except (TypeError, ValueError):
        raise SettingsError(f"{name} is {value!r}, not {wanted.__name__}") from None


@cache
def _document() -> dict[str, Any]:
    return _toml(PATH)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}") from None


def comments(name: str) -> dict[str, str]:
    """The comment above each key of a table, joined to one line."""
    texts: dict[str, str] = {}
    current, pending = "", list[str]()
    for line in PATH.read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[([\w.]+)\]", line):
            current = heading[1]
        elif line.startswith("#"):
            pending.append(line.removeprefix("#").strip())
            continue
        elif (key := re.match(r"(\w+) =", line)) and current == name:
            texts[key[1]] = " ".join(pending)
        pending = []
    return texts
