"""The table of prices: tiers, overrides, and what is not one."""

import json
from pathlib import Path

import pytest

from aws import prices
from aws import settings as cloud_settings
from aws.prices import Price
from cli.errors import SettingsError


def test_each_tier_at_its_own_price() -> None:
    price = Price("GB", ((0, 0.09), (10, 0.08), (50, 0.05)))
    assert price.usd(0) == 0
    assert price.usd(10) == pytest.approx(0.9)
    assert price.usd(20) == pytest.approx(0.9 + 0.8)
    assert price.usd(100) == pytest.approx(0.9 + 3.2 + 2.5)


def test_the_table_of_the_repository_names_its_region_date_and_source() -> None:
    table = prices.read()
    assert table.region == "us-east-1"
    assert table.as_of.startswith("20")
    assert table.source
    # What AWS's own examples calculate with: 3.50 $ a million REST requests, 0.20 $ of Lambda's.
    assert table.usd("api gateway requests", 1e6) == pytest.approx(3.5)
    assert table.usd("lambda requests", 1e6) == pytest.approx(0.2)
    # Their larger example: 333 million at 3.50 and the next 667 at 2.80.
    assert table.usd("api gateway requests", 1e9) == pytest.approx(333 * 3.5 + 667 * 2.8)


def test_it_agrees_with_the_prices_that_jobs_shows() -> None:
    table = prices.read()
    for name, usd in cloud_settings.prices().items():
        for kind in ("hosting", "training"):
            if (price := table.table.get(f"{kind} {name}")) is not None:
                assert price.usd(1) == pytest.approx(usd), f"{kind} {name}"


def test_settings_go_before_the_table_and_are_named() -> None:
    table = prices.read(overrides={"hosting ml.c6i.large": 0.05, "hosting ml.x9.large": 1})
    assert table.usd("hosting ml.c6i.large", 10) == 0.5
    assert table.usd("hosting ml.x9.large", 10) == 10
    assert "overridden by settings: hosting ml.c6i.large, hosting ml.x9.large" in table.source
    with pytest.raises(SettingsError, match="not a price"):
        prices.read(overrides={"logs stored": -1})


def test_a_price_that_is_missing_says_how_to_give_it() -> None:
    with pytest.raises(SettingsError, match=r"\[costs.prices\]"):
        prices.read().usd("hosting ml.nothing.large", 1)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    table = prices.read()
    prices.write(table, tmp_path / "prices.json")
    assert prices.read(tmp_path / "prices.json") == table


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"region": "r", "as_of": "d", "source": "s", "prices": {"a": {"unit": "x"}}}',
        json.dumps(
            {
                "region": "r",
                "as_of": "d",
                "source": "s",
                "prices": {"a": {"unit": "x", "tiers": [[5, 1]]}},
            }
        ),
    ],
)
def test_what_is_no_table(content: str, tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text(content)
    with pytest.raises(SettingsError):
        prices.read(tmp_path / "prices.json")
