"""The [cloud] tables of settings.toml, overlaid by a command's options: one dataclass a table."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar

from training import settings
from training.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Cloud:
    """Where everything lies and who may touch it; `settings.toml` says what each key means."""

    TABLE: ClassVar[str] = "cloud"

    region: str
    bucket: str
    prefix: str
    training_role: str
    serving_role: str
    subnets: list[str]
    security_groups: list[str]
    kms_key: str
    tags: dict[str, str]

    def tag_list(self) -> list[dict[str, str]]:
        """The tags in the form that most of AWS's calls want."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def vpc_config(self) -> dict[str, list[str]] | None:
        """SageMaker's VpcConfig, or None where jobs run outside of a VPC.

        Raises `SettingsError` where only one of its halves is set.
        """
        if bool(self.subnets) != bool(self.security_groups):
            raise SettingsError("[cloud] subnets and security_groups belong together: set both")
        if not self.subnets:
            return None
        return {"Subnets": self.subnets, "SecurityGroupIds": self.security_groups}


@dataclass(frozen=True, slots=True)
class Training:
    """The table [cloud.training]: the machines of `fit` and `tune --cloud`."""

    TABLE: ClassVar[str] = "cloud.training"

    image: str
    pytorch: str
    instance_type: str
    instance_count: int
    processes: int
    volume_gb: int
    distribution: str
    input_mode: str
    spot: bool
    max_runtime_s: int
    max_wait_s: int
    warm_pool_s: int
    network_isolation: bool
    encrypt_traffic: bool
    metrics: dict[str, str]

    def __post_init__(self) -> None:
        _one_of("distribution", self.distribution, ("FullyReplicated", "ShardedByS3Key"))
        _one_of("input_mode", self.input_mode, ("File", "FastFile"))
        if self.spot and self.warm_pool_s:
            raise SettingsError(
                "spot and warm_pool_s exclude each other: SageMaker has no warm "
                "pool of spot instances; set one of them to false or 0"
            )
        if self.spot and self.max_wait_s < self.max_runtime_s:
            raise SettingsError(
                f"max_wait_s is {self.max_wait_s}, less than max_runtime_s {self.max_runtime_s}: "
                "it counts both the waiting for spot instances and the running"
            )


@dataclass(frozen=True, slots=True)
class Tuning:
    """The table [cloud.tuning]: the budget of `tune --cloud`."""

    TABLE: ClassVar[str] = "cloud.tuning"

    objective: str
    max_jobs: int
    parallel_jobs: int
    strategy: str
    early_stopping: bool


@dataclass(frozen=True, slots=True)
class Serving:
    """The table [cloud.serving]: the endpoint and how a new model reaches it."""

    TABLE: ClassVar[str] = "cloud.serving"

    repository: str
    base_image: str
    instance_type: str
    instance_count: int
    serverless: bool
    serverless_memory_mb: int
    serverless_concurrency: int
    capture_percent: int
    rollout: str
    rollout_percent: int
    rollout_wait_s: int
    alarm_latency_ms: int
    alarm_errors: int

    def __post_init__(self) -> None:
        _one_of("rollout", self.rollout, ("canary", "rolling", "at-once"))
        if not 5 <= self.rollout_percent <= 50:
            raise SettingsError(f"rollout_percent is {self.rollout_percent}, not within 5..50")
        if not 0 <= self.capture_percent <= 100:
            raise SettingsError(f"capture_percent is {self.capture_percent}, not within 0..100")


