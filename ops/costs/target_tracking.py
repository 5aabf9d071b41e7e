"""Target tracking as Application Auto Scaling does it for a SageMaker variant, minute by minute.

Known, with sources:
- The metric is invocations per minute and instance, with one datapoint per minute.
- It scales out after 3 datapoints above the target, in after 15 below 90 % of it.
  https://repost.aws/questions/QUf450Wsd9RROGGOIwaolN9w/sagemaker-autoscaling-delay
- The new count brings the metric back to the target, rounded up. A cooldown starts at the end of an
  activity, and scaling out ends the cooldown of scaling in.
  https://docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html
Assumed, both pessimistic: an endpoint that is updating starts no other update, and a scale-out
always waits for the end of the cooldown.
"""

import math
from collections import deque

from aws.settings import ScalingSettings
from ops.costs.settings import CostsSettings

PERIOD_S = 60
SCALE_OUT_PERIODS = 3
SCALE_IN_PERIODS = 15
SCALE_IN_THRESHOLD = 0.9


class TargetTracker:
    """The number of instances of a variant, in service and starting."""

    def __init__(
        self, scaling: ScalingSettings, costs: CostsSettings, instances: int | None = None
    ) -> None:
        self.scaling = scaling
        self.in_service = instances or scaling.min_instances
        self.starting = 0
        self.desired = self.in_service
        """The latest count that the policy computed, before the limits."""
        self._metric_delay_s = costs.metric_delay_s
        self._start_s = costs.instance_start_s
        self._ready_s = 0.0
        self._scale_out_from_s = 0.0
        self._scale_in_from_s = 0.0
        self._unseen: deque[tuple[float, float, float]] = deque()
        self._seen: deque[float] = deque(maxlen=SCALE_IN_PERIODS)

    def report_minute(self, end_s: float, invocations: float) -> None:
        """Report the invocations of all instances in the minute that ended at `end_s`."""
        per_instance = invocations / self.in_service
        self._unseen.append((end_s + self._metric_delay_s, per_instance, invocations))

    def advance(self, now_s: float) -> None:
        """Apply what is due by `now_s`: started instances and visible datapoints."""
        if self.starting and now_s >= self._ready_s:
            self.in_service += self.starting
            self.starting = 0
        while self._unseen and self._unseen[0][0] <= now_s:
            _, per_instance, invocations = self._unseen.popleft()
            self._seen.append(per_instance)
            self._scale(now_s, invocations)

    def _scale(self, now_s: float, invocations: float) -> None:
        scaling, target = self.scaling, self.scaling.target_per_minute
        latest = list(self._seen)[-SCALE_OUT_PERIODS:]
        high = len(latest) == SCALE_OUT_PERIODS and min(latest) > target
        low = len(self._seen) == SCALE_IN_PERIODS and max(self._seen) < SCALE_IN_THRESHOLD * target
        # without the small term, rounding errors would add an instance
        desired = max(1, math.ceil(invocations / target - 1e-9))
        if high or low:
            self.desired = desired
        allowed = min(max(desired, scaling.min_instances), scaling.max_instances)
        if self.starting:
            return
        if high and allowed > self.in_service and now_s >= self._scale_out_from_s:
            self.starting = allowed - self.in_service
            self._ready_s = now_s + self._start_s
            self._scale_out_from_s = self._ready_s + scaling.scale_out_cooldown_s
            self._scale_in_from_s = 0.0
        elif low and allowed < self.in_service and now_s >= self._scale_in_from_s:
            self.in_service = allowed
            self._scale_in_from_s = now_s + scaling.scale_in_cooldown_s
