"""One JSON line in the log for each request."""

import json
import sys
from typing import Any

_cold_start = True


def log_request(
    *,
    request_id: str,
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
        "method": method,
        "route": route,
        "status": status,
        "duration_ms": round(duration_ms, 2),
        "cold_start": _cold_start,
    }
    _cold_start = False
    if problem:
        record |= {"problem": problem, "cause": cause}
    if isinstance(answer, dict) and "predictions" in answer:
        record |= {
            "image": answer["image"],
            "timing_ms": answer["timing_ms"],
            "model": answer["model"]["version"],
            "dog_probability": answer["dog_probability"],
            "top": answer["predictions"][0],
        }
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()
