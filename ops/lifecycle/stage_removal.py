"""What belongs to one stage, in the order in which it can be removed."""

from collections.abc import Iterator
from functools import partial

from aws.account import Account
from ops.api import release
from ops.deployment import Deployment
from ops.endpoint.teardown import Removal, endpoint_removals
from ops.lifecycle import api, role_removal
from ops.lifecycle.removal import Source


def sources(deployment: Deployment) -> list[Source]:
    """Return the sources of the stage's resources."""
    account, stage = deployment.account, deployment.stage
    function_log = f"/aws/lambda/{stage.function}"
    return [
        Source("api", f"API of stage {stage.name}", partial(_api, deployment)),
        Source("api", f"log group {function_log}", partial(log_group, account, function_log)),
        Source(
            "model",
            f"endpoint {stage.endpoint}",
            partial(endpoint_removals, account, stage.endpoint),
        ),
        Source("setup", f"roles of stage {stage.name}", partial(role_removal.of_stage, deployment)),
    ]


def log_group(account: Account, name: str) -> Iterator[Removal]:
    """Yield the log group if it exists."""
    logs = account.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    if name in pages.search("logGroups[].logGroupName"):
        yield f"log group {name}", partial(logs.delete_log_group, logGroupName=name)


def _api(deployment: Deployment) -> Iterator[Removal]:
    if api.exists(deployment):
        name = deployment.stage.name
        yield f"API of stage {name}", release.open_release(deployment.account, name).delete
