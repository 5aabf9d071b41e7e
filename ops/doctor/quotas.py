"""Check quotas of the account against what the settings need."""

import math
from collections.abc import Iterator

from aws import endpoints, stages
from aws.account import Account, or_none
from aws.instance_types import vcpus
from ops.deployment import Deployment
from ops.doctor.line import Line, Status
from ops.endpoint import docker_build, serving_image

UNRESERVED = 100
"""Concurrency that Lambda keeps for functions without reserved concurrency.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
"""
_BUILDS = "Concurrently running builds for {}/Small environment"
_BUILD_MACHINES = {"amd64": "Linux", "arm64": "ARM"}
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_SPOT = {
    "g": "All G and VT Spot Instance Requests",
    "p": "All P4, P3 and P2 Spot Instance Requests",
    "": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
}
_ON_DEMAND = {
    "g": "Running On-Demand G and VT instances",
    "p": "Running On-Demand P instances",
    "": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
}


def endpoint_instances(deployment: Deployment) -> Iterator[Line]:
    """Check instances of the endpoint, also while a new version starts next to the old one."""
    serving, scaling = deployment.serving, deployment.scaling
    if serving.serverless:
        needed = serving.serverless_concurrency
        name = "Maximum total concurrency that can be allocated across all serverless endpoints"
        yield _line(deployment.account, "sagemaker", name, needed, Status.BLOCKS)
        return
    name = f"{serving.instance_type} for endpoint usage"
    quota = _value(deployment.account, "sagemaker", name)
    if quota is None:
        yield _unlisted("sagemaker", name)
        return
    taken = _taken_by_other_stages(deployment)
    first = max(serving.instance_count, scaling.min_instances)
    rolling = serving.rollout == "rolling" and first > 1
    both = first + (math.ceil(first * serving.rollout_percent / 100) if rolling else first)
    uses = {
        f"{first} to start": (first, Status.BLOCKS),
        f"{both} while a new version starts next to the old one": (both, Status.BLOCKS),
        f"{scaling.max_instances} at the maximum of [scaling]": (
            scaling.max_instances,
            Status.WARNING,
        ),
    }
    for use, (count, status) in uses.items():
        if count + taken > quota:
            others = f" besides {taken} of other stages" if taken else ""
            detail = f"{quota:g} {name}; stage {deployment.stage.name} needs {use}{others}"
            yield Line(status, "quota", detail, _request("sagemaker", name, count + taken))
            return
    yield Line(Status.OK, "quota", f"{quota:g} {name}")


def job_instances(deployment: Deployment) -> Iterator[Line]:
    """Check instances of training, transform and tuning jobs. They do not stop `up`."""
    fit, transform = deployment.fit, deployment.transform
    kind = "spot training job" if fit.spot else "training job"
    jobs = deployment.tuning_job.parallel_jobs
    needed = {
        f"{fit.instance_type} for {kind} usage": fit.instance_count * jobs,
        f"{transform.instance_type} for transform job usage": transform.instance_count,
    }
    if fit.warm_pool_s:
        needed[f"{fit.instance_type} for training warm pool usage"] = fit.instance_count
    for name, count in needed.items():
        yield _line(deployment.account, "sagemaker", name, count, Status.WARNING)


def ec2_vcpus(deployment: Deployment) -> Iterator[Line]:
    """Check the vCPUs of `training ec2`, which EC2 counts per family."""
    ec2 = deployment.ec2
    family = ec2.instance_type[0] if ec2.instance_type[0] in "gp" else ""
    name = (_SPOT if ec2.spot else _ON_DEMAND)[family]
    yield _line(deployment.account, "ec2", name, vcpus(ec2.instance_type), Status.WARNING)


def builds(deployment: Deployment) -> Iterator[Line]:
    """Check concurrent builds of CodeBuild, which builds the image if Docker is not running."""
    if docker_build.available():
        yield Line(Status.OK, "image builds", "Docker is running")
        return
    machine = _BUILD_MACHINES[serving_image.architecture(deployment.serving)]
    name = _BUILDS.format(machine)
    yield _line(deployment.account, "codebuild", name, 1, Status.BLOCKS)


def lambda_concurrency(deployment: Deployment) -> Iterator[Line]:
    """Check that the reserved functions leave the unreserved ones that Lambda insists on."""
    stage, client = deployment.stage, deployment.account.client("lambda")
    limits = client.get_account_settings()["AccountLimit"]
    own = or_none(lambda: client.get_function_concurrency(FunctionName=stage.function)) or {}
    free = limits["UnreservedConcurrentExecutions"] + own.get("ReservedConcurrentExecutions", 0)
    needed = stage.reserved_concurrency or 0
    total = limits["ConcurrentExecutions"]
    if needed and free - needed < UNRESERVED:
        yield Line(
            Status.BLOCKS,
            "Lambda concurrency",
            f"{total} in the account, {free} not reserved by others; stage {stage.name} reserves "
            f"{needed} and {UNRESERVED} must stay unreserved",
            _request("lambda", "Concurrent executions", total - free + needed + UNRESERVED),
        )
    else:
        yield Line(Status.OK, "Lambda concurrency", f"{total}, {free - needed} stay unreserved")


def _taken_by_other_stages(deployment: Deployment) -> int:
    """Instances of the same type that serve other stages."""
    account, taken = deployment.account, 0
    for stage in map(stages.read, stages.names()):
        if stage.endpoint == deployment.stage.endpoint:
            continue
        description = endpoints.describe(account, stage.endpoint)
        name = (description or {}).get("EndpointConfigName")
        config = endpoints.describe_config(account, name) if name else None
        types = {each.get("InstanceType") for each in (config or {}).get("ProductionVariants", [])}
        if description and deployment.serving.instance_type in types:
            taken += sum(
                variant.get("CurrentInstanceCount") or 0
                for variant in description.get("ProductionVariants", [])
            )
    return taken


def _line(account: Account, service: str, name: str, needed: int, status: Status) -> Line:
    quota = _value(account, service, name)
    if quota is None:
        return _unlisted(service, name)
    if quota < needed:
        detail = f"{quota:g} {name}; the settings need {needed}"
        return Line(status, "quota", detail, _request(service, name, needed))
    return Line(Status.OK, "quota", f"{quota:g} {name}")


def _unlisted(service: str, name: str) -> Line:
    fix = f"look it up in the console under Service Quotas, {service}"
    return Line(Status.UNKNOWN, "quota", f"could not check: Service Quotas lists no {name}", fix)


def _value(account: Account, service: str, name: str) -> float | None:
    """Return the value of a quota; None if Service Quotas does not list it.

    If the account has no applied value, only the default ones contain the quota:
    https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
    """
    client = account.client("service-quotas")
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        pages = client.get_paginator(operation).paginate(ServiceCode=service)
        for quota in pages.search("Quotas[]"):
            if quota["QuotaName"] == name:
                return float(quota["Value"])
    return None


def _request(service: str, name: str, value: int) -> str:
    return f'request {value} of "{name}" in Service Quotas, {service}; approval can take a day'
