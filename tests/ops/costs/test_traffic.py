"""Tests of a day's traffic: mean, peak, interpolation, surges, invalid profiles."""

from pathlib import Path

import numpy as np
import pytest

from cli.errors import SettingsError
from ops.costs import traffic
from ops.costs.traffic import MINUTES_S


@pytest.mark.parametrize(("factor", "hour"), [(1, 0), (1.5, 3), (3, 20), (12, 23), (23.9, 12)])
def test_a_day_from_its_mean_and_peak(factor: float, hour: int) -> None:
    day = traffic.from_mean(5, factor, hour)
    assert sum(day.hours) / 24 == pytest.approx(5)
    assert day.peak() == pytest.approx(5 * factor, rel=1e-6)
    assert day.rates(np.array([hour * 3600.0])) == pytest.approx(day.peak(), rel=1e-6)
    assert day.rates(MINUTES_S).sum() * 60 == pytest.approx(5 * 86_400)


def test_rates_between_two_hours_are_interpolated() -> None:
    day = traffic.from_hours([10.0] + [20.0] * 22 + [40.0])
    assert day.rates(np.array([0.0, 1800, 23.5 * 3600])).tolist() == [10, 15, 25]


def test_a_surge_multiplies_the_rate() -> None:
    day = traffic.Traffic((10.0,) * 24, traffic.parse_surge("5@12:00+10"))
    rates = day.rates(np.array([43_199.0, 43_200, 43_799, 43_800]))
    assert rates.tolist() == [10, 50, 50, 10]
    assert day.peak() == 50


@pytest.mark.parametrize("text", ["5", "5@25", "x@12:00+1", ".@12:00+1", "5@23:55+10", "2@99:00+1"])
def test_an_invalid_surge_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--surge"):
        traffic.parse_surge(text)


def test_a_profile_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("hour,rate\n" + "".join(f"{h},{h + 1}\n" for h in range(24)))
    assert traffic.read_profile(file).hours == tuple(float(h + 1) for h in range(24))


@pytest.mark.parametrize("content", ["1\n2\n", "-1\n" * 24, "0\n" * 24, "1\n" * 23 + "x\n", ""])
def test_an_invalid_profile_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(content)
    with pytest.raises(SettingsError):
        traffic.read_profile(file)
