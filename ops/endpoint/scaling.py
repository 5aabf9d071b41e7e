"""Let the endpoint of a stage grow and shrink with its traffic.

The target is the average number of invocations PER MINUTE AND INSTANCE, not of simultaneous
requests: a target of 40 adds instances at one request every 1.5 seconds. Choose

    requests per second that one instance can take (a load test)  x 0.5 (safety)  x 60

Scale in slower than out: a new instance takes minutes to come, an idle one costs cents. The
defaults wait 60 s after adding and 300 s after removing; 30 s for both, as often written, lets the
number swing. Schedules in settings.toml set other limits by the clock.

example:
  python -m training scale --stage prod --min-instances 1 --max-instances 4 --target-per-minute 3000
  python -m training scale --stage prod --off
"""

import argparse
import json
from typing import Any

from botocore.exceptions import ClientError

from aws import account as accounts
from aws import endpoints, settings, stages
from aws.account import Account, is_missing, told_in_one_line
from aws.errors import AwsError
from aws.settings import ScalingSettings
from cli.errors import SettingsError
from ops.endpoint.alarms import VARIANT

SERVICE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
POLICY = "invocations-per-instance"
LOWEST_WITHOUT_YES = 60.0
"""One request per second and instance: a target below is most often a misunderstanding."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", required=True, help="stage of .chalice/config.json")
    parser.add_argument("--off", action="store_true", help="end the scaling; the instances stay")
    parser.add_argument("--yes", action="store_true", help="a target below 1 request/s is meant")
    parser.add_argument("--dry-run", action="store_true", help="say what would be set")
    parser.add_argument("--json", action="store_true", help="print the scaling as JSON at the end")
    accounts.add_options(parser)
    settings.add_options(parser, ScalingSettings)


@told_in_one_line
def run(arguments: argparse.Namespace) -> None:
    account = accounts.open_account(arguments)
    name = stages.read(arguments.stage).endpoint
    if arguments.off:
        _switch_off(account, name, arguments.dry_run)
        return
    options = ScalingSettings.read(vars(arguments))
    if options.target_per_minute < LOWEST_WITHOUT_YES and not arguments.yes:
        raise SettingsError(
            f"a target of {options.target_per_minute:g} invocations per MINUTE and instance is "
            f"{options.target_per_minute / 60:.2g} requests per second; if that is meant add --yes"
        )
    found = endpoints.present(account, name)
    if "CurrentServerlessConfig" in found["ProductionVariants"][0]:
        raise AwsError(f"{name} is serverless: AWS scales it, up to serverless_concurrency")
    print(explain(name, options))
    if arguments.dry_run:
        return
    apply(account, name, options)
    if arguments.json:
        print(json.dumps(state(account, name), default=str, indent=2))


def explain(name: str, options: ScalingSettings) -> str:
    """What the settings mean, in requests per second."""
    each = options.target_per_minute / 60
    lines = [
        f"{name}: {options.min_instances} to {options.max_instances} instances, "
        f"target {options.target_per_minute:g} invocations per minute and instance",
        f"  = {each:g} requests/s each, {each * options.min_instances:g} to "
        f"{each * options.max_instances:g} requests/s in all",
        f"  next step {options.scale_out_cooldown_s} s after adding, "
        f"{options.scale_in_cooldown_s} s after removing",
    ]
    if options.scale_in_cooldown_s < options.scale_out_cooldown_s:
        lines.append("  note: it scales in faster than out, so that the number may swing")
    for schedule in options.schedules:
        lines.append(
            f"  {schedule['name']}: {schedule['min']} to {schedule['max']} from cron"
            f"({schedule['cron']}) on"
        )
    return "\n".join(lines)


def apply(account: Account, name: str, options: ScalingSettings) -> None:
    """Set limits, target and schedules of endpoint `name`; schedules that are gone are removed.

    Where the target cannot be set on a variant that was not scaled before, the limits are taken
    back.
    """
    scaling = account.client("application-autoscaling")
    place = where(name)
    new = not state(account, name)["targets"]
    scaling.register_scalable_target(
        **place, MinCapacity=options.min_instances, MaxCapacity=options.max_instances
    )
    try:
        scaling.put_scaling_policy(
            **place,
            PolicyName=POLICY,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": options.target_per_minute,
                "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
                "ScaleInCooldown": options.scale_in_cooldown_s,
                "ScaleOutCooldown": options.scale_out_cooldown_s,
            },
        )
        wanted = {schedule["name"] for schedule in options.schedules}
        for action in state(account, name)["schedules"]:
            if action["ScheduledActionName"] not in wanted:
                scaling.delete_scheduled_action(
                    **place, ScheduledActionName=action["ScheduledActionName"]
                )
        for schedule in options.schedules:
            scaling.put_scheduled_action(
                **place,
                ScheduledActionName=schedule["name"],
                Schedule=f"cron({schedule['cron']})",
                ScalableTargetAction={
                    "MinCapacity": schedule["min"],
                    "MaxCapacity": schedule["max"],
                },
            )
    except BaseException:
        if new:
            remove(account, name)
        raise


def remove(account: Account, name: str) -> bool:
    """End the scaling of endpoint `name` and return whether there was any."""
    scaling, place, found = account.client("application-autoscaling"), where(name), False
    current = state(account, name)
    for action in current["schedules"]:
        scaling.delete_scheduled_action(**place, ScheduledActionName=action["ScheduledActionName"])
    for policy in current["policies"]:
        scaling.delete_scaling_policy(**place, PolicyName=policy["PolicyName"])
    for _ in current["targets"]:
        found = True
        try:
            scaling.deregister_scalable_target(**place)
        except ClientError as error:
            if not is_missing(error):
                raise
    return found


def state(account: Account, name: str) -> dict[str, list[dict[str, Any]]]:
    """Limits (targets), policies and schedules of endpoint `name`, as AWS describes them."""
    scaling, place = account.client("application-autoscaling"), where(name)
    targets = scaling.describe_scalable_targets(
        ServiceNamespace=SERVICE, ResourceIds=[place["ResourceId"]], ScalableDimension=DIMENSION
    )["ScalableTargets"]
    return {
        "targets": targets,
        "policies": scaling.describe_scaling_policies(**place)["ScalingPolicies"],
        "schedules": scaling.describe_scheduled_actions(**place)["ScheduledActions"],
    }


def where(name: str) -> dict[str, str]:
    """How Application Auto Scaling calls the variant of endpoint `name`."""
    return {
        "ServiceNamespace": SERVICE,
        "ResourceId": f"endpoint/{name}/variant/{VARIANT}",
        "ScalableDimension": DIMENSION,
    }


def _switch_off(account: Account, name: str, dry_run: bool) -> None:
    if dry_run:
        there = state(account, name)["targets"]
        print(f"would end the scaling of {name}" if there else f"{name} is not scaled")
    elif remove(account, name):
        print(f"{name} is not scaled any more; its instances stay as they are")
    else:
        print(f"{name} was not scaled")
