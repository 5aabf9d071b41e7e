"""Audit SageMaker endpoints: use and cost, autoscaling, encryption at rest, network isolation."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aws import endpoints, prices, stages
from aws.account import Account
from ops.audit import usage
from ops.audit.finding import Finding, Severity
from ops.endpoint import scaling


def check(account: Account) -> Iterator[Finding]:
    """Yield findings about every endpoint of the account and region."""
    stage_names = {stages.read(name).endpoint: name for name in stages.names()}
    pages = account.client("sagemaker").get_paginator("list_endpoints").paginate()
    for name in pages.search("Endpoints[].EndpointName"):
        yield from _check_one(account, name, stage_names.get(name, "STAGE"))


def _check_one(account: Account, name: str, stage: str) -> Iterator[Finding]:
    resource = f"endpoint {name}"
    deploy = f"python -m ops endpoint deploy --stage {stage}"
    endpoint = endpoints.present(account, name)
    config = endpoints.describe_config(account, endpoint["EndpointConfigName"])
    if config is None or any("ServerlessConfig" in each for each in config["ProductionVariants"]):
        return  # serverless inference scales itself and supports neither keys nor isolation
    if _is_unused(account, endpoint):
        problem = f"was not invoked for {usage.UNUSED_AFTER.days} days; {_cost(endpoint, config)}"
        remove = f"python -m ops endpoint teardown --stage {stage}"
        if stage == "STAGE":
            remove = f"aws sagemaker delete-endpoint --endpoint-name {name}"
        yield Finding(Severity.LOW, resource, problem, remove)
    if not scaling.state(account, name)["targets"]:
        problem = "has no autoscaling: it is too small or too large most of the day"
        scale = f"python -m ops endpoint scale --stage {stage}"
        yield Finding(Severity.LOW, resource, problem, scale)
    if not config.get("KmsKeyId"):
        problem = "its volumes are not encrypted with a customer key"
        fix = f"set kms_key in [aws] of settings.toml, then {deploy}"
        yield Finding(Severity.MEDIUM, resource, problem, fix)
    for variant in config["ProductionVariants"]:
        model = account.client("sagemaker").describe_model(ModelName=variant["ModelName"])
        if not model.get("EnableNetworkIsolation"):
            problem = f"model {variant['ModelName']} has no network isolation"
            yield Finding(Severity.MEDIUM, resource, problem, deploy)


def _is_unused(account: Account, endpoint: dict[str, Any]) -> bool:
    """Return whether the endpoint is old enough to tell, and had no request."""
    if datetime.now(UTC) - endpoint["CreationTime"] < usage.UNUSED_AFTER:
        return False
    return not any(
        usage.recent(
            account,
            "AWS/SageMaker",
            "Invocations",
            {"EndpointName": endpoint["EndpointName"], "VariantName": variant["VariantName"]},
            "Sum",
        )
        for variant in endpoint.get("ProductionVariants", [])
    )


def _cost(endpoint: dict[str, Any], config: dict[str, Any]) -> str:
    """Return what the endpoint's instances cost per month of 730 hours."""
    types = {item["VariantName"]: item["InstanceType"] for item in config["ProductionVariants"]}
    usd = 0.0
    for variant in endpoint.get("ProductionVariants", []):
        kind = types[variant["VariantName"]]
        hourly = prices.instance_usd_per_hour("hosting", kind)
        if hourly is None:
            return f"the price table has no hosting price for {kind}"
        usd += variant.get("CurrentInstanceCount", 0) * hourly * 730
    return f"its instances cost ${usd:.2f} per month"
