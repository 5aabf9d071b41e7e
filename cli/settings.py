"""Settings: pydantic models whose values come from settings.toml, a file, SM_HPS and options.

Each table of settings.toml is a subclass of `Section`, which holds defaults, limits and help texts.
A later source overrides an earlier one: defaults, settings.toml, its table for the stage
(`[stage.prod.scaling]`), SageMaker's hyperparameters, a --settings file, command-line options.
"""

import difflib
import functools
import json
import os
import tomllib
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import click
import pydantic

from cli.errors import SettingsError

PATH = Path(__file__).resolve().parents[1] / "settings.toml"
PATH_VARIABLE = "WHATBREED_SETTINGS"
"""Environment variable with the path of a file to read instead of settings.toml."""

TABLES = (
    "aws", "data", "train", "export", "tune", "fit", "tuning_job", "transform", "ec2", "serving",
    "scaling", "alerts", "loadtest", "costs",
)  # fmt: skip
"""All tables of settings.toml. A test compares them with the subclasses of `Section`."""
STAGE_TABLES = ("serving", "scaling")
"""The tables that `[stage.NAME.TABLE]` may override."""


class Section(pydantic.BaseModel):
    """One table of settings.toml. Subclasses set `TABLE` and describe every field."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    TABLE: ClassVar[str]
    HYPERPARAMETERS: ClassVar[bool] = False
    """Whether a SageMaker job may set the fields through SM_HPS."""
    OTHER_HYPERPARAMETERS: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters of the job that are options of its command, not fields."""
    stage_names: ClassVar[Callable[[], Collection[str]]] = tuple
    """Returns the stages that a table in STAGE_TABLES may be written for."""

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _check_numbers(cls, value: Any, information: pydantic.ValidationInfo) -> Any:
        annotation = cls.model_fields[information.field_name or ""].annotation
        if isinstance(value, bool) and annotation in (int, float):
            raise ValueError("input should be a number")
        # options are texts, which pydantic converts for all types but this one
        numbers = [item for item in typing.get_args(annotation) if isinstance(item, int)]
        if isinstance(value, str) and value in map(str, numbers):
            return int(value)
        return value

    @classmethod
    def read(
        cls,
        options: Mapping[str, Any] | None = None,
        *,
        stage: str | None = None,
        file: Path | None = None,
    ) -> Self:
        """Build the section from all sources; `options` override the rest, None is not given.

        Raises SettingsError with the source, the key and the value that is wrong.
        """
        sources = list(cls._tables(settings_file(), stage))
        if cls.HYPERPARAMETERS:
            hyperparameters = sagemaker_hyperparameters()
            for name in cls.OTHER_HYPERPARAMETERS:
                hyperparameters.pop(name, None)
            sources.append(("SM_HPS", hyperparameters))
        if file:
            sources += cls._tables(file, stage)
        given = {key: value for key, value in (options or {}).items() if value is not None}
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for origin, overlay in (*sources, ("option", given)):
            _check_keys(origin, overlay, cls.model_fields)
            values |= overlay
            origins |= dict.fromkeys(overlay, origin)
        try:
            return cls(**values)
        except pydantic.ValidationError as error:
            raise SettingsError(_explain(error, f"[{cls.TABLE}]", origins)) from None

    @classmethod
    def _tables(cls, path: Path, stage: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        document = read_toml(path)
        yield f"{path.name} [{cls.TABLE}]", _table(path, document, cls.TABLE)
        stages = document.get("stage", {}) if cls.TABLE in STAGE_TABLES else {}
        if stages:
            _check_keys(f"{path.name} [stage]", stages, cls.stage_names(), "stage")
        if stage in stages:
            overlay = _table(path, stages[stage], cls.TABLE)
            yield f"{path.name} [stage.{stage}.{cls.TABLE}]", overlay


def options(
    *sections: type[Section],
    without_options: Sequence[type[Section]] = (),
    merged: Sequence[type[Section]] = (),
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for every scalar field of `sections`, and pass the sections to the command.

    The command receives each section as the keyword argument `TABLE`. `--settings FILE` is added
    too. If the command has an argument `stage`, the tables of that stage count. The sections of
    `without_options` are only read and passed. Those of `merged` have options, but are passed
    without them: the command merges what is `given` itself.
    """
    with_options = (*sections, *merged)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(settings_file: Path | None, **arguments: Any) -> None:
            for section in (*with_options, *without_options):
                table, stage = section.TABLE, arguments.get("stage")
                given = {key: arguments.pop(f"{table}__{key}", None) for key in _scalars(section)}
                if section in merged:
                    arguments[table] = section.read(stage=stage)
                else:
                    arguments[table] = section.read(given, stage=stage, file=settings_file)
            function(**arguments)

        wrapped: Callable[..., None] = wrapper
        for section in reversed(with_options):
            for field in reversed(_scalars(section)):
                wrapped = _option(section, field)(wrapped)
        return click.option(
            "--settings",
            "settings_file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="A TOML file with tables as in settings.toml, which it overrides.",
        )(wrapped)

    return decorate


def given(section: type[Section]) -> dict[str, Any]:
    """Return the values of `section` that this command's options and --settings file give."""
    parameters = click.get_current_context().params
    file = parameters.get("settings_file")
    values: dict[str, Any] = {}
    for origin, table in section._tables(file, parameters.get("stage")) if file else ():
        _check_keys(origin, table, section.model_fields)
        values |= table
    for key in _scalars(section):
        if (value := parameters.get(f"{section.TABLE}__{key}")) is not None:
            values[key] = value
    return values


def _option(section: type[Section], field: str) -> Callable[..., Any]:
    information = section.model_fields[field]
    default = information.get_default(call_default_factory=True)
    return click.option(
        f"--{field.replace('_', '-')}",
        f"{section.TABLE}__{field}",
        metavar=_metavar(information.annotation),
        help=f"{' '.join((information.description or '').split())} Default: {json.dumps(default)}.",
    )


def _scalars(section: type[Section]) -> list[str]:
    """Return the fields that fit on a command line."""
    fields = section.model_fields.items()
    return [name for name, information in fields if _metavar(information.annotation)]


def _metavar(annotation: Any) -> str | None:
    """Return the placeholder for an option's value, or None for types that have no option."""
    if typing.get_origin(annotation) is Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    scalars = {str: "TEXT", bool: "true|false", int: "INTEGER", float: "NUMBER", list[str]: "A,B"}
    return scalars.get(annotation)


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


Names = typing.Annotated[list[str], pydantic.BeforeValidator(_split)]
"""A list of texts, which an option gives comma-separated."""


def settings_file() -> Path:
    """Return the path of settings.toml, or of the file that is read instead."""
    return Path(os.environ.get(PATH_VARIABLE) or PATH)


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a settings file. Raises SettingsError if it is not TOML or has an unknown table."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from None
    _check_keys(path.name, document, (*TABLES, "stage"), "table")
    for stage, tables in _table(path, document, "stage").items():
        if not isinstance(tables, dict):
            raise SettingsError(f"{path.name}: write [stage.{stage}.TABLE], with a table's name.")
        _check_keys(f"{path.name} [stage.{stage}]", tables, STAGE_TABLES, "table")
    return document


def sagemaker_hyperparameters(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The job's hyperparameters from SM_HPS, with underscores, without the launchers' own keys."""
    text = environment.get("SM_HPS", "{}")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise SettingsError(f"SM_HPS is not a JSON object: {text[:60]!r}.")
    return {
        # the tuner sends its values as quoted texts
        key.replace("-", "_"): value.strip('"') if isinstance(value, str) else value
        for key, value in document.items()
        if not key.startswith(("sagemaker_", "_tuning"))
    }


def unknown_key(key: str, allowed: Iterable[str], kind: str = "key") -> str:
    """Return a message about a key that does not exist, with the nearest name or all of them."""
    near = difflib.get_close_matches(key, list(allowed), n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"Allowed: {', '.join(allowed)}."
    return f'unknown {kind} "{key}". {hint}'


def _explain(error: pydantic.ValidationError, table: str, origins: Mapping[str, str]) -> str:
    """The first problem in one line: `settings.toml [train]: epochs is -1: …`."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    reason = first["msg"].removeprefix("Value error, ").rstrip(".")
    reason = reason[0].lower() + reason[1:]
    if not location:
        return f"{table}: {reason}."
    origin = origins.get(location[0], table)
    name = f"{origin}: {'.'.join(location)}"
    if origin == "option":
        name = f"--{location[0].replace('_', '-')}"
    return f"{name} is {json.dumps(first['input'], default=str)}: {reason}."


def _check_keys(
    place: str, keys: Iterable[str], allowed: Collection[str], kind: str = "key"
) -> None:
    for key in keys:
        if key not in allowed:
            raise SettingsError(f"{place}: {unknown_key(key, allowed, kind)}")


def _table(path: Path, document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{path.name}: {name} must be a table: write [{name}].")
    return table
