"""Autoscaling of SageMaker endpoints."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.sagemaker.models import sagemaker_backends

from tests.aws_rules.rules import Refused, Request, rule

_API = "https://docs.aws.amazon.com/autoscaling/application/APIReference"
_GUIDE = "https://docs.aws.amazon.com/autoscaling/application/userguide"
_SAGEMAKER = "https://docs.aws.amazon.com/sagemaker/latest/dg"
_DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_PROVISIONED = "sagemaker:variant:DesiredProvisionedConcurrency"
_METRICS = {
    "SageMakerVariantInvocationsPerInstance": _DIMENSION,
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": _DIMENSION,
    "SageMakerVariantProvisionedConcurrencyUtilization": _PROVISIONED,
}
_NEED_A_TARGET = ("PutScalingPolicy", "PutScheduledAction")
_MAX_POLICIES = 50


@rule(
    "application-autoscaling",
    "RegisterScalableTarget",
    source=f"{_API}/API_RegisterScalableTarget.html",
)
def limits_are_ordered(request: Request) -> None:
    """A new target has both limits; the minimum is at least 0 and at most the maximum."""
    target = _target(request)
    low, high = request.parameters.get("MinCapacity"), request.parameters.get("MaxCapacity")
    if target is None and (low is None or high is None):
        raise _invalid("MinCapacity and MaxCapacity are required for a new scalable target")
    low = target.min_capacity if low is None else low
    high = target.max_capacity if high is None else high
    if low < 0 or low > high:
        raise _invalid(f"Min capacity {low} must be between 0 and the max capacity {high}")


@rule(
    "application-autoscaling",
    "RegisterScalableTarget",
    source=f"{_SAGEMAKER}/endpoint-auto-scaling-add-policy.html",
)
def the_variant_exists(request: Request) -> None:
    """The resource is endpoint/NAME/variant/NAME, and exists; serverless ones have no instances."""
    if request.parameters["ServiceNamespace"] != "sagemaker":
        return
    dimension, resource = request.parameters["ScalableDimension"], request.parameters["ResourceId"]
    if not dimension.startswith("sagemaker:variant:"):
        return
    match = re.fullmatch(r"endpoint/([a-zA-Z0-9-]+)/variant/([a-zA-Z0-9-]+)", resource)
    if match is None:
        raise _invalid(f"Unsupported resource ID for the namespace sagemaker: {resource}")
    backend = sagemaker_backends[request.account][request.region]
    endpoint = backend.endpoints.get(match[1])
    if endpoint is None or endpoint.endpoint_status in ("Failed", "Deleting"):
        raise _invalid(f"Endpoint doesn't exist or is not in service: {resource}")
    config = backend.endpoint_configs.get(endpoint.endpoint_config_name)
    variants = {each["VariantName"]: each for each in config.production_variants} if config else {}
    if match[2] not in variants:
        raise _invalid(f"Production variant doesn't exist: {resource}")
    serverless = variants[match[2]].get("ServerlessConfig")
    if bool(serverless) != (dimension == _PROVISIONED):
        raise _invalid(f"{dimension} does not apply to the variant {resource}")
    if serverless and not serverless.get("ProvisionedConcurrency"):
        raise _invalid(f"The variant has no provisioned concurrency: {resource}")


@rule(
    "application-autoscaling",
    "RegisterScalableTarget",
    source=f"{_SAGEMAKER}/endpoint-auto-scaling-add-console.html",
)
def burstable_types_do_not_scale(request: Request) -> None:
    """Instance types such as ml.t2.medium are not scaled."""
    parts = request.parameters["ResourceId"].split("/")
    backend = sagemaker_backends[request.account][request.region]
    if len(parts) != 4 or parts[1] not in backend.endpoints:
        return
    config = backend.endpoint_configs.get(backend.endpoints[parts[1]].endpoint_config_name)
    for variant in config.production_variants if config else ():
        if re.match(r"ml\.t\d", variant.get("InstanceType") or ""):
            raise _invalid(f"{variant['InstanceType']} does not support automatic scaling")


@rule("application-autoscaling", *_NEED_A_TARGET, source=f"{_API}/API_PutScalingPolicy.html")
def policies_need_a_target(request: Request) -> None:
    """Policies and scheduled actions belong to a registered target."""
    if _target(request) is None:
        raise Refused(
            "ObjectNotFoundException",
            f"No scalable target registered for {request.parameters['ResourceId']}",
        )


@rule(
    "application-autoscaling",
    "PutScalingPolicy",
    source=f"{_API}/API_TargetTrackingScalingPolicyConfiguration.html",
)
def target_tracking_is_complete(request: Request) -> None:
    """A target tracking policy has one metric, a positive target and cooldowns of 0 or more."""
    kind = request.parameters.get("PolicyType") or "StepScaling"
    tracking = request.parameters.get("TargetTrackingScalingPolicyConfiguration")
    steps = request.parameters.get("StepScalingPolicyConfiguration")
    if (kind == "TargetTrackingScaling") != bool(tracking) or (tracking and steps):
        raise _invalid(f"The configuration does not match the policy type {kind}")
    if not tracking:
        return
    predefined = tracking.get("PredefinedMetricSpecification")
    if bool(predefined) == bool(tracking.get("CustomizedMetricSpecification")):
        raise _invalid("Specify either a predefined or a customized metric")
    if not 0 < tracking["TargetValue"] <= 2**360:
        raise _invalid(f"TargetValue {tracking['TargetValue']} is out of range")
    for name in ("ScaleInCooldown", "ScaleOutCooldown"):
        if (tracking.get(name) or 0) < 0:
            raise _invalid(f"{name} must not be negative")
    metric = (predefined or {}).get("PredefinedMetricType") or ""
    dimension = request.parameters["ScalableDimension"]
    if predefined and _METRICS.get(metric, dimension) != dimension:
        raise _invalid(f"{metric} does not apply to {dimension}")
    if predefined and dimension in _METRICS.values() and metric not in _METRICS:
        raise _invalid(f"{metric} does not apply to {dimension}")


@rule(
    "application-autoscaling",
    "PutScalingPolicy",
    source=f"{_GUIDE}/application-auto-scaling-limits.html",
)
def a_target_has_50_policies(request: Request) -> None:
    """A scalable target has at most 50 policies, whose types do not change."""
    resource, name = request.parameters["ResourceId"], request.parameters["PolicyName"]
    policies = applicationautoscaling_backends[request.account][request.region].policies.values()
    own = {each.policy_name: each for each in policies if each.resource_id == resource}
    if len({*own, name}) > _MAX_POLICIES:
        raise Refused("LimitExceededException", f"{_MAX_POLICIES} policies per scalable target")
    kind = request.parameters.get("PolicyType")
    if name in own and kind and own[name].policy_type != kind:
        raise _invalid(f"The type of the policy {name} cannot be changed")


@rule(
    "application-autoscaling",
    "PutScheduledAction",
    source=f"{_API}/API_PutScheduledAction.html",
)
def scheduled_actions_are_valid(request: Request) -> None:
    """An action has a schedule, a limit, an IANA time zone, and ends after it starts."""
    parameters = request.parameters
    schedule, action = parameters.get("Schedule"), parameters.get("ScalableTargetAction") or {}
    if not schedule or not re.fullmatch(
        r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)|rate\([1-9]\d* (minute|hour|day)s?\)|cron\(.+\)",
        schedule,
    ):
        raise _invalid(f"Invalid schedule expression: {schedule}")
    low, high = action.get("MinCapacity"), action.get("MaxCapacity")
    if low is None and high is None:
        raise _invalid("At least one of MinCapacity and MaxCapacity is required")
    if (low or 0) < 0 or (low is not None and high is not None and low > high):
        raise _invalid(f"Min capacity {low} must be between 0 and the max capacity {high}")
    zone = parameters.get("Timezone")
    if zone and zone not in available_timezones():
        raise _invalid(f"{zone} is not a time zone")
    start, end = parameters.get("StartTime"), parameters.get("EndTime")
    if isinstance(start, datetime) and isinstance(end, datetime) and start >= end:
        raise _invalid("EndTime must be after StartTime")


_RANGES = {"minutes": (0, 59), "hours": (0, 23), "days of month": (1, 31), "years": (1970, 2199)}
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


@rule(
    "application-autoscaling",
    "PutScheduledAction",
    source=f"{_GUIDE}/scheduled-scaling-using-cron-expressions.html",
)
def cron_values_are_in_range(request: Request) -> None:
    """Each field of cron() has values in its range: minutes 0 to 59, hours 0 to 23 and so on."""
    match = re.fullmatch(r"cron\((.*)\)", request.parameters.get("Schedule") or "")
    fields = match[1].split() if match else []
    if len(fields) != 6:
        return
    minutes, hours, days, months, weekdays, years = fields
    named = zip(_RANGES, (minutes, hours, days, years), strict=True)
    checks: list[tuple[str, str, int, int, list[str]]]
    checks = [(name, field, *_RANGES[name], []) for name, field in named]
    checks += [("months", months, 1, 12, _MONTHS), ("days of week", weekdays, 1, 7, _DAYS)]
    for name, field, low, high, words in checks:
        for value in re.split(r"[,/#-]", field):
            word = value.upper().rstrip("LW") if name.startswith("day") else value.upper()
            if value in ("*", "?") or word in ("", *words):
                continue
            if not (word.isdigit() and (low if "/" not in field else 0) <= int(word) <= high):
                raise _invalid(f"Invalid schedule expression: {value} is not valid for {name}")


@rule(
    "application-autoscaling",
    "PutScalingPolicy",
    source="https://github.com/hashicorp/terraform-provider-aws/issues/41179",
)
def one_policy_per_metric(request: Request) -> None:
    """A metric has one target tracking policy per target, whoever created it."""
    resource, name = request.parameters["ResourceId"], request.parameters["PolicyName"]
    metric = _metric(request.parameters.get("TargetTrackingScalingPolicyConfiguration"))
    policies = applicationautoscaling_backends[request.account][request.region].policies.values()
    for policy in policies:
        tracked = _metric(policy.target_tracking_scaling_policy_configuration)
        if not metric or metric != tracked:
            continue
        if policy.resource_id == resource and policy.policy_name != name:
            raise _invalid(
                "Only one TargetTrackingScaling policy for a given metric specification is allowed."
            )


@rule(
    "application-autoscaling",
    "PutScheduledAction",
    source=f"{_API}/API_PutScheduledAction.html",
)
def schedules_have_a_known_form(request: Request) -> None:
    """A schedule is at(yyyy-mm-ddThh:mm:ss), rate(NUMBER UNIT) or cron(FIELDS)."""
    schedule = request.parameters.get("Schedule")
    forms = (
        r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)|cron\(.+\)"
        r"|rate\((1 (minute|hour|day)|\d+ (minutes|hours|days))\)"
    )
    if schedule and not re.fullmatch(forms, schedule):
        raise _invalid(f"Invalid schedule expression: {schedule}")


def _metric(tracking: Any) -> Any:
    metric = (tracking or {}).get("PredefinedMetricSpecification") or {}
    return metric.get("PredefinedMetricType")


def _target(request: Request) -> Any:
    backend = applicationautoscaling_backends[request.account][request.region]
    targets = backend.targets.get(request.parameters["ScalableDimension"], {})
    return targets.get(request.parameters["ResourceId"])


def _invalid(message: str) -> Refused:
    return Refused("ValidationException", message)
