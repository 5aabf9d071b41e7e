"""A version of an endpoint: a SageMaker model and an endpoint config, named by their content."""

import hashlib
import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from aws import endpoints, roles
from aws.account import Account, or_none
from aws.instance_types import has_local_storage
from aws.settings import ServingSettings
from cli.errors import SettingsError
from ops.endpoint import lineage, model_archive
from ops.endpoint.model_source import ModelSource

VARIANT = "AllTraffic"
MAX_ENDPOINT_CHARACTERS = 52
"""SageMaker's 63 for a name, less a hyphen and the digest of models and configs."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model and its endpoint config, as the requests that create them."""

    model_name: str
    model: dict[str, Any]
    config_name: str
    config: dict[str, Any]


def plan(
    account: Account,
    endpoint: str,
    image: str,
    source: ModelSource,
    serving: ServingSettings,
) -> ModelVersion:
    """Return the version of `endpoint` that serves `source` in `image`, without creating it.

    The names contain a digest of the content, so the same model and settings give the same names.
    """
    if len(endpoint) > MAX_ENDPOINT_CHARACTERS:
        raise SettingsError(
            f"The endpoint name {endpoint} has {len(endpoint)} characters. At most "
            f"{MAX_ENDPOINT_CHARACTERS} are possible, because models are named after it."
        )
    aws, tags = account.settings, account.settings.tag_list()
    lineage_tags = [{"Key": key, "Value": value} for key, value in lineage.tags(source).items()]
    vpc = None if serving.serverless else aws.vpc_config()
    model = {
        "ExecutionRoleArn": account.role_arn(aws.serving_role),
        "PrimaryContainer": {
            "Image": image,
            "ModelDataUrl": model_archive.uri(account, source.archive),
        },
        # The container needs no network. Serverless inference does not support isolation.
        "EnableNetworkIsolation": not serving.serverless,
        **({"VpcConfig": vpc} if vpc else {}),
    }
    model_name = f"{endpoint}-{_digest(model)}"
    config = _config(account, endpoint, model_name, serving)
    config_name = f"{endpoint}-{_digest(config)}"
    return ModelVersion(
        model_name,
        {"ModelName": model_name, **model, "Tags": tags + lineage_tags},
        config_name,
        {"EndpointConfigName": config_name, **config, "Tags": tags},
    )


def _config(
    account: Account, endpoint: str, model_name: str, serving: ServingSettings
) -> dict[str, Any]:
    variant: dict[str, Any] = {
        "VariantName": VARIANT,
        "ModelName": model_name,
        "InitialVariantWeight": 1.0,
    }
    key = {"KmsKeyId": account.settings.kms_key} if account.settings.kms_key else {}
    if serving.serverless:  # which does not support data capture
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": serving.serverless_memory_mb,
            "MaxConcurrency": serving.serverless_concurrency,
        }
        return {"ProductionVariants": [variant], **key}
    variant["InstanceType"] = serving.instance_type
    variant["InitialInstanceCount"] = serving.instance_count
    # Local storage is encrypted by the hardware; SageMaker refuses a key for it.
    volume_key = {} if has_local_storage(serving.instance_type) else key
    config: dict[str, Any] = {"ProductionVariants": [variant], **volume_key}
    if serving.capture_percent:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": serving.capture_percent,
            "DestinationS3Uri": account.uri("captured", endpoint),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            **key,
        }
    return config


def create(account: Account, version: ModelVersion) -> ExitStack:
    """Create the model and the config if they are missing.

    Closing the returned stack deletes what was created. If the config cannot be created, the model
    is deleted again.
    """
    sagemaker = account.client("sagemaker")
    model, config = version.model_name, version.config_name
    with ExitStack() as created:
        if or_none(lambda: sagemaker.describe_model(ModelName=model)) is None:
            roles.once_assumable(
                account,
                version.model["ExecutionRoleArn"],
                lambda: sagemaker.create_model(**version.model),
            )
            created.callback(sagemaker.delete_model, ModelName=model)
        if endpoints.describe_config(account, config) is None:
            endpoints.once_visible(
                account, lambda: sagemaker.create_endpoint_config(**version.config)
            )
            created.callback(sagemaker.delete_endpoint_config, EndpointConfigName=config)
        return created.pop_all()


def configs(account: Account, endpoint: str) -> list[str]:
    """Return the names of the endpoint configs that `deploy` created for `endpoint`."""
    return _names(
        account, endpoint, "list_endpoint_configs", "EndpointConfigs[].EndpointConfigName"
    )


def models(account: Account, endpoint: str) -> list[str]:
    """Return the names of the models that `deploy` created for `endpoint`."""
    return _names(account, endpoint, "list_models", "Models[].ModelName")


def prune(account: Account, endpoint: str, keep: set[str]) -> list[str]:
    """Delete the configs of `endpoint` that are not in `keep`, and the models that none uses.

    Return the names of the deleted configs.
    """
    sagemaker = account.client("sagemaker")
    old = [config for config in configs(account, endpoint) if config not in keep]
    for config in old:
        sagemaker.delete_endpoint_config(EndpointConfigName=config)
    descriptions = [endpoints.describe_config(account, config) for config in keep]
    used = {
        variant["ModelName"]
        for description in descriptions
        if description
        for variant in description["ProductionVariants"]
    }
    for model in models(account, endpoint):
        if model not in used:
            sagemaker.delete_model(ModelName=model)
    return old


def _names(account: Account, endpoint: str, operation: str, names: str) -> list[str]:
    pages = account.client("sagemaker").get_paginator(operation).paginate(NameContains=endpoint)
    # the name of another endpoint, or one chosen by hand, may begin with the same characters
    own = re.compile(re.escape(endpoint) + r"-[0-9a-f]{10}")
    return list(filter(own.fullmatch, pages.search(names)))


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:10]
