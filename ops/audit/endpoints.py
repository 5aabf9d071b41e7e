"""Endpoints: autoscaling, encryption at rest, network isolation."""

from collections.abc import Iterator

from aws import endpoints, stages
from aws.account import Account
from ops.audit.finding import Finding, Severity
from ops.endpoint import scaling


def check(account: Account) -> Iterator[Finding]:
    """Findings about every endpoint of the account and region."""
    ours = {stages.read(name).endpoint: name for name in stages.names()}
    pages = account.client("sagemaker").get_paginator("list_endpoints")
    for page in pages.paginate():
        for summary in page["Endpoints"]:
            name = summary["EndpointName"]
            stage = ours.get(name, "STAGE")
            yield from _check_one(account, name, stage)


def _check_one(account: Account, name: str, stage: str) -> Iterator[Finding]:
    resource = f"endpoint {name}"
    found = endpoints.present(account, name)
    config = endpoints.describe_config(account, found["EndpointConfigName"])
    if config is None:
        return
    serverless = any("ServerlessConfig" in variant for variant in config["ProductionVariants"])
    if not serverless and not scaling.state(account, name)["targets"]:
        yield Finding(
            Severity.LOW,
            resource,
            "does not scale: it is too small or too large most of the day",
            f"python -m training scale --stage {stage}",
        )
    if not serverless and not config.get("KmsKeyId"):
        yield Finding(
            Severity.MEDIUM,
            resource,
            "its volumes are not encrypted with a key of yours",
            f"set kms_key in [cloud], then python -m training deploy --stage {stage}",
        )
    for variant in config["ProductionVariants"]:
        model = account.client("sagemaker").describe_model(ModelName=variant["ModelName"])
        if not serverless and not model.get("EnableNetworkIsolation"):
            yield Finding(
                Severity.MEDIUM,
                resource,
                f"model {variant['ModelName']} may reach the network",
                f"python -m training deploy --stage {stage}",
            )