@dataclass(frozen=True, slots=True)
class Scaling:
    """The table [cloud.scaling]: how many instances stand behind the endpoint, and when."""

    TABLE: ClassVar[str] = "cloud.scaling"

    min_instances: int
    max_instances: int
    target_per_minute: float
    scale_in_cooldown_s: int
    scale_out_cooldown_s: int
    schedules: list[dict[str, Any]]

    def __post_init__(self) -> None:
        if not 0 < self.min_instances <= self.max_instances:
            raise SettingsError(
                f"{self.min_instances} to {self.max_instances} instances: the least must be at "
                "least 1 and not above the most"
            )
        if self.target_per_minute <= 0:
            raise SettingsError(f"target_per_minute is {self.target_per_minute}, not above 0")
        for schedule in self.schedules:
            if set(schedule) != {"name", "cron", "min", "max"}:
                raise SettingsError(
                    "each of [cloud.scaling] schedules is {name, cron, min, max}, not "
                    f"{{{', '.join(schedule)}}}"
                )


@dataclass(frozen=True, slots=True)
class Transform:
    """The table [cloud.transform]: the machines of a Batch Transform."""

    TABLE: ClassVar[str] = "cloud.transform"

    instance_type: str
    instance_count: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class Ec2:
    """The table [cloud.ec2]: one bare machine that trains and ends itself."""

    TABLE: ClassVar[str] = "cloud.ec2"

    instance_type: str
    machine_image: str
    role: str
    spot: bool
    volume_gb: int
    max_hours: int


Table = TypeVar("Table", Cloud, Training, Tuning, Serving, Scaling, Transform, Ec2)


def add_options(parser: argparse.ArgumentParser, table: type[Table]) -> None:
    """One option for each key of `table` that is a number, a text, a flag or a list of texts.

    An option is absent from the namespace unless it is given, so that settings.toml decides.
    """
    help_texts = settings.comments(table.TABLE)
    for key, default in _values(table).items():
        if isinstance(default, dict) or key == "schedules":
            continue
        metavar = "A,B" if isinstance(default, list) else type(default).__name__.upper()
        shown = json.dumps(default)
        parser.add_argument(
            f"--{key.replace('_', '-')}",
            dest=key,
            metavar=metavar,
            default=argparse.SUPPRESS,
            help=f"{help_texts.get(key, '')} (default {shown})".replace("%", "%%"),
        )


def read(table: type[Table], given: Mapping[str, Any] | None = None) -> Table:
    """The settings of `table`, overlaid by those of `given` that it knows.

    Raises `SettingsError` naming the value that is wrong or the key that is missing.
    """
    values = _values(table)
    names = {field.name for field in fields(table)}
    if set(values) != names:
        odd = ", ".join(sorted(set(values) ^ names))
        raise SettingsError(f"{settings.PATH}: [{table.TABLE}] lacks, or should not hold: {odd}")
    for key, value in (given or {}).items():
        if key in names and value is not None:
            values[key] = _convert(key, value, values[key])
    return table(**values)


def prices() -> dict[str, float]:
    """The table [cloud.prices]: US dollars an hour of each instance type, on demand."""
    return {name: float(price) for name, price in settings.table("cloud")["prices"].items()}


def _values(table: type[Table]) -> dict[str, Any]:
    """The table of settings.toml as it stands, without the tables of its own."""
    _, *inner = table.TABLE.split(".")
    found: dict[str, Any] = settings.table("cloud")
    for name in inner:
        if name not in found:
            raise SettingsError(f"{settings.PATH} has no table [{table.TABLE}]")
        found = found[name]
    wanted = {field.name for field in fields(table)}
    return {k: v for k, v in found.items() if k in wanted or not isinstance(v, dict)}


def _convert(name: str, value: Any, like: Any) -> Any:
    """`value`, perhaps a text from a command line, of the type that `like` has."""
    if isinstance(value, type(like)) or (isinstance(like, float) and isinstance(value, int)):
        return value
    if isinstance(like, list):
        return [part.strip() for part in str(value).split(",") if part.strip()]
    if isinstance(like, bool):
        found = {"true": True, "false": False}.get(str(value).lower())
        if found is None:
            raise SettingsError(f"{name} is {value!r}, not true or false")
        return found
    try:
        return type(like)(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{name} is {value!r}, not {type(like).__name__}") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}, none of {', '.join(allowed)}")
