"""Target tracking, minute by minute: when it acts, by how much, and what holds it back."""

import dataclasses

import pytest

from aws.settings import ScalingSettings
from ops.costs.tracking import Delays, Tracker

SCALING = ScalingSettings(
    min_instances=1,
    max_instances=4,
    target_per_minute=600.0,
    scale_in_cooldown_s=300,
    scale_out_cooldown_s=60,
    schedules=[],
)
DELAYS = Delays(metric_s=60, start_s=300)


def play(
    tracker: Tracker, invocations: list[float], start_minute: int = 0
) -> list[tuple[int, int]]:
    """In service and starting, at the beginning of each minute."""
    found = list[tuple[int, int]]()
    for minute, count in enumerate(invocations):
        tracker.advance(minute * 60)
        found.append((tracker.in_service, tracker.starting))
        tracker.minute(minute * 60 + 60, count)
    return found


def test_out_after_three_minutes_above_the_target_a_delay_and_the_start() -> None:
    # Minutes 0, 1, 2 end at 60, 120, 180 s; the third is seen at 240 s = minute 4;
    # 1700 a minute need 3 instances; two more are there 300 s later, in minute 9.
    found = play(Tracker(SCALING, DELAYS), [1700] * 12)
    assert found == [(1, 0)] * 4 + [(1, 2)] * 5 + [(3, 0)] * 3


def test_two_minutes_are_not_enough() -> None:
    assert set(play(Tracker(SCALING, DELAYS), [1700, 1700, 100] * 5)) == {(1, 0)}


def test_the_target_itself_is_not_above_it() -> None:
    assert set(play(Tracker(SCALING, DELAYS), [600] * 20)) == {(1, 0)}


def test_in_after_fifteen_minutes_below_nine_tenths_and_slowly() -> None:
    tracker = Tracker(SCALING, DELAYS, instances=4)
    # 0.89 x 600 x 4 is below 90 % of the target, but still needs 4 instances.
    assert set(play(tracker, [2136] * 20)) == {(4, 0)}
    tracker = Tracker(SCALING, DELAYS, instances=4)
    found = play(tracker, [1200] * 40)
    # Minute 14 ends at 900 s and is seen at 960 s = minute 16: 2 instances hold 1200.
    assert found[15] == (4, 0)
    assert found[16] == (2, 0)
    assert found[39] == (2, 0)


def test_a_minute_at_nine_tenths_starts_the_fifteen_again() -> None:
    tracker = Tracker(SCALING, DELAYS, instances=2)
    found = play(tracker, [100.0] * 10 + [1080.0] + [100.0] * 20)
    # The last minute of fifteen is 25, seen at 27 x 60 s.
    assert found[26] == (2, 0)
    assert found[27] == (1, 0)


def test_the_cooldown_of_scaling_in() -> None:
    tracker = Tracker(SCALING, DELAYS, instances=4)
    found = play(tracker, [1200.0] * 16 + [100.0] * 24)
    first = found.index((2, 0))
    then = found.index((1, 0))
    assert (first, then) == (16, 21)  # 300 s later


def test_limits_hold_and_what_was_wanted_is_remembered() -> None:
    tracker = Tracker(SCALING, DELAYS)
    found = play(tracker, [6000.0] * 20)
    assert found[-1] == (4, 0)
    assert tracker.asked_for == 10


def test_nothing_begins_while_instances_start_nor_in_the_cooldown() -> None:
    slow = dataclasses.replace(SCALING, scale_out_cooldown_s=180, max_instances=10)
    tracker = Tracker(slow, DELAYS)
    found = play(tracker, [1100.0] * 5 + [4000.0] * 20)
    # 2 are wanted in minute 4 and there in minute 9; 7 are wanted, but not before 540 + 180 s.
    assert found[8] == (1, 1)
    assert found[9:12] == [(2, 0)] * 3
    assert found[12] == (2, 5)
    assert found[17] == (7, 0)


@pytest.mark.parametrize(("target", "instances"), [(10, 90), (40, 23), (100, 9), (3000, 1)])
def test_what_a_target_asks_for_at_15_requests_a_second(target: float, instances: int) -> None:
    scaling = dataclasses.replace(SCALING, target_per_minute=target, max_instances=1000)
    tracker = Tracker(scaling, DELAYS)
    assert play(tracker, [900.0] * 30)[-1] == (instances, 0)
