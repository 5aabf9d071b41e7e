"""CloudWatch's record of how much a resource was used."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

from aws.account import Account

UNUSED_AFTER = timedelta(days=7)


def recent(
    account: Account,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    statistic: Literal["Sum", "Maximum"],
) -> float:
    """Return the sum or the maximum of a metric over the last seven days, 0 without data."""
    now = datetime.now(UTC)
    response = account.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - UNUSED_AFTER,
        EndTime=now,
        Period=3600,
        Statistics=[statistic],
    )
    values = [float(point[statistic]) for point in response["Datapoints"]]
    return sum(values) if statistic == "Sum" else max(values, default=0)
