"""What belongs to one stage, in the order in which it can be removed."""

from collections.abc import Iterator
from functools import partial

from aws.account import Account
from ops.api import release
from ops.deployment import Deployment
from ops.endpoint.teardown import Removal, endpoint_removals
from ops.lifecycle import api, role_removal


def removals(deployment: Deployment) -> Iterator[tuple[str, Removal]]:
    """Yield the part of each resource and its removal."""
    account, stage = deployment.account, deployment.stage
    if api.exists(deployment):
        target = release.open_release(account, stage.name)
        yield "api", (f"API of stage {stage.name}", target.delete)
    for removal in log_groups(account, f"/aws/lambda/{stage.function}", exact=True):
        yield "api", removal
    for removal in endpoint_removals(account, stage.endpoint):
        yield "model", removal
    for removal in log_groups(account, f"/aws/sagemaker/Endpoints/{stage.endpoint}", exact=True):
        yield "model", removal
    for removal in role_removal.of_stage(deployment):
        yield "setup", removal


def log_groups(account: Account, prefix: str, *, exact: bool = False) -> Iterator[Removal]:
    """Yield the log groups whose names start with `prefix`, or the one that is called so."""
    logs = account.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)
    for name in pages.search("logGroups[].logGroupName"):
        if name == prefix or not exact:
            yield f"log group {name}", partial(logs.delete_log_group, logGroupName=name)
