"""One JSON log line per request, which CloudWatch also reads as metrics.

The metrics are in the Embedded Metric Format, so that no request waits for a call to CloudWatch.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chalicelib.causes import MAX_CHARACTERS

NAMESPACE = "WhatBreed"
LOCAL_STAGE = "local"

# The unit of each metric. A change in the mean probabilities shows that the images or the model
# have changed.
_UNITS = {
    "requests": "Count",
    "duration_ms": "Milliseconds",
    "problems": "Count",
    "fetch_ms": "Milliseconds",
    "inference_ms": "Milliseconds",
    "image_bytes": "Bytes",
    "batch_images": "Count",
    "batch_failed": "Count",
    "dog_probability": "None",
    "top_probability": "None",
}

_cold_start = True


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """What is logged about one classified image."""

    fetch_ms: float
    inference_ms: float
    image_bytes: int
    image_format: str
    model_version: str
    dog_probability: float
    top_breed: str
    top_probability: float


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """What is logged about a batch: its classified images, and the types of its problems."""

    images: Sequence[ImageFigures]
    problems: Sequence[str]


def log_request(
    *,
    request_id: str,
    stage: str,
    route: str,
    method: str,
    status: int,
    duration_ms: float,
    figures: ImageFigures | BatchFigures | None = None,
    problem: str = "",
    cause: str = "",
) -> None:
    """Write the log line of one request: no URL, no header and no image content.

    `cause` has types and codes of exceptions, see `causes`.
    """
    global _cold_start
    record: dict[str, Any] = {
        "request_id": request_id,
        "stage": stage,
        "method": method,
        "route": route,
        "status": status,
        "cold_start": _cold_start,
        "requests": 1,
        "duration_ms": round(duration_ms, 2),
    }
    _cold_start = False
    if trace_id := _trace_id():
        record["trace_id"] = trace_id
    if problem:
        record |= {"problem": problem, "cause": cause[:MAX_CHARACTERS], "problems": 1}
    if isinstance(figures, ImageFigures):
        record |= asdict(figures)
    elif figures is not None:
        record |= _batch_members(figures)
    record["_aws"] = _metrics(record)
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _trace_id() -> str:
    """Return the id of this request's X-Ray trace, or "" if X-Ray does not record it.

    Lambda sets the variable for each request, even if tracing is off.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    parts = dict(part.partition("=")[::2] for part in header.split(";"))
    return parts.get("Root", "") if parts.get("Sampled") == "1" else ""


def _batch_members(figures: BatchFigures) -> dict[str, Any]:
    """Return counts, and a list of values per figure: a metric may have up to 100 per line."""
    members: dict[str, Any] = {
        "batch_images": len(figures.images) + len(figures.problems),
        "batch_failed": len(figures.problems),
        "batch_problems": dict(sorted(Counter(figures.problems).items())),
    }
    if figures.images:
        rows = [asdict(image) for image in figures.images]
        members |= {name: [row[name] for row in rows] for name in rows[0]}
        members["model_version"] = figures.images[0].model_version
    return members


def _metrics(record: dict[str, Any]) -> dict[str, Any]:
    """Return the `_aws` member, which lists the members that are metrics."""
    directives = [_directive(["stage"], [name for name in _UNITS if name in record])]
    if "problem" in record:
        directives.append(_directive(["stage", "problem"], ["problems"]))
    return {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives}


def _directive(dimensions: list[str], names: list[str]) -> dict[str, Any]:
    return {
        "Namespace": NAMESPACE,
        "Dimensions": [dimensions],
        "Metrics": [{"Name": name, "Unit": _UNITS[name]} for name in names],
    }
