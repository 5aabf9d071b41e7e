"""An endpoint and its versions: what is in service, how the next comes in, how one goes back.

A version is a model and an endpoint config, both named after what they hold, so that deploying the
same thing twice is seen. The endpoint's tag `previous-config` says what a rollback returns to.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aws import endpoints
from aws.account import Account
from aws.settings import ServingSettings
from ops.endpoint.alarms import VARIANT

POLL_S = 10.0
PREVIOUS = "previous-config"
_BUSY = frozenset({"Creating", "Updating", "RollingBack", "SystemUpdating", "Deleting"})


@dataclass(frozen=True, slots=True)
class Version:
    """A model and its endpoint config, as the requests that create them."""

    model: dict[str, Any]
    config: dict[str, Any]

    @property
    def model_name(self) -> str:
        return str(self.model["ModelName"])

    @property
    def config_name(self) -> str:
        return str(self.config["EndpointConfigName"])


def version(
    account: Account, endpoint: str, image: str, model_uri: str, options: ServingSettings
) -> Version:
    """The version of `endpoint` that serves `model_uri` in `image`; nothing is created."""
    cloud, tags = account.settings, account.settings.tag_list()
    vpc = None if options.serverless else cloud.vpc_config()
    model = {
        "ExecutionRoleArn": account.role_arn(cloud.serving_role),
        "PrimaryContainer": {"Image": image, "ModelDataUrl": model_uri},
        # The container needs nothing but its model; serverless inference cannot isolate it.
        "EnableNetworkIsolation": not options.serverless,
        **({"VpcConfig": vpc} if vpc else {}),
    }
    model_name = f"{endpoint}-{_digest(model)}"
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": model_name,
        "InitialVariantWeight": 1.0,
    }
    if options.serverless:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": options.serverless_memory_mb,
            "MaxConcurrency": options.serverless_concurrency,
        }
    else:
        variant["InstanceType"] = options.instance_type
        variant["InitialInstanceCount"] = options.instance_count
    config: dict[str, Any] = {"ProductionVariants": [variant]}
    if cloud.kms_key and not options.serverless:
        config["KmsKeyId"] = cloud.kms_key
    if options.capture_percent and not options.serverless:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": options.capture_percent,
            "DestinationS3Uri": account.uri("captured", endpoint),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            **({"KmsKeyId": cloud.kms_key} if cloud.kms_key else {}),
        }
    config_name = f"{endpoint}-{_digest(config)}"
    return Version(
        {"ModelName": model_name, **model, "Tags": tags},
        {"EndpointConfigName": config_name, **config, "Tags": tags},
    )


def create_parts(account: Account, wanted: Version) -> list[Callable[[], Any]]:
    """Create the model and the config where they are missing; return what would undo that.

    What was created is removed again where the second of them fails.
    """
    sagemaker = account.client("sagemaker")
    undo: list[Callable[[], Any]] = []
    try:
        if not endpoints.or_none(lambda: sagemaker.describe_model(ModelName=wanted.model_name)):
            sagemaker.create_model(**wanted.model)
            undo.append(lambda: sagemaker.delete_model(ModelName=wanted.model_name))
        if not endpoints.describe_config(account, wanted.config_name):
            sagemaker.create_endpoint_config(**wanted.config)
            undo.append(
                lambda: sagemaker.delete_endpoint_config(EndpointConfigName=wanted.config_name)
            )
    except BaseException:
        undo_all(undo)
        raise
    return undo


def undo_all(undo: list[Callable[[], Any]]) -> None:
    """Take back what was created, the last first."""
    for step in reversed(undo):
        step()


def deployment_config(
    options: ServingSettings, alarm_names: list[str], instances: int
) -> dict[str, Any]:
    """How traffic moves to the new version; `instances` are in service now.

    A single instance cannot be split: all traffic moves at once, and the alarms still watch.
    https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails.html
    """
    rollback = {"Alarms": [{"AlarmName": name} for name in alarm_names]}
    share = {"Type": "CAPACITY_PERCENT", "Value": options.rollout_percent}
    if options.rollout == "rolling" and instances > 1:
        policy: dict[str, Any] = {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": share,
                "WaitIntervalInSeconds": options.rollout_wait_s,
            }
        }
    else:
        routing: dict[str, Any] = {
            "Type": "ALL_AT_ONCE",
            "WaitIntervalInSeconds": options.rollout_wait_s,
        }
        if options.rollout == "canary" and instances > 1:
            routing = {**routing, "Type": "CANARY", "CanarySize": share}
        policy = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": options.rollout_wait_s,
            }
        }
    return {**policy, "AutoRollbackConfiguration": rollback}


def update(
    account: Account, name: str, config_name: str, options: ServingSettings, alarm_names: list[str]
) -> None:
    """Move endpoint `name` to a config, keeping the instance count that scaling has found."""
    [variant] = endpoints.present(account, name)["ProductionVariants"]
    extra: dict[str, Any] = {}
    target = endpoints.describe_config(account, config_name) or {}
    serverless = any("ServerlessConfig" in one for one in target.get("ProductionVariants", []))
    if not serverless and "CurrentServerlessConfig" not in variant:
        count = variant.get("CurrentInstanceCount") or 1
        extra = {
            "RetainAllVariantProperties": True,
            "DeploymentConfig": deployment_config(options, alarm_names, count),
        }
    account.client("sagemaker").update_endpoint(
        EndpointName=name, EndpointConfigName=config_name, **extra
    )


def wait(account: Account, name: str) -> dict[str, Any]:
    """Print the endpoint's state until it rests, and return its description.

    Raises `AwsError` where somebody deletes it meanwhile.
    """
    began, told = time.monotonic(), ""
    while True:
        found = endpoints.present(account, name)
        status = str(found["EndpointStatus"])
        if status != told:
            print(f"{name}: {status} ({time.monotonic() - began:.0f} s)", flush=True)
            told = status
        if status not in _BUSY:
            return found
        time.sleep(POLL_S)


def previous_config(account: Account, found: dict[str, Any]) -> str | None:
    """The config that was in service before the present one, where there was one."""
    tags = account.client("sagemaker").list_tags(ResourceArn=found["EndpointArn"])["Tags"]
    return next((tag["Value"] for tag in tags if tag["Key"] == PREVIOUS), None)


def remember_previous(account: Account, found: dict[str, Any], config_name: str) -> None:
    """Note the config that a rollback returns to."""
    account.client("sagemaker").add_tags(
        ResourceArn=found["EndpointArn"], Tags=[{"Key": PREVIOUS, "Value": config_name}]
    )


def configs(account: Account, endpoint: str) -> Iterator[dict[str, Any]]:
    """The endpoint configs of `endpoint`, by their names."""
    pages = account.client("sagemaker").get_paginator("list_endpoint_configs")
    for page in pages.paginate(NameContains=endpoint):
        for config in page["EndpointConfigs"]:
            if _is_ours(config["EndpointConfigName"], endpoint):
                yield config


def models(account: Account, endpoint: str) -> Iterator[dict[str, Any]]:
    """The models of `endpoint`, by their names."""
    for page in (
        account.client("sagemaker").get_paginator("list_models").paginate(NameContains=endpoint)
    ):
        yield from (one for one in page["Models"] if _is_ours(one["ModelName"], endpoint))


def prune(account: Account, endpoint: str, keep: set[str]) -> list[str]:
    """Delete the configs that are not in `keep`, and the models of none that is.

    Returns the names of what was deleted.
    """
    sagemaker, deleted, used = account.client("sagemaker"), [], set[str]()
    for config in list(configs(account, endpoint)):
        name = config["EndpointConfigName"]
        if name in keep:
            described = endpoints.describe_config(account, name) or {"ProductionVariants": []}
            used.update(one["ModelName"] for one in described["ProductionVariants"])
        else:
            sagemaker.delete_endpoint_config(EndpointConfigName=name)
            deleted.append(name)
    for model in list(models(account, endpoint)):
        if model["ModelName"] not in used:
            sagemaker.delete_model(ModelName=model["ModelName"])
            deleted.append(model["ModelName"])
    return deleted


def _is_ours(name: str, endpoint: str) -> bool:
    """Whether `deploy` gave `name`: another endpoint's name may begin the same."""
    return re.fullmatch(re.escape(endpoint) + r"-[0-9a-f]{10}", name) is not None


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:10]
