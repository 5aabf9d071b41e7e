"""Every metric that is watched, named here and nowhere else: its namespace, dimensions, statistic.

Tests hold this list against the lines that the API writes (chalicelib/telemetry.py), against the
dashboard of .chalice/resources-prod.json, and against the API's problems: nothing can be drawn that
nobody writes. Sources of what is not ours:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from dataclasses import dataclass

from training.cloud.alarms import NAMESPACE as SAGEMAKER
from training.cloud.alarms import VARIANT
from training.watch.place import Place

OWN = "WhatBreed"
GATEWAY = "AWS/ApiGateway"
LAMBDA = "AWS/Lambda"

PROBLEMS = (
    "invalid-request",
    "url-not-allowed",
    "method-not-allowed",
    "image-too-large",
    "unsupported-media-type",
    "not-an-image",
    "image-unreachable",
    "endpoint-busy",
    "internal-error",
    "endpoint-failed",
    "endpoint-unavailable",
    "endpoint-timeout",
)
"""What a whole request can end with. The problems of pictures within a batch are in `batch_failed`,
and by type in the log line: a metric has one value of a dimension a line."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric under one statistic, as GetMetricData takes it."""

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str

    @property
    def adds_up(self) -> bool:
        """Whether the whole follows from the parts: sums and maxima do, percentiles do not."""
        return self.stat in ("Sum", "Maximum")

    def query(self, identifier: str, period_s: int) -> dict[str, object]:
        """A member of GetMetricData's MetricDataQueries."""
        return {
            "Id": identifier,
            "MetricStat": {
                "Metric": {
                    "Namespace": self.namespace,
                    "MetricName": self.metric,
                    "Dimensions": [{"Name": k, "Value": v} for k, v in self.dimensions],
                },
                "Period": period_s,
                "Stat": self.stat,
            },
        }


def catalogue(place: Place) -> dict[str, Series]:
    """All series of a stage, by the names that the rest of this package calls them.

    Durations are in milliseconds, but for SageMaker's ModelLatency: microseconds.
    """
    own = (("stage", place.stage),)
    gateway = (("ApiName", place.api), ("Stage", place.stage))
    function = (("FunctionName", place.function),)
    model = (("EndpointName", place.endpoint), ("VariantName", VARIANT))
    found = {
        "requests": Series(OWN, "requests", own, "Sum"),
        "problems": Series(OWN, "problems", own, "Sum"),
        "batch_pictures": Series(OWN, "batch_pictures", own, "Sum"),
        "batch_failed": Series(OWN, "batch_failed", own, "Sum"),
        "dog_mean": Series(OWN, "dog_probability", own, "Average"),
        "dog_p10": Series(OWN, "dog_probability", own, "p10"),
        "top_mean": Series(OWN, "top_probability", own, "Average"),
        "top_p10": Series(OWN, "top_probability", own, "p10"),
        "gateway_requests": Series(GATEWAY, "Count", gateway, "Sum"),
        "gateway_4xx": Series(GATEWAY, "4XXError", gateway, "Sum"),
        "gateway_5xx": Series(GATEWAY, "5XXError", gateway, "Sum"),
        "function_calls": Series(LAMBDA, "Invocations", function, "Sum"),
        "function_ms": Series(LAMBDA, "Duration", function, "Sum"),
        "function_errors": Series(LAMBDA, "Errors", function, "Sum"),
        "function_throttles": Series(LAMBDA, "Throttles", function, "Sum"),
        "functions": Series(LAMBDA, "ConcurrentExecutions", function, "Maximum"),
        "model_calls": Series(SAGEMAKER, "Invocations", model, "Sum"),
        "model_calls_each": Series(SAGEMAKER, "InvocationsPerInstance", model, "Sum"),
        "model_4xx": Series(SAGEMAKER, "Invocation4XXErrors", model, "Sum"),
        "model_5xx": Series(SAGEMAKER, "Invocation5XXErrors", model, "Sum"),
    }
    for key, namespace, metric, dimensions in (
        ("total", OWN, "duration_ms", own),
        ("fetch", OWN, "fetch_ms", own),
        ("inference", OWN, "inference_ms", own),
        ("gateway", GATEWAY, "Latency", gateway),
        ("function", LAMBDA, "Duration", function),
        ("model", SAGEMAKER, "ModelLatency", model),
    ):
        for stat in ("p50", "p99"):
            found[f"{key}_{stat}"] = Series(namespace, metric, dimensions, stat)
    for problem in PROBLEMS:
        dimensions = (*own, ("problem", problem))
        found[f"problem {problem}"] = Series(OWN, "problems", dimensions, "Sum")
    if place.alias:
        alias = (*function, ("Resource", place.alias))
        kept = "ProvisionedConcurrency"
        found |= {
            "warm": Series(LAMBDA, "ProvisionedConcurrentExecutions", alias, "Maximum"),
            "warm_calls": Series(LAMBDA, f"{kept}Invocations", alias, "Sum"),
            "spilled": Series(LAMBDA, f"{kept}SpilloverInvocations", alias, "Sum"),
        }
    return found
