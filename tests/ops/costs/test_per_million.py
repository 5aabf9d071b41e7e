"""Tests of the price of a million predictions, with values computed by hand."""

from dataclasses import replace

import pytest

from ops.costs import capacity, per_million, report
from ops.costs.per_million import Offer
from tests.ops.costs.test_plan import plan

GB = 1 << 30
DATA_USD = (100 + 4) * 1024 * 1e6 / GB * 0.016
API_USD = (
    1e6 * (0.2e-6 + 3.5e-6)  # Lambda and API Gateway per request
    + 1e6 * 0.3 * 0.5 * 1.33334e-5  # 0.3 s with 512 MB
    + 4096e6 / GB * 0.09
    + 1e9 / GB * (0.5 + 0.03)  # logs, stored for a month
)


def offers(**changes: object) -> dict[str, Offer]:
    return {offer.name: offer for offer in per_million.offers(replace(plan(), **changes))}  # type: ignore[arg-type]


def test_instances_at_half_load() -> None:
    first = offers(measured_rates={"ml.c6i.large": 100})["ml.c6i.large (x86)"]
    assert first.images_per_s == 100
    assert first.basis == "given"
    # 180,000 predictions per hour, which costs $0.102
    assert first.compute_usd == pytest.approx(0.102 / 0.18)
    assert first.endpoint_usd == pytest.approx(0.102 / 0.18 + DATA_USD)
    assert first.usd == pytest.approx(0.102 / 0.18 + DATA_USD + API_USD)


def test_the_cheapest_types_of_both_architectures_are_shown_with_their_basis() -> None:
    names = offers(measured_rates={}, instance_types=["ml.g5.xlarge"])
    measured = capacity.of("ml.c6i.large").images_per_s
    assert list(names)[:3] == [
        "ml.g5.xlarge (x86)",
        "ml.c6i.large (x86)",
        "ml.c7g.large (Graviton)",
    ]
    assert names["ml.c6i.large (x86)"].images_per_s == measured
    assert names["ml.c6i.large (x86)"].basis.startswith("measured on AVX-512")
    assert names["ml.c7g.large (Graviton)"].basis.startswith("not measured on Graviton")


def test_labelling_services_have_their_list_price_and_its_date() -> None:
    names = offers()
    rekognition = names["Amazon Rekognition DetectLabels"]
    vision = names["Google Cloud Vision label detection"]
    assert (rekognition.usd, vision.usd) == (1000, 1500)
    assert rekognition.basis == vision.basis == "list price, 2026-09-23"
    assert rekognition.endpoint_usd is None


def test_serverless_is_cheaper_below_its_break_even() -> None:
    costs = plan().costs.model_copy(update={"serverless_ms": 20.0})
    estimate = replace(plan(), costs=costs, serverless_memory_mb=2048)
    limit = per_million.break_even(estimate)
    assert limit is not None
    # $0.00004 per second: $0.8 per million, and $74.46 per month for the instance
    assert limit.per_month == pytest.approx(74.46 / 0.8 * 1e6)
    assert limit.per_day == pytest.approx(limit.per_month * 12 / 365)
    assert (limit.ms, limit.memory_gb, limit.basis) == (20, 2, "serverless_ms in [costs]")
    serverless = {offer.name: offer for offer in per_million.offers(estimate)}["serverless, 2 GB"]
    assert serverless.compute_usd == pytest.approx(0.8)
    assert serverless.usd == pytest.approx(0.8 + DATA_USD + API_USD)


def test_the_time_on_serverless_is_the_measured_cpu_time_of_the_slowest_cpu() -> None:
    limit = per_million.break_even(plan())
    slowest = capacity.slowest()
    assert limit is not None
    assert slowest.cpu_ms_per_image <= limit.ms < slowest.cpu_ms_per_image + 1  # billed per ms
    assert limit.basis == f"CPU time on {slowest.title}"


def test_a_region_without_some_offers_says_so() -> None:
    table = plan().prices
    kept = {
        name: price
        for name, price in table.prices.items()
        if not name.startswith(("serverless", "labels amazon", "hosting ml.c7g"))
    }
    prices = table.model_copy(update={"prices": kept, "region": "xx-1"})
    estimate = replace(plan(), prices=prices, measured_rates={})
    names = {offer.name: offer for offer in per_million.offers(estimate)}
    assert list(names) == [
        "ml.c6i.large (x86)",
        "serverless, 3 GB",
        "Amazon Rekognition DetectLabels",
        "Google Cloud Vision label detection",
    ]
    for name in ("serverless, 3 GB", "Amazon Rekognition DetectLabels"):
        assert (names[name].usd, names[name].basis) == (None, "no price for xx-1")
    assert per_million.break_even(estimate) is None
    assert "no price for xx-1" in report.text(estimate)
