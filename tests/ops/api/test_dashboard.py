"""The dashboard and alarms of prod use metrics that exist.

Those of the API are compared with the log lines of its own bundle, AWS's with its documentation.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chalicelib import problems
from tests.aws_rules import cloudwatch_dashboards
from tests.ops.api.lambda_events import Handle, event
from tests.ops.api.project import REGION
from tests.servers import HOST, ROOT, answer, free_port, model_server, web_server

NAMESPACE = "WhatBreed"
NOT_DRAWN = {"image_bytes"}

# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
METRICS_OF_AWS = {
    ("AWS/ApiGateway", ("ApiName", "Stage")): {"Count", "4XXError", "5XXError", "Latency"},
    ("AWS/Lambda", ("FunctionName",)): {
        "Invocations", "Duration", "Errors", "Throttles", "ConcurrentExecutions",
    },
    ("AWS/Lambda", ("FunctionName", "Resource")): {
        "ProvisionedConcurrentExecutions", "ProvisionedConcurrencyInvocations",
        "ProvisionedConcurrencySpilloverInvocations", "Throttles",
    },
    ("AWS/Lambda", ("FunctionName", "Resource", "ExecutedVersion")): {"Duration", "Errors"},
    ("AWS/SageMaker", ("EndpointName", "VariantName")): {
        "Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors",
        "ModelLatency",
    },
}  # fmt: skip

Metric = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and dimensions."""


@pytest.fixture(scope="module")
def widgets(resources: dict[str, Any]) -> list[dict[str, Any]]:
    """The dashboard's widgets, with references resolved."""
    separator, parts = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Join"]
    body = separator.join(part if isinstance(part, str) else part["Fn::Sub"] for part in parts)
    function = resources["APIHandler"]["Properties"]["FunctionName"]
    body = body.replace("${AWS::Region}", REGION).replace("${APIHandler}", function)
    document: dict[str, list[dict[str, Any]]] = json.loads(body)
    return document["widgets"]


def drawn(widgets: list[dict[str, Any]]) -> Iterator[Metric]:
    for widget in widgets:
        for namespace, *parts in widget["properties"]["metrics"]:
            if isinstance(namespace, str):  # else an expression
                name, *dimensions, _ = parts
                yield namespace, name, tuple(zip(dimensions[::2], dimensions[1::2], strict=True))


def test_the_dashboard_is_valid(widgets: list[dict[str, Any]]) -> None:
    cloudwatch_dashboards.check(json.dumps({"widgets": widgets}))
    positions = {(widget["x"], widget["y"]) for widget in widgets}
    assert len(positions) == len(widgets) == 12
    assert len(list(drawn(widgets))) <= 50  # the limit of a free dashboard
    for widget in widgets:
        properties = widget["properties"]
        assert properties["region"] == REGION
        assert properties["period"] == 60
        rows = properties["metrics"]
        ids = {row[-1]["id"] for row in rows if "id" in row[-1]}
        for row in rows:
            if "expression" in row[0]:
                assert set(row[0]["expression"].split(" / ")) < ids


@pytest.fixture(scope="module")
def log(handle: Handle, tiny_model_dir: Path, encode: Callable[..., bytes]) -> list[dict[str, Any]]:
    """The log lines of a prediction, a batch with a failing URL, and an error."""
    image = encode("blue")
    unreachable = f"http://{HOST}:{free_port()}"
    with model_server(tiny_model_dir) as runtime, web_server(answer(200, image)) as host:
        urls = json.dumps({"urls": [f"{host}/dog.png", unreachable]}).encode()
        batch = event("POST", "/predict/batch", urls, content_type="application/json")
        responses = [
            handle(event("POST", "/predict", image), runtime),
            handle(batch, runtime, FETCH_ALLOW_LOOPBACK="true"),
            handle(event("GET", "/breeds"), unreachable),
        ]
    return [line for response in responses for line in response["log"]]


@pytest.mark.server
def test_the_dashboard_draws_the_metrics_that_the_api_logs(
    widgets: list[dict[str, Any]], log: list[dict[str, Any]]
) -> None:
    own = {metric for metric in drawn(widgets) if metric[0] == NAMESPACE}
    # Each type of problem is a value of the same dimension; one of them is logged here.
    assert {_without_problem(metric) for metric in own} == {
        _without_problem(metric) for metric in _metrics(log) if metric[1] not in NOT_DRAWN
    }


@pytest.mark.server
def test_the_log_has_the_fields_of_the_guides_query(log: list[dict[str, Any]]) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    fields = guide.partition("fields @timestamp,")[2].partition("\n")[0].split(",")
    assert len(fields) > 3
    assert {field.strip() for field in fields} <= {key for line in log for key in line}


def test_the_dashboard_draws_every_type_of_problem(widgets: list[dict[str, Any]]) -> None:
    types = [
        dict(dimensions)["problem"]
        for _, _, dimensions in drawn(widgets)
        if "problem" in dict(dimensions)
    ]
    # Problems of single images in a batch are in batch_failed.
    assert sorted(types) == sorted(_types(problems.Problem) - {problems.BatchTimeout.type})


def test_metrics_of_aws_exist(widgets: list[dict[str, Any]], resources: dict[str, Any]) -> None:
    metrics = [
        (namespace, name, tuple(key for key, _ in dimensions))
        for namespace, name, dimensions in drawn(widgets)
        if namespace != NAMESPACE
    ]
    for resource in resources.values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            alarm = resource["Properties"]
            keys = tuple(dimension["Name"] for dimension in alarm["Dimensions"])
            metrics.append((alarm["Namespace"], alarm["MetricName"], keys))
    for namespace, name, keys in metrics:
        assert name in METRICS_OF_AWS[namespace, keys]


def _metrics(lines: list[dict[str, Any]]) -> Iterator[Metric]:
    """The metrics that CloudWatch extracts from log lines."""
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for keys in directive["Dimensions"]:
                dimensions = tuple((key, line[key]) for key in keys)
                for metric in directive["Metrics"]:
                    assert metric["Name"] in line
                    yield directive["Namespace"], metric["Name"], dimensions


def _without_problem(metric: Metric) -> Metric:
    namespace, name, dimensions = metric
    keys = tuple((key, "" if key == "problem" else value) for key, value in dimensions)
    return namespace, name, keys


def _types(kind: type[problems.Problem]) -> set[str]:
    return {kind.type}.union(*(_types(subclass) for subclass in kind.__subclasses__()))
