"""CloudWatch alarms of the model's latency and errors: of an endpoint, and of one rollout.

The alarms of the endpoint notify people. Those of a rollout watch only the new fleet and roll it
back: an alarm that also saw the old fleet would terminate every update while that fleet fails.
https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-configuration.html
"""

from collections.abc import Sequence
from typing import Any

from aws import alerts
from aws.account import Account, or_none
from aws.settings import ServingSettings
from aws.stages import Stage
from ops.endpoint.model_version import VARIANT

_MAX_NAMES = 100
"""Of DescribeAlarms and DeleteAlarms."""


def put_for_endpoint(account: Account, stage: Stage, serving: ServingSettings) -> None:
    """Create or update the alarms of the stage's endpoint, which notify the alarm topic."""
    topic = _topic(account, stage, serving)
    if topic is None:
        print(
            f"note: no one is notified of the alarms of {stage.endpoint}; "
            "set alarm_topic in [serving] to the ARN of an SNS topic"
        )
    actions = [topic] if topic else []
    _put(account, stage.endpoint, serving, {"EndpointName": stage.endpoint}, actions)


def put_for_rollout(
    account: Account, endpoint: str, config: str, serving: ServingSettings
) -> list[str]:
    """Create or update the alarms of the fleet of `config`, and return their names."""
    dimensions = {"EndpointName": endpoint, "EndpointConfigName": config}
    _put(account, config, serving, dimensions, [])
    return names(config)


def names(owner: str) -> list[str]:
    """Return the names of the alarms of an endpoint or of a config."""
    return [f"{owner}-latency", f"{owner}-errors"]


def existing(account: Account, owners: Sequence[str]) -> list[str]:
    """Return the names of the alarms of endpoints and configs that exist."""
    all_names = [name for owner in owners for name in names(owner)]
    pages = account.client("cloudwatch").get_paginator("describe_alarms")
    found: list[str] = []
    for start in range(0, len(all_names), _MAX_NAMES):
        described = pages.paginate(AlarmNames=all_names[start : start + _MAX_NAMES])
        found += described.search("MetricAlarms[].AlarmName")
    return found


def delete(account: Account, owners: Sequence[str]) -> None:
    """Delete the alarms of endpoints and configs that exist."""
    found = existing(account, owners)
    for start in range(0, len(found), _MAX_NAMES):
        account.client("cloudwatch").delete_alarms(AlarmNames=found[start : start + _MAX_NAMES])


def _topic(account: Account, stage: Stage, serving: ServingSettings) -> str | None:
    """The topic of the settings, or that of the API's stack if it exists."""
    if serving.alarm_topic:
        return serving.alarm_topic
    arn = alerts.alarm_topic(account, stage)
    sns = account.client("sns")
    return arn if or_none(lambda: sns.get_topic_attributes(TopicArn=arn)) else None


def _put(
    account: Account,
    owner: str,
    serving: ServingSettings,
    dimensions: dict[str, str],
    actions: list[str],
) -> None:
    latency, errors = names(owner)
    alarms: list[dict[str, Any]] = [
        {
            "AlarmName": latency,
            "AlarmDescription": f"p99 latency of the model above {serving.alarm_latency_ms} ms",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": serving.alarm_latency_ms * 1000.0,  # the metric is in microseconds
        },
        {
            # Requests that the model rejects because it has too many are 4xx: load is no error.
            "AlarmName": errors,
            "AlarmDescription": f"more than {serving.alarm_errors} 5xx responses per minute",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Sum",
            "Threshold": float(serving.alarm_errors),
        },
    ]
    all_dimensions = {**dimensions, "VariantName": VARIANT}
    for alarm in alarms:
        account.client("cloudwatch").put_metric_alarm(
            **alarm,
            Namespace="AWS/SageMaker",
            Dimensions=[{"Name": key, "Value": value} for key, value in all_dimensions.items()],
            Period=60,
            EvaluationPeriods=2,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",  # no traffic means no data
            AlarmActions=actions,
            Tags=account.settings.tag_list(),
        )
