"""Alarms."""

import re
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends

from tests.aws_rules.rules import Refused, Request, rule

_PUT = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"
_DELETE = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html"
_OF_ONE_METRIC = (
    "Namespace", "MetricName", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic",
)  # fmt: skip
_ANOMALY = (
    "LessThanLowerOrGreaterThanUpperThreshold",
    "LessThanLowerThreshold",
    "GreaterThanUpperThreshold",
)
_DAY_S = 24 * 3600


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def an_alarm_has_one_source(request: Request) -> None:
    """An alarm watches a metric, metric math, or a query; a metric has one kind of statistic."""
    alarm = request.parameters
    sources = [alarm.get("MetricName"), alarm.get("Metrics"), alarm.get("EvaluationCriteria")]
    if sum(map(bool, sources)) != 1:
        raise _invalid("Specify one of MetricName, Metrics and EvaluationCriteria")
    if alarm.get("MetricName"):
        if bool(alarm.get("Statistic")) == bool(alarm.get("ExtendedStatistic")):
            raise _invalid("Specify either Statistic or ExtendedStatistic")
        for name in ("Namespace", "Period"):
            if not alarm.get(name):
                raise _missing(name)
    elif extra := [name for name in _OF_ONE_METRIC if alarm.get(name)]:
        raise _invalid(f"{', '.join(extra)} cannot be specified with Metrics")


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def an_alarm_has_a_threshold(request: Request) -> None:
    """A static alarm has a threshold, an operator and a number of periods."""
    alarm = request.parameters
    if alarm.get("EvaluationCriteria"):
        return
    for name in ("ComparisonOperator", "EvaluationPeriods"):
        if alarm.get(name) is None:
            raise _missing(name)
    anomaly = alarm["ComparisonOperator"] in _ANOMALY
    if anomaly != bool(alarm.get("ThresholdMetricId")) or anomaly == (
        alarm.get("Threshold") is not None
    ):
        raise _invalid("Specify Threshold, or ThresholdMetricId for anomaly detection")


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def periods_are_valid(request: Request) -> None:
    """A period is 10, 20, 30 or a multiple of 60 s; all are at most a day, or 7 days from 1 h."""
    alarm = request.parameters
    periods = [alarm.get("Period")]
    for query in alarm.get("Metrics") or []:
        periods += [query.get("Period"), (query.get("MetricStat") or {}).get("Period")]
    evaluated = alarm.get("EvaluationPeriods") or 1
    for period in filter(None, periods):
        if period not in (10, 20, 30) and period % 60:
            raise _invalid(f"Period {period} must be 10, 20, 30 or a multiple of 60")
        if period * evaluated > (_DAY_S if period < 3600 else 7 * _DAY_S):
            raise _invalid(f"{evaluated} periods of {period} s are longer than allowed")
    if (alarm.get("DatapointsToAlarm") or 1) > evaluated:
        raise _invalid("DatapointsToAlarm must be at most EvaluationPeriods")


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def values_of_an_alarm(request: Request) -> None:
    """TreatMissingData and percentiles have documented values; names have no control characters."""
    alarm = request.parameters
    allowed = {
        "TreatMissingData": ("breaching", "notBreaching", "ignore", "missing"),
        "EvaluateLowSampleCountPercentile": ("evaluate", "ignore"),
    }
    for name, values in allowed.items():
        if alarm.get(name) is not None and alarm[name] not in values:
            raise _invalid(f"{name} {alarm[name]} must be one of {', '.join(values)}")
    if re.search(r"[\x00-\x1f\x7f]", alarm["AlarmName"]):
        raise _invalid("AlarmName must not contain control characters")
    names = [dimension["Name"] for dimension in alarm.get("Dimensions") or []]
    if len(set(names)) < len(names):
        raise _invalid("A dimension is given twice")
    statistic = alarm.get("ExtendedStatistic")
    number = r"(\d{1,2}(\.\d{1,10})?|100)"
    ranges = rf"(TM|TC|TS|WM)\(({number}?%?)?:({number}?%?)?\)|PR\([\d.]*:[\d.]*\)"
    if statistic and not re.fullmatch(rf"(p|tm|tc|ts|wm){number}|IQM|{ranges}", statistic):
        raise _invalid(f"ExtendedStatistic {statistic} is not valid")


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def actions_are_arns_of_the_region(request: Request) -> None:
    """An action is the ARN of a topic in the alarm's region, or of another supported service."""
    alarm = request.parameters
    for kind in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        for action in alarm.get(kind) or []:
            match = re.fullmatch(r"arn:aws[a-z-]*:(\w+):([a-z0-9-]*):(\d{12}|ec2)?:.+", action)
            if match is None or match[1] not in (
                "sns", "automate", "swf", "autoscaling", "lambda", "ssm", "ssm-incidents",
                "aiops",
            ):  # fmt: skip
                raise _invalid(f"Invalid arn syntax: {action}")
            if match[2] != request.region:
                raise _invalid(f"Invalid region {match[2]} specified. Only {request.region}")


@rule("cloudwatch", "PutMetricAlarm", source=_PUT)
def metric_math_has_one_result(request: Request) -> None:
    """Of the queries of an alarm, exactly one returns data; ids are unique, start in lower case."""
    queries = request.parameters.get("Metrics") or []
    if not queries:
        return
    if sum(query.get("ReturnData", True) for query in queries) != 1:
        raise _invalid("Exactly one element of Metrics must return data")
    ids = [query["Id"] for query in queries]
    if len(set(ids)) < len(ids) or not all(re.fullmatch(r"[a-z]\w*", each) for each in ids):
        raise _invalid("The ids of Metrics must be unique and start with a lower-case letter")
    for query in queries:
        if bool(query.get("MetricStat")) == bool(query.get("Expression")):
            raise _invalid("An element of Metrics has either MetricStat or Expression")


@rule("cloudwatch", "DeleteAlarms", source=_DELETE)
def one_composite_alarm_at_a_time(request: Request) -> None:
    """A call deletes at most one composite alarm."""
    alarms: dict[str, Any] = cloudwatch_backends[request.account][request.region].alarms
    names = request.parameters["AlarmNames"]
    if sum(bool(getattr(alarms.get(name), "rule", None)) for name in names) > 1:
        raise _invalid("You can only delete one composite alarm in one operation")


def _missing(name: str) -> Refused:
    return Refused("MissingParameter", f"The parameter {name} is required")


def _invalid(message: str) -> Refused:
    return Refused("ValidationError", message)


@rule(
    "cloudwatch",
    "DescribeAlarms",
    source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html",
)
def alarms_are_found_one_way(request: Request) -> None:
    """Alarms are described by their names or by a prefix, not by both."""
    if request.parameters.get("AlarmNames") and request.parameters.get("AlarmNamePrefix"):
        raise _invalid("AlarmNames and AlarmNamePrefix cannot both be specified")
