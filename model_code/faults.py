"""Failures of SageMaker that the local Runtime API produces on request.

For developers of clients: `python -m model_code.local --fault throttled` fails every invocation,
the custom attribute `fault=throttled` of InvokeEndpoint a single one.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import re
from dataclasses import dataclass

ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
REAL_TIME_PAYLOAD_BYTES = 6 * 1024 * 1024
SERVERLESS_PAYLOAD_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of the service, or with `container_status` of the container behind it."""

    description: str
    status: int
    code: str
    message: str | None
    container_status: int | None = None


_NO_RESPONSE = (
    "Your invocation timed out while waiting for a response from container primary. Review the "
    "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
FAULTS = {
    "worker-died": Fault(
        "the container died, or did not respond within 60 s", 424, "ModelError", _NO_RESPONSE, 0
    ),
    "model-failed": Fault("the container crashed", 424, "ModelError", '{"error": "failed"}', 500),
    "overloaded": Fault("the container is busy", 424, "ModelError", '{"error": "busy"}', 429),
    "not-ready": Fault(
        "a serverless endpoint is starting",
        429,
        "ModelNotReadyException",
        "The serverless endpoint variant's resources are still being provisioned.",
    ),
    # SageMaker sends no message (opensearch-project/ml-commons #2429).
    "throttled": Fault("too many requests", 400, "ThrottlingException", None),
    "no-endpoint": Fault("it does not exist", 400, "ValidationError", "Endpoint not found."),
    "denied": Fault("no permission", 403, "AccessDeniedException", "User is not authorized."),
    "internal": Fault("SageMaker fails", 500, "InternalFailure", "An internal failure occurred."),
    "unavailable": Fault("SageMaker is down", 503, "ServiceUnavailable", "Try your call again."),
    "dependency": Fault(
        "a service behind SageMaker fails",
        530,
        "InternalDependencyException",
        "Your request caused an exception with an internal dependency. Contact customer support.",
    ),
    "too-large": Fault("the payload exceeds 6 MB", 413, "413", "HTTP content length exceeded"),
}


def payload_too_large(limit_bytes: int) -> Fault:
    """Return SageMaker's response to a payload above its limit."""
    return Fault("", 413, "413", f"HTTP content length exceeded {limit_bytes} bytes.")


def requested(attributes: str) -> Fault | None:
    """Return the fault that custom attributes such as `fault=throttled` request, or None.

    Raises KeyError if there is no such fault.
    """
    match = re.search(r"(?:^|[\s,;])fault=([\w-]+)", attributes)
    return FAULTS[match[1]] if match else None
