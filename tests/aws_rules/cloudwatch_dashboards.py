"""Dashboards in CloudWatch."""

import json
import re
from typing import Any

from tests.aws_rules.rules import Refused, Request, rule

_BODY = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"
_PUT = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html"
_TYPES = ("metric", "log", "text", "alarm", "explorer", "custom")


@rule("cloudwatch", "PutDashboard", source=_PUT)
def dashboards_have_valid_names(request: Request) -> None:
    """A dashboard's name has up to 255 letters, digits, hyphens and underscores."""
    if not re.fullmatch("[A-Za-z0-9_-]{1,255}", request.parameters["DashboardName"]):
        raise Refused("InvalidParameterInput", "DashboardName is not valid")


@rule("cloudwatch", "PutDashboard", source=_BODY)
def bodies_are_valid(request: Request) -> None:
    """Widgets are in 24 columns, have a known type, and metrics with a region."""
    check(request.parameters["DashboardBody"])


def check(text: str) -> None:
    """Raise Refused for the body of a dashboard that CloudWatch would not accept."""
    try:
        widgets = json.loads(text)["widgets"]
    except (ValueError, KeyError, TypeError):
        raise _invalid("the body is not JSON with widgets") from None
    if len(widgets) > 500:
        raise _invalid("a dashboard has at most 500 widgets")
    for number, widget in enumerate(widgets):
        for problem in (_position(widget), _content(widget)):
            if problem:
                raise _invalid(f"widget {number}: {problem}")


def _position(widget: dict[str, Any]) -> str:
    width, height = widget.get("width", 6), widget.get("height", 6)
    if not (1 <= width <= 24 and 1 <= height <= 1000):
        return "width is 1 to 24, height 1 to 1000"
    if not (0 <= widget.get("x", 0) <= 24 - width and widget.get("y", 0) >= 0):
        return "x and width exceed 24 columns"
    if ("x" in widget) != ("y" in widget):
        return "x and y are given together"
    return ""


def _content(widget: dict[str, Any]) -> str:
    properties = widget.get("properties", {})
    if widget.get("type") not in _TYPES:
        return f"unknown type {widget.get('type')}"
    if widget["type"] == "text" and "markdown" not in properties:
        return "a text has markdown"
    if widget["type"] == "alarm" and not 1 <= len(properties.get("alarms", [])) <= 100:
        return "alarms has 1 to 100 ARNs"
    if widget["type"] != "metric":
        return ""
    annotated = properties.get("annotations", {}).get("alarms")
    metrics = properties.get("metrics", [])
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d|\$\{AWS::Region\}", properties.get("region", "")):
        return "region is missing"
    if (not metrics and not annotated) or len(metrics) > 500:
        return "1 to 500 metrics"
    for metric in metrics:
        names = [part for part in metric if isinstance(part, str)]
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        expression = "expression" in options
        if not expression and (len(names) < 2 or len(names) % 2 or len(names) > 62):
            return f"a metric is a namespace, a name and pairs of a dimension: {metric}"
    if properties.get("view", "timeSeries") not in (
        "timeSeries", "singleValue", "gauge", "bar", "pie", "table",
    ):  # fmt: skip
        return "unknown view"
    period = properties.get("period", 60)
    return "" if period in (1, 5, 10, 20, 30) or period % 60 == 0 else f"period {period}"


def _invalid(reason: str) -> Refused:
    return Refused("InvalidParameterInput", f"The field DashboardBody must be valid: {reason}")
