"""The CloudWatch alarms that roll a deployment back: the model's latency and its errors."""

from typing import Any

from aws.account import Account
from aws.settings import ServingSettings
from ops.endpoint.model_version import VARIANT


def put(account: Account, endpoint: str, serving: ServingSettings) -> list[str]:
    """Create or update the alarms of `endpoint` and return their names."""
    latency, errors = _names(endpoint)
    alarms: list[dict[str, Any]] = [
        {
            "AlarmName": latency,
            "AlarmDescription": f"p99 latency of the model above {serving.alarm_latency_ms} ms",
            "MetricName": "ModelLatency",
            "ExtendedStatistic": "p99",
            "Threshold": serving.alarm_latency_ms * 1000.0,  # the metric is in microseconds
        },
        {
            "AlarmName": errors,
            "AlarmDescription": f"more than {serving.alarm_errors} 5xx responses per minute",
            "MetricName": "Invocation5XXErrors",
            "Statistic": "Sum",
            "Threshold": float(serving.alarm_errors),
        },
    ]
    for alarm in alarms:
        account.client("cloudwatch").put_metric_alarm(
            **alarm,
            Namespace="AWS/SageMaker",
            Dimensions=[
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            Period=60,
            EvaluationPeriods=2,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",  # no traffic means no data
            Tags=account.settings.tag_list(),
        )
    return [latency, errors]


def existing(account: Account, endpoint: str) -> list[str]:
    """Return the names of the alarms of `endpoint` that exist."""
    response = account.client("cloudwatch").describe_alarms(AlarmNames=_names(endpoint))
    return [alarm["AlarmName"] for alarm in response["MetricAlarms"]]


def delete(account: Account, endpoint: str) -> None:
    """Delete the alarms of `endpoint` that exist."""
    names = existing(account, endpoint)
    if names:
        account.client("cloudwatch").delete_alarms(AlarmNames=names)


def _names(endpoint: str) -> list[str]:
    return [f"{endpoint}-latency", f"{endpoint}-errors"]
