"""Scheduled scaling."""

import re

from moto.applicationautoscaling.models import applicationautoscaling_backends

from tests.aws_rules.rules import Refused, Request, rule

_QUOTAS = "https://docs.aws.amazon.com/autoscaling/application/userguide/application-auto-scaling-limits.html"
_CRON = "https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html"
_MAX_ACTIONS = 200


@rule("application-autoscaling", "PutScheduledAction", source=_QUOTAS)
def a_target_has_200_schedules(request: Request) -> None:
    """A scalable target has at most 200 scheduled actions."""
    backend = applicationautoscaling_backends[request.account][request.region]
    names = {
        action.scheduled_action_name
        for action in backend.scheduled_actions
        if action.resource_id == request.parameters["ResourceId"]
    }
    if len(names | {request.parameters["ScheduledActionName"]}) > _MAX_ACTIONS:
        message = f"Scheduled action limit exceeded: {_MAX_ACTIONS} per scalable target"
        raise Refused("LimitExceededException", message)


@rule("application-autoscaling", "PutScheduledAction", source=_CRON)
def cron_names_one_kind_of_day(request: Request) -> None:
    """cron() has six fields, of which day of month or day of week is a question mark."""
    match = re.fullmatch(r"cron\((.*)\)", request.parameters.get("Schedule") or "")
    if match is None:
        return
    fields = match[1].split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise Refused("ValidationException", f"Invalid schedule expression: {match[0]}")
