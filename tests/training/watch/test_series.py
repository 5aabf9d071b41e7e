"""One list of metrics: what the API writes, what `watch` reads and what the dashboard draws."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib import problems
from tests.servers import ROOT
from tests.training.watch import cloudwatch
from training.watch import place, series
from training.watch.series import Series

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOT_WATCHED = {"image_bytes"}
"""For the log alone."""

# What the pages linked in training/watch/series.py list, and with which dimensions.
OF_AWS = {
    ("AWS/ApiGateway", ("ApiName", "Stage")): {"Count", "4XXError", "5XXError", "Latency"},
    ("AWS/Lambda", ("FunctionName",)): {
        "Invocations", "Duration", "Errors", "Throttles", "ConcurrentExecutions",
    },
    ("AWS/Lambda", ("FunctionName", "Resource")): {
        "ProvisionedConcurrentExecutions", "ProvisionedConcurrencyInvocations",
        "ProvisionedConcurrencySpilloverInvocations",
    },
    ("AWS/SageMaker", ("EndpointName", "VariantName")): {
        "Invocations", "InvocationsPerInstance", "Invocation4XXErrors", "Invocation5XXErrors",
        "ModelLatency",
    },
}  # fmt: skip


@pytest.fixture
def catalogue() -> dict[str, Series]:
    """The series of stage prod."""
    return series.catalogue(place.read("prod"))


def types() -> set[str]:
    """The types of the problems that a whole request can end with."""

    def below(kind: type[problems.Problem]) -> Iterator[type[problems.Problem]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    return {kind.type for kind in below(problems.Problem)} - {problems.BatchTimeout.type}


def written() -> dict[tuple[Any, ...], str]:
    """Every metric that the API's own code writes: (namespace, name, dimensions): unit."""
    answers: list[dict[str, Any]] = [
        {"answer": cloudwatch.prediction(84.1, 9.7, 0.99, 0.93)},
        {"answer": {"results": [{"type": "not-an-image"}]}},
        *({"problem": kind, "cause": "", "status": 500} for kind in types()),
    ]
    found = {}
    for answer in answers:
        text = cloudwatch.line(NOW, duration_ms=95.0, **answer)
        for namespace, datum in cloudwatch.extract(text):
            dimensions = tuple((one["Name"], one["Value"]) for one in datum["Dimensions"])
            found[namespace, datum["MetricName"], dimensions] = datum["Unit"]
    return found


def test_what_is_watched_of_the_api_is_what_it_writes(catalogue: dict[str, Series]) -> None:
    own = {
        (one.namespace, one.metric, one.dimensions)
        for one in catalogue.values()
        if not one.namespace.startswith("AWS/")
    }
    assert own == {one for one in written() if one[1] not in NOT_WATCHED}


def test_the_units_are_those_that_the_screen_prints(catalogue: dict[str, Series]) -> None:
    units = written()
    for key in ("total", "fetch", "inference"):
        one = catalogue[f"{key}_p99"]
        assert units[one.namespace, one.metric, one.dimensions] == "Milliseconds"
    one = catalogue["dog_mean"]
    assert units[one.namespace, one.metric, one.dimensions] == "None"


def test_every_problem_has_a_series_and_no_other() -> None:
    assert len(series.PROBLEMS) == len(set(series.PROBLEMS))
    assert set(series.PROBLEMS) == types()


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_what_is_watched_of_aws_is_what_aws_documents(stage: str) -> None:
    for one in series.catalogue(place.read(stage)).values():
        if one.namespace != series.OWN:
            names = tuple(name for name, _ in one.dimensions)
            assert one.metric in OF_AWS[one.namespace, names], one


def drawn() -> list[tuple[str, str, tuple[tuple[str, str], ...], str]]:
    """What the dashboard of prod draws, with its references resolved."""
    resources = json.loads((ROOT / ".chalice" / "resources-prod.json").read_text())["Resources"]
    separator, parts = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Join"]
    text = separator.join(part if isinstance(part, str) else part["Fn::Sub"] for part in parts)
    function = resources["APIHandler"]["Properties"]["FunctionName"]
    found = []
    for widget in json.loads(text.replace("${APIHandler}", function))["widgets"]:
        assert widget["properties"]["period"] == 60
        rows = widget["properties"]["metrics"]
        identifiers = {row[-1]["id"] for row in rows if "id" in row[-1]}
        for row in rows:
            if "expression" in row[0]:
                assert set(row[0]["expression"].split(" / ")) < identifiers
                continue
            namespace, metric, *rest, options = row
            dimensions = tuple(zip(rest[::2], rest[1::2], strict=True))
            found.append((namespace, metric, dimensions, options["stat"]))
    return found


def test_the_dashboard_draws_what_is_watched(catalogue: dict[str, Series]) -> None:
    watched = [(one.namespace, one.metric, one.dimensions, one.stat) for one in catalogue.values()]
    assert len(watched) == len(set(watched))
    assert sorted(drawn()) == sorted(watched)
    assert len(watched) <= 50  # above that a dashboard is not among the free ones


def test_the_queries_of_the_log_that_the_guide_shows_find_their_fields() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text().partition("## Logs")[2]
    shown = guide.partition("fields @timestamp,")[2].partition("\n")[0]
    text = cloudwatch.line(
        NOW, duration_ms=1.0, problem="internal-error", cause="…",
        answer=cloudwatch.prediction(84.1, 9.7, 0.99, 0.93),
    )  # fmt: skip
    assert {name.strip() for name in shown.split(",")} <= set(json.loads(text))


def test_a_stage_without_a_stack_is_named_as_chalice_names_it() -> None:
    found = place.read("dev")
    assert (found.api, found.stage, found.function, found.alias) == (
        "whatbreed", "dev", "whatbreed-dev", "",
    )  # fmt: skip
    prod = place.read("prod")
    assert (prod.api, prod.alias) == ("whatbreed-prod", "whatbreed-prod:live")
