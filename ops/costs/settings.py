"""The table [costs] of settings.toml."""

from typing import Annotated

from pydantic import Field

from cli.settings import Names, Section


class CostsSettings(Section):
    """The table [costs]: the traffic to plan for, and assumptions about it."""

    TABLE = "costs"

    mean_rps: float = Field(5.0, gt=0, allow_inf_nan=False)
    """Mean requests per second over the day, unless a profile is given."""
    peak_factor: float = Field(3.0, ge=1, lt=24)
    """Peak rate as a multiple of the mean."""
    peak_hour: int = Field(20, ge=0, le=23)
    """Hour of the peak."""
    instance_types: Names = ["ml.c7g.large", "ml.c6i.xlarge", "ml.m5.large"]
    """Instance types to compare with the one of [serving]."""
    rate_per_vcpu: float = Field(50.0, gt=0)
    """ASSUMED requests per second and vCPU, unless a rate is given. `ops loadtest` measures it."""
    serverless_ms: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Billed milliseconds of a prediction on a serverless endpoint. 0: the CPU time of an image in
    the benchmarks."""
    # MAX_WAITING of model_code/serve.py; a test compares them.
    queue: int = Field(64, ge=0)
    """Requests that wait in an instance before it rejects more."""
    instance_start_s: float = Field(300.0, ge=0)
    """Seconds from requesting an instance until it serves."""
    metric_delay_s: float = Field(60.0, ge=0)
    """Seconds from the end of a minute until autoscaling sees its metric."""
    lambda_ms: float = Field(300.0, gt=0)
    """Duration of a request in Lambda in milliseconds, most of it fetching the image."""
    photo_kb: float = Field(120.0, gt=0)
    """Size of an image sent to the endpoint in KiB."""
    answer_kb: float = Field(4.0, gt=0)
    """Size of a response in KiB."""
    log_bytes: float = Field(900.0, ge=0)
    """Size of the log line of a request in bytes."""
    log_days: float = Field(30.0, gt=0)
    """Retention of logs in days."""
    job_hours: float = Field(2.0, gt=0)
    """Duration of a training job in hours."""
    spot_saving: float = Field(0.65, ge=0, le=0.9)
    """Fraction of a training job's price that spot instances save. AWS promises up to 0.9."""
    prices: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Prices in US dollars per unit that override those of aws/prices.json, for example
    "hosting ml.c6i.large" = 0.09."""

    @property
    def lambda_s(self) -> float:
        """The duration of a request in Lambda in seconds."""
        return self.lambda_ms / 1000
