"""Check the numbers of .chalice/config.json and resources-STAGE.json against AWS's limits."""

import re
from collections.abc import Iterator

from aws import stages
from chalicelib import settings as api_settings
from cli.errors import SettingsError
from ops.deployment import Deployment
from ops.doctor.line import Line, Status
from ops.endpoint.compatibility import check_image_size

GATEWAY_TIMEOUT_S = 29
"""https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
LONGEST_ENDPOINT_NAME = 63 - 11
"""SageMaker's limit, less the suffix of configs and models."""
_FILE = ".chalice/config.json"


def check(deployment: Deployment) -> Iterator[Line]:
    """Yield a line for each value that AWS would refuse or that contradicts another one."""
    wrong = [*_names(deployment), *_function(deployment), *_concurrency(deployment)]
    yield from wrong
    if not wrong:
        stage = deployment.stage
        detail = f"{stage.memory_mb} MB, {stage.reserved_concurrency or 'no'} reserved functions"
        yield Line(Status.OK, "config.json", detail)


def _names(deployment: Deployment) -> Iterator[Line]:
    stage = deployment.stage
    name = stage.endpoint
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name) or len(name) > LONGEST_ENDPOINT_NAME:
        yield _blocks(
            f'ENDPOINT_NAME is "{name}"',
            f"write letters, digits and hyphens, at most {LONGEST_ENDPOINT_NAME}",
        )
    for other in map(stages.read, stages.names()):
        if other.name != stage.name and other.endpoint.lower() == name.lower():
            detail = f"stages {stage.name} and {other.name} share the endpoint {name}"
            yield _blocks(detail, "give each stage an ENDPOINT_NAME of its own")


def _function(deployment: Deployment) -> Iterator[Line]:
    config, name = stages.Config.read(), deployment.stage.name
    try:
        check_image_size(deployment.stage, deployment.serving)
    except SettingsError as error:
        problem, _, fix = str(error).partition(": ")
        yield _blocks(problem, fix.removesuffix("."))
    timeout_s = config.value(name, "lambda_timeout") or 60  # Chalice's default
    if timeout_s > GATEWAY_TIMEOUT_S:
        yield Line(
            Status.WARNING,
            "config.json",
            f"lambda_timeout is {timeout_s} s, API Gateway answers 504 after {GATEWAY_TIMEOUT_S} s",
            f"set lambda_timeout to {GATEWAY_TIMEOUT_S - 1} in {_FILE}",
        )
    try:
        limits = api_settings.load(config.environment(name))
    except api_settings.SettingsError as error:
        yield _blocks(str(error), f"correct environment_variables in {_FILE}")
    else:
        needed_s = limits.fetch_timeout_s + limits.endpoint_timeout_s
        if needed_s >= timeout_s:
            yield _blocks(
                f"fetching and inference may take {needed_s:g} s, lambda_timeout is {timeout_s} s",
                f"raise lambda_timeout, or lower FETCH_TIMEOUT_S or ENDPOINT_TIMEOUT_S in {_FILE}",
            )


def _concurrency(deployment: Deployment) -> Iterator[Line]:
    stage = deployment.stage
    reserved, provisioned = stage.reserved_concurrency, stage.provisioned_concurrency or 0
    if reserved == 0:
        yield _blocks("reserved_concurrency is 0: no function may run", "set it to 1 or more")
    # While traffic shifts, the old and the new version are provisioned.
    elif reserved is not None and 2 * provisioned > reserved:
        yield _blocks(
            f"{provisioned} provisioned functions need {2 * provisioned} during a release, "
            f"reserved_concurrency is {reserved}",
            f"set reserved_concurrency to {2 * provisioned} or more in {_FILE}",
        )


def _blocks(detail: str, fix: str) -> Line:
    return Line(Status.BLOCKS, "config.json", detail, fix)
