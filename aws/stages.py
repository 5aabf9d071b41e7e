"""The stages of .chalice/config.json, checked before AWS is called."""

import json
import os
import re
from collections import ChainMap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from aws.naming import RetentionDays, Tags
from cli.errors import SettingsError
from cli.settings import unknown_key

PROJECT_VARIABLE = "WHATBREED_PROJECT"
"""Environment variable with the folder whose .chalice/ is read instead of this repository's."""


_MAX_NAME = 64
"""Characters of the name of a function and of a role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""
_MAX_VARIABLES_BYTES = 4_096
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
_RESERVED = re.compile(
    r"AWS_(DEFAULT_)?REGION|AWS_EXECUTION_ENV|AWS_(ACCESS_KEY(_ID)?|SECRET_ACCESS_KEY|SESSION_TOKEN)"
    r"|AWS_LAMBDA_(FUNCTION_\w+|LOG_\w+|RUNTIME_API|INITIALIZATION_TYPE)"
    r"|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
)


class _Keys(BaseModel):
    """Keys that Chalice reads; an unknown one is refused by its name."""

    model_config = ConfigDict(strict=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, value: Any) -> Any:
        for key in value if isinstance(value, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(unknown_key(key, cls.model_fields))
        return value


class FunctionConfig(_Keys):
    """Keys that may differ per function (chalice/config.py of version 1.34)."""

    autogen_policy: bool | None = None
    environment_variables: dict[str, str] = {}
    iam_policy_file: str | None = None
    iam_role_arn: str | None = None
    lambda_memory_size: Annotated[int, Field(ge=128, le=10240)] | None = None
    lambda_timeout: Annotated[int, Field(ge=1, le=900)] | None = None
    layers: Annotated[list[str], Field(max_length=5)] | None = None
    log_retention_in_days: RetentionDays | None = None
    manage_iam_role: bool | None = None
    reserved_concurrency: Annotated[int, Field(ge=0)] | None = None
    security_group_ids: list[str] | None = None
    subnet_ids: list[str] | None = None
    # AWS allows 50; Chalice, SAM and chalice_release.py add one each.
    tags: Annotated[Tags, Field(max_length=47)] = {}
    xray: bool | None = None

    @field_validator("environment_variables")
    @classmethod
    def _accepted_by_lambda(cls, variables: dict[str, str]) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""
        for name in variables:
            if _RESERVED.fullmatch(name):
                raise ValueError(f"{name} is reserved by Lambda: remove it")
            if not re.fullmatch("[a-zA-Z][a-zA-Z0-9_]+", name):
                raise ValueError(f'"{name}" must be letters, digits and _, after a letter')
        return variables


class CustomDomain(_Keys):
    domain_name: str
    certificate_arn: str
    tags: Tags | None = None
    tls_version: Literal["TLS_1_0", "TLS_1_1", "TLS_1_2"] | None = None
    url_prefix: str | None = None


class StageConfig(FunctionConfig):
    """Keys that may differ per stage."""

    api_gateway_custom_domain: CustomDomain | None = None
    api_gateway_endpoint_type: Literal["EDGE", "REGIONAL", "PRIVATE"] | None = None
    api_gateway_endpoint_vpce: str | list[str] | None = None
    api_gateway_policy_file: str | None = None
    api_gateway_stage: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,128}$")] | None = None
    automatic_layer: bool | None = None
    lambda_architecture: Literal["x86_64", "arm64"] | None = None
    lambda_functions: dict[str, FunctionConfig] = {}
    minimum_compression_size: Annotated[int, Field(ge=0, le=10_485_760)] | None = None
    websocket_api_custom_domain: CustomDomain | None = None

    @property
    def handler(self) -> FunctionConfig:
        return self.lambda_functions.get("api_handler", FunctionConfig())


class Config(StageConfig):
    """The whole document."""

    version: str = "1.0"
    app_name: Annotated[str, Field(pattern="^[a-zA-Z][a-zA-Z0-9_-]*$")]
    profile: str | None = None
    stages: dict[str, StageConfig] = {}

    @classmethod
    def read(cls) -> Self:
        """Read config.json. Raises SettingsError with the key that is wrong."""
        path = folder() / "config.json"
        try:
            return cls.model_validate(_json(path))
        except ValidationError as error:
            first = error.errors()[0]
            place = ": ".join(filter(None, [path.name, ".".join(map(str, first["loc"]))]))
            reason = first["msg"].removeprefix("Value error, ")
            end = "" if reason.endswith((".", "?")) else "."
            raise SettingsError(f"{place}: {reason}{end}") from None

    def value(self, stage: str, key: str) -> Any:
        """Return the value of `key` for the routes' function, or None. The nearest one counts."""
        own = self.stages[stage]
        values = (getattr(keys, key, None) for keys in (own.handler, own, self.handler, self))
        return next((value for value in values if value is not None), None)

    def environment(self, stage: str) -> dict[str, str]:
        """Return the environment variables of the routes' function, merged as Chalice does."""
        own = self.stages[stage]
        variables = [keys.environment_variables for keys in (own.handler, own, self)]
        return dict(ChainMap(*variables))


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the API: its endpoint, its Lambda function and the function's limits."""

    name: str
    endpoint: str
    function: str
    reserved_concurrency: int | None
    traced: bool
    """Whether AWS X-Ray traces requests."""
    memory_mb: int = 128
    provisioned_concurrency: int | None = None


