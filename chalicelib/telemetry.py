"""One JSON line in the log for each request, which CloudWatch also reads as metrics.

The metrics are in the Embedded Metric Format: CloudWatch takes them out of the log line, so that a
request waits for no other call. The same line is what one reads when something went wrong.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import os
import sys
import time
from typing import Any

NAMESPACE = "WhatBreed"
STAGE_OUTSIDE_AWS = "local"

# Metric: its unit. Times of parts, bytes and probabilities are of pictures that were answered; the
# means of the last two move when what people photograph, or what the model makes of it, does.
_UNITS = {
    "requests": "Count",
    "duration_ms": "Milliseconds",
    "problems": "Count",
    "fetch_ms": "Milliseconds",
    "inference_ms": "Milliseconds",
    "image_bytes": "Bytes",
    "batch_pictures": "Count",
    "batch_failed": "Count",
    "dog_probability": "None",
    "top_probability": "None",
}

_cold_start = True


def log_request(
    *,
    request_id: str,
    stage: str,
    route: str,
    method: str,
    status: int,
    duration_ms: float,
    answer: Any,
    problem: str = "",
    cause: str = "",
) -> None:
    """Write what is worth knowing of a request: no URL, no header, no byte of an image."""
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
        record |= {"problem": problem, "cause": cause, "problems": 1}
    if isinstance(answer, dict) and "predictions" in answer:
        record |= _of_prediction(answer)
    elif isinstance(answer, dict) and "results" in answer:
        record |= _of_batch(answer["results"])
    record["_aws"] = _metrics(record)
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _trace_id() -> str:
    """The X-Ray trace of this request, empty where there is none that X-Ray keeps.

    Lambda sets the variable anew for each request, also where tracing is off; `Sampled` tells.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    parts = dict(part.partition("=")[::2] for part in header.split(";"))
    return parts.get("Root", "") if parts.get("Sampled") == "1" else ""


def _of_prediction(answer: dict[str, Any]) -> dict[str, Any]:
    """What the log keeps of an answered picture."""
    top = answer["predictions"][0]
    return {
        "fetch_ms": answer["timing_ms"]["fetch"],
        "inference_ms": answer["timing_ms"]["inference"],
        "image_bytes": answer["image"]["bytes"],
        "image_format": answer["image"]["format"],
        "model_version": answer["model"]["version"],
        "dog_probability": answer["dog_probability"],
        "top_breed": top["breed"],
        "top_probability": top["probability"],
    }


def _of_batch(results: list[dict[str, Any]]) -> dict[str, Any]:
    """What the log keeps of a batch: how many pictures, which problems how often, and each figure
    of those that were answered: a metric may have up to 100 values a line."""
    kinds = [result["type"] for result in results if "type" in result]
    answered = [_of_prediction(result) for result in results if "predictions" in result]
    found: dict[str, Any] = {
        "batch_pictures": len(results),
        "batch_failed": len(kinds),
        "batch_problems": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }
    if answered:
        found |= {name: [one[name] for one in answered] for name in answered[0]}
        found["model_version"] = answered[0]["model_version"]
    return found


def _metrics(record: dict[str, Any]) -> dict[str, Any]:
    """The part of the line that tells CloudWatch which of its members are metrics."""
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
