"""Audit SageMaker endpoints: autoscaling, encryption at rest, network isolation."""

from collections.abc import Iterator

from aws import endpoints, stages
from aws.account import Account
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
    config_name = endpoints.present(account, name)["EndpointConfigName"]
    config = endpoints.describe_config(account, config_name)
    if config is None or any("ServerlessConfig" in each for each in config["ProductionVariants"]):
        return  # serverless inference scales itself and supports neither keys nor isolation
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