def read(name: str) -> Stage:
    """Read the stage `name`. Raises SettingsError if it is missing or its settings are wrong."""
    config = Config.read()
    if name not in config.stages:
        raise SettingsError(
            f'config.json has no stage "{name}". Stages: {", ".join(config.stages)}.'
        )
    endpoint = config.environment(name).get("ENDPOINT_NAME")
    if not endpoint:
        raise SettingsError(
            f"config.json: stages.{name}: set ENDPOINT_NAME in environment_variables."
        )
    _check_names(config, name)
    reserved = config.value(name, "reserved_concurrency")
    return Stage(
        name=name,
        endpoint=endpoint,
        function=f"{config.app_name}-{name}",
        reserved_concurrency=reserved,
        traced=bool(config.value(name, "xray")),
        memory_mb=config.value(name, "lambda_memory_size") or 128,  # Lambda's default
        provisioned_concurrency=_provisioned_concurrency(name, reserved),
    )


def names() -> list[str]:
    """Return all stages but `local`, which has no endpoint in AWS."""
    return [name for name in Config.read().stages if name != "local"]


def has_stack(name: str) -> bool:
    """Return whether the stage is released as a CloudFormation stack, not by `chalice deploy`."""
    return _resources_file(name).is_file()


def properties(stage: str, resource: str) -> dict[str, Any]:
    """Return what resources-STAGE.json adds to Chalice's `resource`; {} without that file."""
    document = _json(_resources_file(stage)) if has_stack(stage) else {}
    resources = document.get("Resources", {})
    return dict(resources.get(resource, {}).get("Properties", {}))


def folder() -> Path:
    """Return the folder .chalice of the project."""
    project = os.environ.get(PROJECT_VARIABLE) or Path(__file__).resolve().parents[1]
    return Path(project) / ".chalice"


def _check_names(config: Config, stage: str) -> None:
    """Raise SettingsError if Lambda, IAM or CloudFormation would refuse a name or the variables."""
    role = f"{config.app_name}-pipeline-{stage}"  # the longest name of a role
    if len(role) > _MAX_NAME or not re.fullmatch("[a-zA-Z0-9_-]+", stage):
        raise SettingsError(
            f'config.json: the role "{role}" needs a name of at most {_MAX_NAME} letters, digits, '
            "- and _: change app_name or the name of the stage."
        )
    if has_stack(stage) and "_" in f"{config.app_name}{stage}":
        raise SettingsError(
            f'config.json: the stack "{config.app_name}-{stage}" may not have _ in its name: '
            "change app_name or the name of the stage."
        )
    variables = json.dumps(config.environment(stage), separators=(",", ":"))
    if len(variables.encode()) > _MAX_VARIABLES_BYTES:
        raise SettingsError(
            f"config.json: the environment_variables of stage {stage} have "
            f"{len(variables.encode())} bytes; Lambda accepts {_MAX_VARIABLES_BYTES}."
        )


def _provisioned_concurrency(stage: str, reserved: int | None) -> int | None:
    """Read it from resources-STAGE.json. Raises SettingsError if Lambda would refuse it."""
    alias = properties(stage, "APIHandlerAliaslive")
    settings = alias.get("ProvisionedConcurrencyConfig", {})
    count = settings.get("ProvisionedConcurrentExecutions")
    if count is None:
        return None
    origin = f"{_resources_file(stage).name}: ProvisionedConcurrentExecutions is {count!r}"
    if not isinstance(count, int) or count < 1:
        raise SettingsError(f"{origin}; it must be at least 1. Remove it to provision none.")
    if reserved is not None and count > reserved:
        raise SettingsError(
            f"{origin}, above reserved_concurrency {reserved} of stage {stage} in config.json."
        )
    return count


def _resources_file(stage: str) -> Path:
    return folder() / f"resources-{stage}.json"


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{path} must contain a JSON object.")
    return document
