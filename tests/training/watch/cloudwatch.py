"""What CloudWatch makes of the API's log lines, and moto's CloudWatch mended where it is wrong.

python -m tests.training.watch.cloudwatch PORT
"""

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from moto.cloudwatch.models import CloudWatchBackend

from chalicelib import telemetry
from tests.servers import HOST, free_port, process, wait_for
from tests.training.cloud.mended_moto import mended

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}

Datum = dict[str, Any]
AT_ONCE = 500


def line(moment: datetime, **request: Any) -> str:
    """The line that the API logs for a request at `moment`, written by the API's own code."""
    given = {"request_id": "r", "stage": "prod", "route": "/predict", "method": "POST"}
    given |= {"status": 200, "answer": {}} | request
    stream = io.StringIO()
    with (
        patch.object(telemetry.time, "time", moment.timestamp),
        contextlib.redirect_stdout(stream),
    ):
        telemetry.log_request(**given)
    [written] = stream.getvalue().splitlines()
    return written


def prediction(
    fetch_ms: float, inference_ms: float, dog_probability: float, top_probability: float
) -> dict[str, Any]:
    """The answer of the API, as far as its log line goes into it."""
    return {
        "predictions": [{"breed": "Dalmatian", "probability": top_probability, "logit": 7.75}],
        "timing_ms": {"fetch": fetch_ms, "inference": inference_ms},
        "image": {"bytes": 81_234, "format": "JPEG"},
        "model": {"name": "whatbreed", "version": "2026.11.21"},
        "dog_probability": dog_probability,
    }


def extract(text: str) -> list[tuple[str, Datum]]:
    """The metrics that CloudWatch takes out of a log line: (namespace, member of PutMetricData).

    By the specification, with what it demands asserted:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    root = json.loads(text)
    assert isinstance(root["_aws"]["Timestamp"], int)
    moment = datetime.fromtimestamp(root["_aws"]["Timestamp"] / 1000, UTC)
    found = []
    for directive in root["_aws"]["CloudWatchMetrics"]:
        assert 1 <= len(directive["Namespace"]) <= 1024
        assert len(directive["Metrics"]) <= 100
        for names in directive["Dimensions"]:
            assert len(names) <= 30
            assert all(isinstance(root[name], str) and root[name] for name in names)
            dimensions = [{"Name": name, "Value": root[name]} for name in names]
            for metric in directive["Metrics"]:
                values = root[metric["Name"]]
                values = values if isinstance(values, list) else [values]
                assert 1 <= len(values) <= 100
                assert all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
                datum = {
                    "MetricName": metric["Name"],
                    "Dimensions": dimensions,
                    "Timestamp": moment,
                    "Values": values,
                    "Unit": metric.get("Unit", "None"),
                }
                found.append((directive["Namespace"], datum))
    return found


def put(client: Any, data: Sequence[tuple[str, Datum]]) -> None:
    """Leave `data` in CloudWatch."""
    for namespace in sorted({name for name, _ in data}):
        mine = [datum for name, datum in data if name == namespace]
        for first in range(0, len(mine), AT_ONCE):
            client.put_metric_data(Namespace=namespace, MetricData=mine[first : first + AT_ONCE])


def measured(
    namespace: str, metric: str, moment: datetime, values: Sequence[float], **dimensions: str
) -> tuple[str, Datum]:
    """What AWS itself measures of one of its services."""
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    datum = {"MetricName": metric, "Dimensions": named, "Timestamp": moment}
    return namespace, {**datum, "Values": list(values)}


@contextmanager
def aws_server() -> Iterator[str]:
    """The address of an empty account."""
    port = free_port()
    with process([sys.executable, "-m", __name__, str(port)]) as child:
        address = f"http://{HOST}:{port}"
        wait_for(f"{address}/moto-api/", child)
        yield address


@contextmanager
def mended_cloudwatch() -> Iterator[None]:
    """moto, mended for the length of a `with` block."""
    with mended(), patch.object(CloudWatchBackend, "get_metric_data", get_metric_data):
        yield


def get_metric_data(
    self: Any,
    queries: list[dict[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampAscending",
) -> list[dict[str, Any]]:
    """moto 5.2.5 knows no percentile and, where there are dimensions, looks at no namespace."""
    assert len(queries) <= 500
    assert len({query["Id"] for query in queries}) == len(queries)
    assert scan_by == "TimestampAscending"
    results = []
    for query in queries:
        stat = query["MetricStat"]
        values = dict[datetime, list[float]]()
        period = timedelta(seconds=int(stat["Period"]))
        for datum in _matching(self, stat["Metric"]):
            if start_time <= datum.timestamp < end_time:
                bucket = start_time + (datum.timestamp - start_time) // period * period
                values.setdefault(bucket, []).append(datum.value)
        moments = sorted(values)
        results.append(
            {
                "id": query["Id"],
                "label": query["Id"],
                "timestamps": moments,
                "values": [statistic(stat["Stat"])(values[moment]) for moment in moments],
                "status_code": "Complete",
            }
        )
    return results


def statistic(name: str) -> Callable[[Sequence[float]], float]:
    """One of CloudWatch's statistics; a percentile is the value at that rank."""
    if name.startswith("p"):
        return lambda values: sorted(values)[math.ceil(float(name[1:]) / 100 * len(values)) - 1]
    known: dict[str, Callable[[Sequence[float]], float]] = {
        "Sum": sum,
        "Maximum": max,
        "Average": lambda values: sum(values) / len(values),
    }
    return known[name]


def _matching(backend: Any, metric: dict[str, Any]) -> list[Any]:
    wanted = {(one["Name"], one["Value"]) for one in metric["Dimensions"]}
    return [
        datum
        for datum in backend.metric_data
        if (datum.namespace, datum.name) == (metric["Namespace"], metric["MetricName"])
        and {(one.name, one.value) for one in datum.dimensions} == wanted
    ]


if __name__ == "__main__":
    from moto.server import main

    os.environ.update(CREDENTIALS)
    with mended_cloudwatch():
        main(["-H", HOST, "-p", sys.argv[1]])
