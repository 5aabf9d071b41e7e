"""Set the autoscaling limits and target of a stage's endpoint.

The target is the mean number of invocations PER MINUTE AND INSTANCE, not of concurrent requests: a
target of 40 adds instances at one request every 1.5 seconds. Set it to the requests per second of
one instance (measured by `ops loadtest`) x 0.5 (safety) x 60.

Scale in more slowly than out: a new instance takes minutes to start, an idle one costs cents. With
30 s for both cooldowns the number of instances oscillates. Schedules in settings.toml set other
limits by the clock.

Without options, the command applies settings.toml. With some, it changes these and leaves the rest
of the endpoint's autoscaling as it is.

example:
  python -m ops endpoint scale --stage prod --max-instances 4 --target-per-minute 3000
  python -m ops endpoint scale --stage prod --off
"""

import json
from typing import Any

import click

from aws import account as accounts
from aws import endpoints, stages
from aws.account import Account, or_none
from aws.errors import AwsError
from aws.settings import ScalingSettings
from cli import commands, settings
from cli.errors import SettingsError
from ops.endpoint import saved_scaling
from ops.endpoint.model_version import VARIANT

SERVICE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
POLICY = "invocations-per-instance"
# What the descriptions of targets, policies and schedules have in common with the requests.
_SETTABLE = (
    "MinCapacity", "MaxCapacity", "SuspendedState", "PolicyName", "PolicyType",
    "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration",
    "ScheduledActionName", "Schedule", "Timezone", "StartTime", "EndTime", "ScalableTargetAction",
)  # fmt: skip
LOWEST_UNCONFIRMED_TARGET = 60.0
"""One request per second and instance: a lower target is usually meant as concurrent requests."""


@commands.command(__doc__)
@click.option("--stage", required=True, help="Stage in .chalice/config.json.")
@click.option("--off", is_flag=True, help="Remove autoscaling. The instances stay.")
@click.option("--yes", is_flag=True, help="Accept a target below 1 request per second.")
@commands.dry_run_option
@commands.json_option
@accounts.options(merged=[ScalingSettings])
def command(
    account: Account,
    scaling: ScalingSettings,
    stage: str,
    off: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    endpoint = stages.read(stage).endpoint
    if off:
        _switch_off(account, endpoint, dry_run)
        return
    given = settings.given(ScalingSettings)
    current = _current(account, endpoint) if given else {}
    scaling = ScalingSettings.read(current | given, stage=stage) if given else scaling
    target = scaling.target_per_minute
    confirmed = yes or target == current.get("target_per_minute")
    if target < LOWEST_UNCONFIRMED_TARGET and not confirmed:
        raise SettingsError(
            f"A target of {target:g} invocations per MINUTE and instance is "
            f"{target / 60:.2g} requests per second; add --yes if that is intended."
        )
    if endpoints.is_serverless(endpoints.in_service(account, endpoint)["ProductionVariants"]):
        raise AwsError(f"{endpoint} is serverless: AWS scales it, up to serverless_concurrency.")
    if not dry_run:
        if current:
            resume(account, endpoint)
        apply(account, endpoint, scaling, keep_schedules=bool(current))
    if as_json:
        print(json.dumps(state(account, endpoint), default=str, indent=2))
        return
    print(describe(endpoint, scaling))
    if current:
        print("  the rest is as it was; without options, `scale` applies settings.toml")


def describe(endpoint: str, scaling: ScalingSettings) -> str:
    """Return the meaning of the settings in requests per second."""
    each = scaling.target_per_minute / 60
    lowest, highest = scaling.min_instances, scaling.max_instances
    lines = [
        f"{endpoint}: {lowest} to {highest} instances, "
        f"target {scaling.target_per_minute:g} invocations per minute and instance",
        f"  = {each:g} requests/s per instance, "
        f"{each * lowest:g} to {each * highest:g} requests/s in total",
        f"  next step {scaling.scale_out_cooldown_s} s after adding, "
        f"{scaling.scale_in_cooldown_s} s after removing",
    ]
    if scaling.scale_in_cooldown_s < scaling.scale_out_cooldown_s:
        lines.append(
            "  note: it scales in faster than out, so the number of instances may oscillate"
        )
    if scaling.disable_scale_in:
        lines.append("  instances are only added; remove them by hand, or with a schedule")
    lines += [
        f"  {schedule.name}: {schedule.min} to {schedule.max} from cron({schedule.cron})"
        for schedule in scaling.schedules
    ]
    return "\n".join(lines)


def apply(
    account: Account, endpoint: str, scaling: ScalingSettings, *, keep_schedules: bool = False
) -> None:
    """Set limits, target and schedules, and delete the schedules that are no longer in settings.

    With `keep_schedules`, those of the endpoint stay as they are. If that fails on an endpoint
    without autoscaling, everything is removed again.
    """
    client, target = account.client("application-autoscaling"), scalable_target(endpoint)
    current = state(account, endpoint)
    existing = {schedule["ScheduledActionName"] for schedule in current["schedules"]}
    client.register_scalable_target(
        **target, MinCapacity=scaling.min_instances, MaxCapacity=scaling.max_instances
    )
    try:
        client.put_scaling_policy(
            **target,
            PolicyName=POLICY,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": scaling.target_per_minute,
                "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                "ScaleInCooldown": scaling.scale_in_cooldown_s,
                "ScaleOutCooldown": scaling.scale_out_cooldown_s,
                "DisableScaleIn": scaling.disable_scale_in,
            },
        )
        schedules = [] if keep_schedules else scaling.schedules
        removed = set() if keep_schedules else existing - {each.name for each in schedules}
        for name in removed:
            client.delete_scheduled_action(**target, ScheduledActionName=name)
        for schedule in schedules:
            client.put_scheduled_action(
                **target,
                ScheduledActionName=schedule.name,
                Schedule=f"cron({schedule.cron})",
                ScalableTargetAction={"MinCapacity": schedule.min, "MaxCapacity": schedule.max},
            )
        saved_scaling.forget(account, endpoint)
    except BaseException:
        if not current["targets"]:
            remove(account, endpoint)
        raise


