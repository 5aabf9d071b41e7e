"""A stage with all settings that its deployment depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from aws import account as accounts
from aws import stages
from aws.account import Account
from aws.settings import (
    AlertSettings,
    Ec2Settings,
    FitSettings,
    ScalingSettings,
    ServingSettings,
    TransformSettings,
    TuningJobSettings,
)
from aws.stages import Stage
from cli.errors import SettingsError

_SECTIONS = (
    ServingSettings, ScalingSettings, AlertSettings, FitSettings, TuningJobSettings,
    TransformSettings, Ec2Settings,
)  # fmt: skip


@dataclass(frozen=True)
class Deployment:
    """What `doctor`, `up` and `down` work on."""

    account: Account
    stage: Stage
    serving: ServingSettings
    scaling: ScalingSettings
    alerts: AlertSettings
    fit: FitSettings
    tuning_job: TuningJobSettings
    transform: TransformSettings
    ec2: Ec2Settings

    @property
    def has_stack(self) -> bool:
        """Whether CloudFormation releases the API of the stage."""
        return stages.has_stack(self.stage.name)


def options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of [aws] to a command with a `stage`, and pass it a `deployment`."""

    @wraps(function)
    def wrapper(account: Account, stage: str, **arguments: Any) -> None:
        if stages.read(stage).name == "local":
            raise SettingsError("Stage local runs on this machine only: `make run`.")
        sections = {section.TABLE: arguments.pop(section.TABLE) for section in _SECTIONS}
        function(deployment=Deployment(account, stages.read(stage), **sections), **arguments)

    return accounts.options(without_options=_SECTIONS)(wrapper)
