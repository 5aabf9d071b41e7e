"""The table [loadtest] of settings.toml."""

from typing import Literal

from pydantic import Field

from cli.settings import Section


class LoadTestSettings(Section):
    """The table [loadtest]: how a load test proceeds, and what it accepts."""

    TABLE = "loadtest"

    p99_ms: float = Field(250.0, gt=0)
    """Highest acceptable p99 latency in milliseconds, measured from when a request was due."""
    start_rate: float = Field(5.0, gt=0)
    """Requests per second of the first step."""
    growth: float = Field(1.5, gt=1)
    """Factor between the rates of two steps."""
    max_rate: float = Field(2000.0, gt=0)
    """Highest rate to try in requests per second."""
    refinements: int = Field(3, ge=0)
    """Bisections between the last rate that passed and the first that failed."""
    step_s: float = Field(20.0, gt=0)
    """Measured seconds per step. p99 needs a few hundred requests."""
    settle_s: float = Field(2.0, ge=0)
    """Seconds before each step at its rate that are not measured."""
    warm_up_s: float = Field(5.0, ge=0)
    """Seconds at the first rate before the first step."""
    arrivals: Literal["poisson", "even"] = "poisson"
    """Arrival times: poisson as from many clients, or even."""
    connections: int = Field(128, ge=1)
    """Connections, each with a thread: the maximum number of requests in flight."""
    timeout_s: float = Field(5.0, gt=0)
    """Seconds after which a request has failed, and the delay at which a step is aborted."""
    max_requests: int = Field(100000, ge=1)
    """Stop before more requests than this are sent."""
    max_seconds: float = Field(900.0, gt=0)
    """Stop before the test takes longer than this."""
    safety: float = Field(0.5, gt=0, le=1)
    """Fraction of the measured rate to scale at, so that there is room while instances start."""
    seed: int = 0
    """Seed of the arrival times."""

    def target_per_minute(self, rate: float) -> float:
        """Return the scaling target for an instance that takes `rate` requests per second.

        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-scaling-loadtest.html
        """
        return rate * self.safety * 60