def remove(account: Account, endpoint: str) -> None:
    """Remove autoscaling from an endpoint. Its instances stay."""
    client, target = account.client("application-autoscaling"), scalable_target(endpoint)
    current = state(account, endpoint)
    for schedule in current["schedules"]:
        client.delete_scheduled_action(
            **target, ScheduledActionName=schedule["ScheduledActionName"]
        )
    for policy in current["policies"]:
        client.delete_scaling_policy(**target, PolicyName=policy["PolicyName"])
    # AWS deregisters the target of an endpoint that was deleted
    or_none(lambda: client.deregister_scalable_target(**target))


def pause(account: Account, endpoint: str) -> None:
    """Save the autoscaling of an endpoint in S3 and remove it, until `resume`.

    AWS refuses to change the instance type of a variant that is registered for autoscaling.
    https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-update.html
    """
    current = state(account, endpoint)
    if current["targets"]:
        print(f"pausing the autoscaling of {endpoint}")
        saved_scaling.save(account, endpoint, current)
        remove(account, endpoint)


def resume(account: Account, endpoint: str) -> None:
    """Restore the autoscaling that `pause` saved, even if the command that paused it was killed."""
    saved = saved_scaling.read(account, endpoint)
    if saved is None:
        return
    client, target = account.client("application-autoscaling"), scalable_target(endpoint)
    for kind, call in (
        ("targets", client.register_scalable_target),
        ("policies", client.put_scaling_policy),
        ("schedules", client.put_scheduled_action),
    ):
        for item in saved[kind]:
            call(**target, **{key: item[key] for key in _SETTABLE if key in item})
    saved_scaling.forget(account, endpoint)
    print(f"resumed the autoscaling of {endpoint}")


def is_paused(account: Account, endpoint: str) -> bool:
    """Return whether `pause` saved the autoscaling of an endpoint and nothing resumed it yet."""
    return saved_scaling.read(account, endpoint) is not None


def state(account: Account, endpoint: str) -> dict[str, list[dict[str, Any]]]:
    """Return limits (`targets`), policies and schedules, as AWS describes them."""
    client, target = account.client("application-autoscaling"), scalable_target(endpoint)
    targets = client.describe_scalable_targets(
        ServiceNamespace=SERVICE, ResourceIds=[target["ResourceId"]], ScalableDimension=DIMENSION
    )["ScalableTargets"]
    return {
        "targets": targets,
        "policies": client.describe_scaling_policies(**target)["ScalingPolicies"],
        "schedules": client.describe_scheduled_actions(**target)["ScheduledActions"],
    }


def scalable_target(endpoint: str) -> dict[str, str]:
    """Return the parameters by which Application Auto Scaling identifies an endpoint's variant."""
    return {
        "ServiceNamespace": SERVICE,
        "ResourceId": f"endpoint/{endpoint}/variant/{VARIANT}",
        "ScalableDimension": DIMENSION,
    }


def _current(account: Account, endpoint: str) -> dict[str, Any]:
    """Return the endpoint's autoscaling, even if it is paused, as values of [scaling].

    Returns {} if it has none.
    """
    current = saved_scaling.read(account, endpoint) or state(account, endpoint)
    policies = [policy for policy in current["policies"] if policy["PolicyName"] == POLICY]
    if not (current["targets"] and policies):
        return {}
    limits = current["targets"][0]
    tracking = policies[0]["TargetTrackingScalingPolicyConfiguration"]
    return {
        "min_instances": limits["MinCapacity"],
        "max_instances": limits["MaxCapacity"],
        "target_per_minute": tracking["TargetValue"],
        "scale_in_cooldown_s": tracking["ScaleInCooldown"],
        "scale_out_cooldown_s": tracking["ScaleOutCooldown"],
        "disable_scale_in": tracking.get("DisableScaleIn", False),
    }


def _switch_off(account: Account, endpoint: str, dry_run: bool) -> None:
    if not state(account, endpoint)["targets"] and not is_paused(account, endpoint):
        print(f"{endpoint} has no autoscaling")
    elif dry_run:
        print(f"would remove the autoscaling of {endpoint}")
    else:
        remove(account, endpoint)
        saved_scaling.forget(account, endpoint)
        print(f"removed the autoscaling of {endpoint}; its instances stay")
