"""The billed quantities of requests, by the names of the price table."""

from ops.costs.settings import CostsSettings

GB = 1 << 30
_DAYS_PER_MONTH = 365 / 12


def endpoint(requests: float, costs: CostsSettings) -> dict[str, float]:
    """Return what SageMaker bills for requests in addition to its instances."""
    return {
        "hosting data in": requests * costs.photo_kb * 1024 / GB,
        "hosting data out": requests * costs.answer_kb * 1024 / GB,
    }


def api(
    requests: float,
    memory_mb: int,
    costs: CostsSettings,
    on_provisioned: float = 0.0,
    provisioned_gb_s: float = 0.0,
) -> dict[str, float]:
    """Return what API Gateway, Lambda and the logs bill.

    `on_provisioned` is the fraction of requests that run on provisioned functions, and
    `provisioned_gb_s` what keeping those initialized takes.
    """
    gb_s = requests * costs.lambda_s * memory_mb / 1024
    logs_gb = requests * costs.log_bytes / GB
    return {
        "lambda requests": requests,
        "lambda duration arm64": gb_s * (1 - on_provisioned),
        "lambda duration arm64 on provisioned": gb_s * on_provisioned,
        "lambda provisioned arm64": provisioned_gb_s,
        "api gateway requests": requests,
        "data transfer out": requests * costs.answer_kb * 1024 / GB,
        "logs ingested": logs_gb,
        "logs stored": logs_gb * costs.log_days / _DAYS_PER_MONTH,
    }
