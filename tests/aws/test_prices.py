"""Tests of the table of prices: tiers, overrides and invalid files."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from aws import prices
from aws.prices import Price
from aws.settings import Ec2Settings, FitSettings, ServingSettings
from cli.errors import SettingsError
from cli.settings import Section


def test_each_tier_has_its_own_rate() -> None:
    price = Price(unit="GB", tiers=((0, 0.09), (10, 0.08), (50, 0.05)))
    assert price.usd(0) == 0
    assert price.usd(10) == pytest.approx(0.9)
    assert price.usd(20) == pytest.approx(0.9 + 0.8)
    assert price.usd(100) == pytest.approx(0.9 + 3.2 + 2.5)


def test_the_shipped_table_has_a_region_a_date_and_a_source() -> None:
    table = prices.read()
    assert table.region == "us-east-1"
    assert table.as_of.startswith("20")
    assert table.source
    # AWS's own examples: $3.50 per million REST requests, $0.20 per million Lambda requests.
    assert table.usd("api gateway requests", 1e6) == pytest.approx(3.5)
    assert table.usd("lambda requests", 1e6) == pytest.approx(0.2)
    # Their larger example: 333 million at $3.50 and the next 667 at $2.80.
    assert table.usd("api gateway requests", 1e9) == pytest.approx(333 * 3.5 + 667 * 2.8)


def test_overrides_replace_prices_and_are_named_in_the_source() -> None:
    table = prices.read().override({"hosting ml.c6i.large": 0.05, "hosting ml.x9.large": 1})
    assert table.usd("hosting ml.c6i.large", 10) == 0.5
    assert table.usd("hosting ml.x9.large", 10) == 10
    assert "overridden by settings: hosting ml.c6i.large, hosting ml.x9.large" in table.source
    with pytest.raises(SettingsError, match='"logs stored" is -1: it must be 0 or more'):
        prices.read().override({"logs stored": -1})


def test_a_missing_price_names_the_ways_to_give_one() -> None:
    with pytest.raises(SettingsError, match=r"\[costs.prices\]"):
        prices.read().usd("hosting ml.nothing.large", 1)


def test_a_written_table_reads_back_equal(tmp_path: Path) -> None:
    table = prices.read()
    prices.write(table, tmp_path / "prices.json")
    assert prices.read(tmp_path / "prices.json") == table
    lines = (tmp_path / "prices.json").read_text().splitlines()
    assert '    "hosting data in": {"unit": "GB", "tiers": [[0.0, 0.016]]},' in lines


def table_with(price: object) -> str:
    return json.dumps({"region": "r", "as_of": "d", "source": "s", "prices": {"a": price}})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "Invalid JSON"),
        ("[]", "not a table of prices"),
        ("{}", "region Field required"),
        (table_with({"unit": "x"}), "prices.a.tiers Field required"),
        (table_with({"unit": "x", "tiers": []}), "ascend from 0"),
        (table_with({"unit": "x", "tiers": [[5, 1]]}), "ascend from 0"),
    ],
)
def test_an_invalid_table_is_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(content)
    with pytest.raises(SettingsError, match=reason):
        prices.read(tmp_path / "prices.json")


ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("aws", "cli", "model_code", "ops", "training")
INSTANCE_TYPE = re.compile(
    r"(?<![\w.-])(ml\.)?[a-z]+\d[a-z]*\.(?:nano|micro|small|medium|large|\d*xlarge|metal)\b"
)
UNPRICED: dict[str, str] = {}
"""Instance types that a page may name without a price, and the reason that the page states."""


def pages() -> Iterator[Path]:
    yield from (ROOT / "settings.toml", *ROOT.glob("*.md"))
    for folder, pattern in (("docs", "*.md"), ("docs", "*.ipynb"), ("model_code", "*.md")):
        yield from (ROOT / folder).rglob(pattern)
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def test_every_instance_type_that_a_page_names_has_a_price() -> None:
    table = prices.read().prices
    named = {
        match[0]: page
        for page in pages()
        for match in INSTANCE_TYPE.finditer(page.read_text(encoding="utf-8"))
    }
    assert {"ml.c6i.large", "ml.g5.xlarge", "g5.xlarge", "ml.c7g.large"} <= named.keys()
    for name, page in named.items():
        kinds = ("hosting", "training") if name.startswith("ml.") else ("ec2",)
        priced = any(f"{kind} {name}" in table for kind in kinds)
        assert priced or name in UNPRICED, f"{page} names {name}, which has no price"


@pytest.mark.parametrize(
    "name",
    [
        *(f"ec2 {name}" for name in ("m5.2xlarge", "m5.4xlarge", "t2.xlarge", "g4dn.xlarge")),
        *(f"training ml.m5.{size}" for size in ("large", "xlarge", "2xlarge")),
        *(f"hosting ml.m5.{size}" for size in ("large", "xlarge", "2xlarge")),
    ],
)
def test_instance_types_that_teams_compare_have_a_price(name: str) -> None:
    assert prices.read().usd(name, 1) > 0


def test_every_memory_of_a_serverless_endpoint_has_a_price() -> None:
    field = ServingSettings.model_fields["serverless_memory_mb"]
    for memory_mb in get_args(field.annotation):
        assert prices.read().usd(f"serverless {memory_mb // 1024} GB", 1) > 0


def test_every_price_has_a_date_and_a_source() -> None:
    table = prices.read()
    for name in table.prices:
        dated = table.dated(name)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", dated.as_of), name
        assert len(dated.source) > 20, name
    vision = table.dated("labels google cloud vision")
    assert (vision.as_of, "cloud.google.com/vision/pricing" in vision.source) == (
        "2026-09-23",
        True,
    )


def test_default_instance_types_have_a_price() -> None:
    defaults: dict[str, type[Section]] = {
        "training": FitSettings,
        "hosting": ServingSettings,
        "ec2": Ec2Settings,
    }
    for kind, section in defaults.items():
        instance_type = section.model_fields["instance_type"].default
        assert prices.instance_usd_per_hour(kind, instance_type), f"{kind} {instance_type}"


def test_the_price_of_an_instance() -> None:
    assert prices.instance_usd_per_hour("training", "ml.g5.xlarge") == 1.408
    assert prices.instance_usd_per_hour("hosting", "ml.nothing.large") is None
    assert 'aws/prices.json has no "ec2 x9.large"' in prices.unknown("ec2", "x9.large")


def test_training_and_hosting_cost_the_same() -> None:
    """SageMaker has one price per instance type for both."""
    table = prices.read().prices
    for name, price in table.items():
        kind, _, instance_type = name.partition(" ")
        other = table.get(f"training {instance_type}")
        if kind == "hosting" and other is not None:
            assert price == other, instance_type
