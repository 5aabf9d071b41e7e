"""Tests of the named bottleneck, on steps with known failures and times."""

import json
from dataclasses import replace

import pytest

from aws import stages
from chalicelib import problems
from ops.api.gateway_responses import RESPONSES
from ops.loadtest import bottleneck
from ops.loadtest.api import problem_type
from ops.loadtest.bottleneck import StageTimes
from ops.loadtest.generator import Call, Recording
from ops.loadtest.search import Search
from ops.loadtest.settings import LoadTestSettings
from ops.loadtest.step import Step, summarize

FAST = {bottleneck.ENDPOINT: 8.0, bottleneck.PHOTOS: 3.0, bottleneck.CONCURRENCY: 2.0}


def step(rate: float, p99_ms: float = 20, **errors: int) -> Step:
    """A step of 100 requests. The names of `errors` have _ for a space and __ for a hyphen."""
    kinds = {name.replace("__", "-").replace("_", " "): number for name, number in errors.items()}
    calls = [
        Call(0, 0.001, p99_ms / 1000, kind, connections_busy=False)
        for kind, number in kinds.items()
        for _ in range(number)
    ]
    calls += [Call(0, 0.001, p99_ms / 1000, None, connections_busy=False)] * (100 - len(calls))
    return summarize(rate, Recording(calls), settle_s=0, p99_ms=250)


def find(last: Step, slow: dict[str, float] = FAST, is_local: bool = False) -> tuple[str, str]:
    search = Search([step(5), last], "the limit is between two measured rates")
    result = bottleneck.find(search, [FAST, slow], is_local)
    return result.part, result.sentence


@pytest.mark.parametrize(
    ("errors", "part", "words"),
    [
        ({"HTTP_429_too__many__requests": 9}, "API Gateway rate limit", "Raise the throttling"),
        ({"HTTP_429": 9}, "API Gateway rate limit", "it refused 9 of 100 (HTTP 429)"),
        ({"HTTP_429_quota__exceeded": 9}, "quota of the API key", "another key"),
        ({"HTTP_429_endpoint__busy": 9}, "endpoint", "ops endpoint scale"),
        ({"HTTP_503_endpoint__unavailable": 9}, "endpoint", "the endpoint"),
        ({"HTTP_504_endpoint__timeout": 9}, "endpoint", "the endpoint"),
        ({"HTTP_500_internal__error": 9}, "API concurrency", "Raise reserved_concurrency"),
        ({"HTTP_504": 9}, "API concurrency", "the API's concurrency"),
        ({"HTTP_424_image__unreachable": 9}, "photos", "the host of the photos"),
        # the most frequent cause counts, over all of its kinds
        (
            {"HTTP_429_endpoint__busy": 5, "HTTP_504_endpoint__timeout": 5, "HTTP_500": 9},
            "endpoint",
            "it refused 10 of 100 (HTTP 429 endpoint-busy, HTTP 504 endpoint-timeout)",
        ),
    ],
)
def test_refusals_name_the_bottleneck(errors: dict[str, int], part: str, words: str) -> None:
    found, sentence = find(step(40, **errors))
    assert found == part
    assert words in sentence
    assert "at 40 requests per second" in sentence


@pytest.mark.parametrize("part", FAST)
def test_without_refusals_the_part_that_grew_most_is_the_bottleneck(part: str) -> None:
    found, sentence = find(step(40, p99_ms=900), {**FAST, part: FAST[part] + 700})
    assert found == part
    assert f"{FAST[part] + 700:.0f} ms, {FAST[part]:.0f} ms at 5" in sentence


def test_timeouts_are_explained_by_times() -> None:
    slow = {**FAST, bottleneck.ENDPOINT: 4000.0}
    assert find(step(40, TimeoutError=3), slow)[0] == "endpoint"


def test_nothing_is_claimed_without_a_failure_or_with_a_slow_generator() -> None:
    found, sentence = find(step(40))
    assert found == ""
    assert sentence.startswith("No bottleneck was found: the limit is between")
    slow = replace(step(40, p99_ms=900), generator_limited=True)
    found, sentence = find(slow)
    assert found == ""
    assert sentence.endswith(
        "the load generator was too slow. Run it on a machine with faster cores."
    )


def test_locally_a_slow_generator_shows_that_the_machine_is_busy() -> None:
    slow = replace(step(40, p99_ms=900), generator_limited=True)
    found, sentence = find(slow, is_local=True)
    assert found == "this machine"
    assert sentence.startswith("The bottleneck is this machine: at 40 requests per second")
    refused = replace(step(40, HTTP_429_endpoint__busy=9), generator_limited=True)
    found, sentence = find(refused, is_local=True)
    assert found == "endpoint"
    assert sentence.endswith("The load generator was too slow, too.")


def test_locally_no_advice_for_aws_is_given() -> None:
    sentence = find(step(40, HTTP_429_endpoint__busy=9), is_local=True)[1]
    assert sentence.endswith("(HTTP 429 endpoint-busy).")


def test_times_are_read_from_responses() -> None:
    times = StageTimes()
    body = {"timing_ms": {"fetch": 3.0, "inference": 8.0, "total": 12.0}}
    for content in (json.dumps(body).encode(), None, b"", b"[]", b'{"timing_ms": null}'):
        times.add(content)
    medians = times.medians(step(5, p99_ms=20))
    assert medians == {"endpoint": 8, "photos": 3, "API concurrency": pytest.approx(9)}
    assert StageTimes().medians(step(5)) == {}


def test_every_problem_that_blames_the_endpoint_or_a_photo_has_a_cause() -> None:
    kinds = {
        f"HTTP {problem.status} {problem.type}"
        for problem in problems.Problem.__subclasses__()
        if problem.type.startswith("endpoint-") or problem.type == "image-unreachable"
    }
    assert len(kinds) >= 5
    assert kinds <= bottleneck.CAUSES.keys()


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("THROTTLED", bottleneck.GATEWAY),
        ("QUOTA_EXCEEDED", bottleneck.QUOTA),
        ("INTEGRATION_FAILURE", bottleneck.CONCURRENCY),  # a throttled function
    ],
)
def test_the_gateways_own_responses_have_a_cause(name: str, cause: str) -> None:
    response = (stages.properties("prod", "RestAPI")["GatewayResponses"] | RESPONSES)[name]
    template = response["ResponseTemplates"]["application/json"]
    kind = f"HTTP {response['StatusCode']} {problem_type(template.encode())}"
    assert bottleneck.CAUSES[kind] == cause


def test_the_report_counts_refusals_of_all_steps() -> None:
    search = Search([step(5), step(10), step(40, HTTP_429_endpoint__busy=9, TimeoutError=1)])
    report = bottleneck.report(search, [FAST] * 3, LoadTestSettings(), is_local=True)
    assert report["refusals"] == [
        {"kind": "HTTP 429 endpoint-busy", "count": 9, "cause": "endpoint"},
        {"kind": "TimeoutError", "count": 1, "cause": ""},
    ]
    assert report["steps"][0]["median_ms"] == FAST
    text = bottleneck.text(report)
    assert "10.0 requests per second pass" in text
    assert "p50 20, p95 20, p99 20 ms" in text
    # 10 per second for 20 ms each
    assert (
        "A request spent 8 ms in the endpoint, 3 ms fetching the photo and 2 ms in the rest of the "
        "API (medians). About 0.2 were in it at a time."
    ) in text
    assert "9 HTTP 429 endpoint-busy (endpoint)" in text
    assert "chalice local is one Python process" in text
