"""The instances behind a stage's endpoint: how many there are, and were in the window."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from training.cloud import endpoint, scaling
from training.cloud.account import Account
from training.cloud.alarms import VARIANT
from training.watch.readings import Column, Readings


@dataclass(frozen=True, slots=True)
class Fleet:
    """An endpoint as it is now. What is None is unknown or not set; a target is per minute."""

    name: str
    status: str
    instance_type: str | None
    """None for a serverless endpoint."""
    instances: int
    desired: int
    created: datetime | None
    min_instances: int | None
    max_instances: int | None
    target_per_minute: float | None


def read(account: Account, name: str) -> Fleet | None:
    """The fleet of endpoint `name`, None where there is no such endpoint."""
    found = endpoint.describe(account, name)
    if found is None:
        return None
    config = endpoint.describe_config(account, found["EndpointConfigName"]) or {}
    configured = _ours(config.get("ProductionVariants", []))
    running = _ours(found.get("ProductionVariants", []))  # none while the first one is created
    scaled = scaling.state(account, name)
    limits = (scaled["targets"] or [{}])[0]
    tracking = [
        policy["TargetTrackingScalingPolicyConfiguration"]
        for policy in scaled["policies"]
        if "TargetTrackingScalingPolicyConfiguration" in policy
    ]
    target = tracking[0]["TargetValue"] if tracking else None
    return Fleet(
        name=name,
        status=found["EndpointStatus"],
        instance_type=configured.get("InstanceType"),
        instances=int(running.get("CurrentInstanceCount", 0)),
        desired=int(running.get("DesiredInstanceCount", running.get("CurrentInstanceCount", 0))),
        created=found.get("CreationTime"),
        min_instances=limits.get("MinCapacity"),
        max_instances=limits.get("MaxCapacity"),
        target_per_minute=target,
    )


def over_time(readings: Readings, fleet: Fleet | None) -> list[Column]:
    """How many instances there were in each column, None before the endpoint was created.

    Nobody measures that. SageMaker reports 1/instances for each invocation as
    InvocationsPerInstance, so that Invocations ÷ InvocationsPerInstance is their number; where
    nobody asked it is taken to be that of the column before, and at the start that of the one
    after. An endpoint that nobody asked at all had as many as it has now.
    """
    if fleet is None or fleet.instance_type is None:
        return [None] * readings.window.count
    known = [
        calls / each if calls and each else None
        for calls, each in zip(
            readings.columns["model_calls"], readings.columns["model_calls_each"], strict=True
        )
    ]
    last = next((one for one in known if one is not None), float(fleet.instances))
    filled: list[Column] = []
    first = 0 if fleet.created is None else readings.window.column(fleet.created)
    for number, one in enumerate(known):
        last = last if one is None else one
        filled.append(None if number < first and one is None else last)
    return filled


def _ours(variants: list[dict[str, Any]]) -> dict[str, Any]:
    return next((one for one in variants if one.get("VariantName") == VARIANT), {})
