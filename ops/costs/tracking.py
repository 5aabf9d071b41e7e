"""Target tracking as Application Auto Scaling does it for a SageMaker variant, minute by minute.

What is known, and where from:
- The metric is invocations per minute and instance; a datapoint a minute, some time late.
- Out after 3 datapoints above the target, in after 15 below 90 % of it: the alarms that it makes.
  https://repost.aws/questions/QUf450Wsd9RROGGOIwaolN9w/sagemaker-autoscaling-delay
- The new number keeps the metric at the target, rounded up; a cooldown counts from the end of an
  activity, and scaling out ends the cooldown of scaling in.
  https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
What is assumed: while an endpoint is updating nothing else begins; and a cooldown is waited for
even where AWS would let a larger scale-out go before its end. Both make things look worse.
"""

import math
from collections import deque
from dataclasses import dataclass

from aws.settings import ScalingSettings

PERIOD_S = 60
OUT_PERIODS = 3
IN_PERIODS = 15
IN_THRESHOLD = 0.9


@dataclass(frozen=True, slots=True)
class Delays:
    """What passes before a decision has an effect, in seconds."""

    metric_s: float
    """From the end of a minute until its datapoint is seen."""
    start_s: float
    """From asking for an instance until it takes requests."""


class Tracker:
    """The number of instances of a variant, in service and starting."""

    def __init__(
        self, scaling: ScalingSettings, delays: Delays, instances: int | None = None
    ) -> None:
        self.scaling = scaling
        self.delays = delays
        self.in_service = instances or scaling.min_instances
        self.starting = 0
        self.asked_for = self.in_service
        """What the policy wanted last, whatever the limits allow."""
        self._ready_s = 0.0
        self._out_after_s = 0.0
        self._in_after_s = 0.0
        self._pending: deque[tuple[float, float, float]] = deque()
        self._seen: deque[tuple[float, float]] = deque(maxlen=IN_PERIODS)

    def minute(self, end_s: float, invocations: float) -> None:
        """Report the minute that ended at `end_s`: its invocations over all instances."""
        per_instance = invocations / self.in_service
        self._pending.append((end_s + self.delays.metric_s, per_instance, invocations))

    def advance(self, now_s: float) -> None:
        """Let happen what is due by `now_s`: instances get ready, alarms go off."""
        if self.starting and now_s >= self._ready_s:
            self.in_service += self.starting
            self.starting = 0
        while self._pending and self._pending[0][0] <= now_s:
            _, per_instance, invocations = self._pending.popleft()
            self._seen.append((per_instance, invocations))
            self._decide(now_s)

    def _decide(self, now_s: float) -> None:
        target = self.scaling.target_per_minute
        wanted = max(1, math.ceil(self._seen[-1][1] / target - 1e-9))
        recent = list(self._seen)[-OUT_PERIODS:]
        high = len(recent) == OUT_PERIODS and all(value > target for value, _ in recent)
        low = len(self._seen) == IN_PERIODS and all(
            value < IN_THRESHOLD * target for value, _ in self._seen
        )
        if high or low:
            self.asked_for = wanted
        allowed = min(max(wanted, self.scaling.min_instances), self.scaling.max_instances)
        if self.starting:
            return
        if high and allowed > self.in_service and now_s >= self._out_after_s:
            self.starting = allowed - self.in_service
            self._ready_s = now_s + self.delays.start_s
            self._out_after_s = self._ready_s + self.scaling.scale_out_cooldown_s
            self._in_after_s = 0.0
        elif low and allowed < self.in_service and now_s >= self._in_after_s:
            self.in_service = allowed
            self._in_after_s = now_s + self.scaling.scale_in_cooldown_s
