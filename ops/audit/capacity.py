"""Audit stages: whether the API can send more requests than its endpoint can take."""

import math
from collections.abc import Iterator

from aws import endpoints, stages
from aws.account import Account
from aws.stages import Stage
from ops.audit.finding import Finding, Severity
from ops.costs.settings import CostsSettings
from ops.endpoint import scaling
from ops.loadtest.settings import LoadTestSettings


def check(account: Account) -> Iterator[Finding]:
    """Yield a finding for each stage that can overload its endpoint at full concurrency."""
    for stage in map(stages.read, stages.names()):
        yield from check_stage(account, stage)


def check_stage(account: Account, stage: Stage) -> Iterator[Finding]:
    """Yield a finding if the stage can overload its endpoint, or has no limit."""
    resource = f"stage {stage.name}"
    if endpoints.describe(account, stage.endpoint) is None:
        return
    state = scaling.state(account, stage.endpoint)
    if not state["targets"] or not state["policies"]:
        return  # the check of endpoints reports that
    if stage.reserved_concurrency is None:
        problem = "has no reserved concurrency: the API can use up the account's"
        fix = "set reserved_concurrency in .chalice/config.json, then release the stage"
        yield Finding(Severity.LOW, resource, problem, fix)
        return
    tracking = state["policies"][0]["TargetTrackingScalingPolicyConfiguration"]
    instances = int(state["targets"][0]["MaxCapacity"])
    capacity = instances * tracking["TargetValue"] / 60 / LoadTestSettings.read().safety
    demand = stage.reserved_concurrency / CostsSettings.read().lambda_s
    if demand > capacity:
        yield Finding(
            Severity.MEDIUM,
            resource,
            f"{stage.reserved_concurrency} functions send up to {demand:.0f} requests/s, "
            f"{instances} instances take {capacity:.0f}",
            f"python -m ops endpoint scale --stage {stage.name} "
            f"--max-instances {math.ceil(demand * instances / capacity)}, "
            "or lower reserved_concurrency",
        )
