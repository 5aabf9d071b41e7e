"""What is made of the readings: columns, instances, cost, advice, drawings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from training.costs import front
from training.watch import advice, fleet, place, series, spending
from training.watch.drawing import bar, sparkline
from training.watch.fleet import Fleet
from training.watch.picture import Picture
from training.watch.readings import Column, Readings, Window
from training.watch.screen import Screen, columns_for

NOW = datetime(2026, 11, 21, 12, 0, 42, tzinfo=UTC)
IN_SERVICE = Fleet(
    name="whatbreed-prod",
    status="InService",
    instance_type="ml.c6i.large",
    instances=2,
    desired=2,
    created=NOW - timedelta(days=3),
    min_instances=1,
    max_instances=2,
    target_per_minute=60.0,
)


def picture(endpoint: Fleet | None = IN_SERVICE, **columns: list[Column]) -> Picture:
    """A picture of four minutes; a series that is not given was not measured."""
    names = place.read("prod")
    keys = series.catalogue(names)
    window = Window.until(NOW, 4, 60)
    found: dict[str, list[Column]] = {key: columns.get(key, [None] * 4) for key in keys}
    whole: dict[str, Column] = {}
    for key, values in found.items():
        known = [one for one in values if one is not None]
        combine = sum if keys[key].stat == "Sum" else max
        whole[key] = combine(known) if known else None
    before: dict[str, Column] = {"dog_mean": 0.9, "top_mean": 0.8}
    readings = Readings(window, found, whole, before)
    settings = front.read("prod")
    instances = fleet.over_time(readings, endpoint)
    spent = spending.of(readings, instances, endpoint, settings, spending.table())
    return Picture("prod", "us-east-1", names, settings, readings, endpoint, instances, spent)


def told(made: Picture) -> str:
    return " ".join(advice.sentences(made))


@pytest.mark.parametrize(
    ("minutes", "columns", "period_s", "count"),
    [
        (60, 60, 60, 60), (60, 59, 120, 30), (61, 60, 120, 31), (5, 60, 60, 5), (1, 15, 60, 1),
        (1440, 60, 1440, 60), (1440, 53, 1680, 51),
    ],
)  # fmt: skip
def test_a_window_is_whole_minutes(minutes: int, columns: int, period_s: int, count: int) -> None:
    window = Window.until(NOW, minutes, columns)
    assert (window.period_s, window.count) == (period_s, count)
    assert window.end == datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    assert count <= columns
    assert window.seconds <= 86_400
    assert window.column(window.start) == 0
    assert window.column(window.end - timedelta(seconds=1)) == count - 1


def test_instances_where_nobody_asked_are_those_of_the_minute_before() -> None:
    calls: list[Column] = [None, 6, None, 8]
    each: list[Column] = [None, 6, None, 4]
    assert picture(model_calls=calls, model_calls_each=each).instances == [1, 1, 1, 2]


def test_an_endpoint_that_nobody_asked_costs_all_the_same() -> None:
    made = picture()
    assert made.instances == [2, 2, 2, 2]
    [hosting] = [item for item in made.spending.items if item.name.startswith("hosting")]
    assert hosting.quantity == pytest.approx(2 * 4 / 60)
    assert hosting.usd == pytest.approx(2 * 4 / 60 * 0.102)


def test_an_endpoint_costs_nothing_before_it_was_created() -> None:
    young = replace(IN_SERVICE, created=NOW - timedelta(minutes=2))
    assert picture(young).instances == [None, None, 2, 2]


def test_a_serverless_endpoint_has_no_instances() -> None:
    made = picture(replace(IN_SERVICE, instance_type=None))
    assert made.instances == [None] * 4
    assert "serverless" in Screen().draw(made)


def test_an_instance_type_without_a_price_is_told() -> None:
    assert "no price" in Screen().draw(picture(replace(IN_SERVICE, instance_type="ml.x9.huge")))


ASKED: dict[str, list[Column]] = {
    "requests": [50, 50, 50, 50],
    "function_calls": [50, 50, 50, 50],
    "gateway_requests": [50, 50, 50, 50],
    "model_calls": [50, 50, 50, 50],
    "model_calls_each": [25, 25, 25, 25],
    "dog_mean": [0.9] * 4,
    "top_mean": [0.8] * 4,
}


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    assert advice.sentences(picture(**ASKED)) == []


@pytest.mark.parametrize(
    ("endpoint", "changes", "expected"),
    [
        (None, {}, "There is no endpoint whatbreed-prod in us-east-1"),
        (replace(IN_SERVICE, status="Failed"), {}, "The endpoint is Failed"),
        (replace(IN_SERVICE, desired=3), {}, "1 more instances are on their way"),
        (IN_SERVICE, dict.fromkeys(ASKED, [None] * 4), "Nobody asked in this time"),
        (
            IN_SERVICE,
            {"requests": [None] * 4},
            "The function ran but left no metrics: is there a log group /aws/lambda/whatbreed-prod",
        ),
        (
            IN_SERVICE,
            {"requests": [None] * 4, "function_calls": [None] * 4},
            "API Gateway refused every request",
        ),
        (IN_SERVICE, {"model_calls": [None] * 4}, "No request reached the model"),
        (IN_SERVICE, {"dog_mean": [None] * 4}, "no picture was answered"),
        (IN_SERVICE, {"function_throttles": [0, 3, 0, 0]}, "3 requests found no function free"),
        (IN_SERVICE, {"problem endpoint-busy": [9, 0, 0, 9]}, ""),
        (
            IN_SERVICE,
            {"problem endpoint-timeout": [9, 0, 0, 9]},
            "9% of the requests failed on our side",
        ),
        (IN_SERVICE, {"model_calls_each": [1, 61, 62, 63]}, "raise max_instances"),
        (IN_SERVICE, {"model_calls_each": [99, 61, 62, 2]}, ""),
        (IN_SERVICE, {"dog_mean": [0.8] * 4}, "The dog probability fell from 0.900"),
        (IN_SERVICE, {"top_mean": [0.9] * 4}, "The top-1 probability rose from 0.800"),
        (IN_SERVICE, {"dog_mean": [0.8] * 4, "model_calls": [1] * 4}, ""),  # chance
    ],
)
def test_advice(endpoint: Fleet | None, changes: dict[str, Any], expected: str) -> None:
    made = picture(endpoint, **{**ASKED, **changes})
    assert expected in told(made)
    assert bool(told(made)) == bool(expected)


def test_drawings() -> None:
    assert sparkline([None, 0, 1, 2, 4]) == " ▁▃▅█"
    assert sparkline([0, 0, None]) == "▁▁ "
    assert sparkline([0.5, 1.0, 2.0], top=1.0) == "▅██"
    assert sparkline([]) == ""
    assert bar(1, 1000, 10) == "█"
    assert bar(0, 1000, 10) == ""
    assert bar(500, 1000, 10) == "█" * 5
    assert [columns_for(width) for width in (20, 80, 113, 400)] == [15, 27, 60, 60]


@pytest.mark.parametrize("width", [80, 113])
@pytest.mark.parametrize("endpoint", [None, IN_SERVICE, replace(IN_SERVICE, instance_type=None)])
def test_every_line_fits(width: int, endpoint: Fleet | None) -> None:
    for columns in ({}, ASKED):
        drawn = Screen(width).draw(picture(endpoint, **columns))
        assert max(map(len, drawn.splitlines())) <= width
