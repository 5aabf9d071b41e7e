"""Tests of target tracking, minute by minute: when it scales, by how much, and its limits."""

import pytest

from aws.settings import ScalingSettings
from ops.costs.settings import CostsSettings
from ops.costs.target_tracking import TargetTracker

SCALING = ScalingSettings(
    min_instances=1,
    max_instances=4,
    target_per_minute=600.0,
    scale_in_cooldown_s=300,
    scale_out_cooldown_s=60,
)
COSTS = CostsSettings(metric_delay_s=60, instance_start_s=300)


def play(tracker: TargetTracker, invocations: list[float]) -> list[tuple[int, int]]:
    """Return the instances in service and starting at the beginning of each minute."""
    counts = list[tuple[int, int]]()
    for minute, count in enumerate(invocations):
        tracker.advance(minute * 60)
        counts.append((tracker.in_service, tracker.starting))
        tracker.report_minute(minute * 60 + 60, count)
    return counts


def test_it_scales_out_after_three_minutes_above_the_target() -> None:
    # Minutes 0, 1, 2 end at 60, 120, 180 s, and the third is visible at 240 s = minute 4.
    # 1700 per minute need 3 instances. Two more serve 300 s later, in minute 9.
    counts = play(TargetTracker(SCALING, COSTS), [1700] * 12)
    assert counts == [(1, 0)] * 4 + [(1, 2)] * 5 + [(3, 0)] * 3


def test_two_minutes_are_not_enough() -> None:
    assert set(play(TargetTracker(SCALING, COSTS), [1700, 1700, 100] * 5)) == {(1, 0)}


def test_a_metric_at_the_target_does_not_scale_out() -> None:
    assert set(play(TargetTracker(SCALING, COSTS), [600] * 20)) == {(1, 0)}


def test_it_scales_in_after_fifteen_minutes_below_90_percent() -> None:
    tracker = TargetTracker(SCALING, COSTS, instances=4)
    # 0.89 x 600 x 4 is below 90 % of the target, but still needs 4 instances.
    assert set(play(tracker, [2136] * 20)) == {(4, 0)}
    tracker = TargetTracker(SCALING, COSTS, instances=4)
    counts = play(tracker, [1200] * 40)
    # Minute 14 ends at 900 s and is visible at 960 s = minute 16. 2 instances take 1200.
    assert counts[15] == (4, 0)
    assert counts[16] == (2, 0)
    assert counts[39] == (2, 0)


def test_a_minute_at_90_percent_restarts_the_fifteen_minutes() -> None:
    tracker = TargetTracker(SCALING, COSTS, instances=2)
    counts = play(tracker, [100.0] * 10 + [1080.0] + [100.0] * 20)
    # The last minute of fifteen is 25, visible at 27 x 60 s.
    assert counts[26] == (2, 0)
    assert counts[27] == (1, 0)


def test_scaling_in_has_a_cooldown() -> None:
    tracker = TargetTracker(SCALING, COSTS, instances=4)
    counts = play(tracker, [1200.0] * 16 + [100.0] * 24)
    first = counts.index((2, 0))
    second = counts.index((1, 0))
    assert (first, second) == (16, 21)  # 300 s later


def test_limits_apply_and_the_desired_count_is_kept() -> None:
    tracker = TargetTracker(SCALING, COSTS)
    counts = play(tracker, [6000.0] * 20)
    assert counts[-1] == (4, 0)
    assert tracker.desired == 10


def test_it_does_not_scale_while_instances_start_or_during_the_cooldown() -> None:
    slow = SCALING.model_copy(update={"scale_out_cooldown_s": 180, "max_instances": 10})
    tracker = TargetTracker(slow, COSTS)
    counts = play(tracker, [1100.0] * 5 + [4000.0] * 20)
    # 2 are desired in minute 4 and serve in minute 9. 7 are desired, but not before 540 + 180 s.
    assert counts[8] == (1, 1)
    assert counts[9:12] == [(2, 0)] * 3
    assert counts[12] == (2, 5)
    assert counts[17] == (7, 0)


@pytest.mark.parametrize(("target", "instances"), [(10, 90), (40, 23), (100, 9), (3000, 1)])
def test_instances_by_target_at_15_requests_per_second(target: float, instances: int) -> None:
    scaling = SCALING.model_copy(update={"target_per_minute": target, "max_instances": 1000})
    tracker = TargetTracker(scaling, COSTS)
    assert play(tracker, [900.0] * 30)[-1] == (instances, 0)
