"""The alarms that roll a deployment back: latency and errors of the model itself."""

from dataclasses import dataclass
from typing import Any

from aws.account import Account
from aws.settings import ServingSettings

NAMESPACE = "AWS/SageMaker"
VARIANT = "AllTraffic"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One CloudWatch alarm: `statistic` of `metric` above `threshold` for two minutes."""

    name: str
    metric: str
    statistic: str
    threshold: float
    meaning: str

    def request(self, endpoint: str) -> dict[str, Any]:
        """The members of PutMetricAlarm."""
        how = "ExtendedStatistic" if self.statistic.startswith("p") else "Statistic"
        return {
            "AlarmName": self.name,
            "AlarmDescription": self.meaning,
            "Namespace": NAMESPACE,
            "MetricName": self.metric,
            "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint},
                {"Name": "VariantName", "Value": VARIANT},
            ],
            how: self.statistic,
            "Period": 60,
            "EvaluationPeriods": 2,
            "Threshold": self.threshold,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",  # an endpoint that nobody asks is not broken
        }


def alarms(endpoint: str, options: ServingSettings) -> list[Alarm]:
    """The alarms of `endpoint`. SageMaker measures ModelLatency in microseconds."""
    return [
        Alarm(
            f"{endpoint}-latency",
            "ModelLatency",
            "p99",
            options.alarm_latency_ms * 1000.0,
            f"p99 of the model's answers above {options.alarm_latency_ms} ms",
        ),
        Alarm(
            f"{endpoint}-errors",
            "Invocation5XXErrors",
            "Sum",
            float(options.alarm_errors),
            f"more than {options.alarm_errors} invocations a minute end with a 5xx",
        ),
    ]


def put(account: Account, endpoint: str, options: ServingSettings) -> list[str]:
    """Create or update the alarms of `endpoint` and return their names."""
    cloudwatch = account.client("cloudwatch")
    wanted = alarms(endpoint, options)
    for alarm in wanted:
        cloudwatch.put_metric_alarm(**alarm.request(endpoint), Tags=account.settings.tag_list())
    return [alarm.name for alarm in wanted]


def existing(account: Account, endpoint: str) -> list[str]:
    """The names of those alarms of `endpoint` that exist."""
    names = [f"{endpoint}-latency", f"{endpoint}-errors"]
    found = account.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return [alarm["AlarmName"] for alarm in found]
