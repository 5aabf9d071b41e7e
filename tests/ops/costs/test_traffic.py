"""Days of traffic: their mean, their peak, the lines between the hours, surges."""

from pathlib import Path

import pytest

from cli.errors import SettingsError
from ops.costs import traffic

DAY = range(0, 86_400, 60)


@pytest.mark.parametrize(("factor", "hour"), [(1, 0), (1.5, 3), (3, 20), (12, 23), (23.9, 12)])
def test_a_day_from_its_mean_and_peak(factor: float, hour: int) -> None:
    day = traffic.from_mean(5, factor, hour)
    assert sum(day.hours) / 24 == pytest.approx(5)
    assert day.peak() == pytest.approx(5 * factor, rel=1e-6)
    assert day.rate(hour * 3600) == pytest.approx(day.peak(), rel=1e-6)
    assert sum(day.rate(second) for second in DAY) * 60 == pytest.approx(5 * 86_400)


def test_between_two_hours_lies_a_line_and_after_the_last_the_first() -> None:
    day = traffic.from_hours([10.0] + [20.0] * 22 + [40.0])
    assert day.rate(0) == 10
    assert day.rate(1800) == 15
    assert day.rate(23.5 * 3600) == 25
    assert day.rate(86_400) == 10


def test_a_surge_multiplies_for_a_while() -> None:
    day = traffic.Traffic((10.0,) * 24, traffic.surge("5@12:00+10"))
    assert [day.rate(s) for s in (43_199, 43_200, 43_799, 43_800)] == [10, 50, 50, 10]
    assert day.peak() == 50


@pytest.mark.parametrize("text", ["5", "5@25", "x@12:00+1", "5@23:55+10", "2@99:00+1"])
def test_a_surge_that_is_none(text: str) -> None:
    with pytest.raises(SettingsError, match="--surge"):
        traffic.surge(text)


def test_a_profile_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("hour,rate\n" + "".join(f"{h},{h + 1}\n" for h in range(24)))
    assert traffic.read(file).hours == tuple(float(h + 1) for h in range(24))


@pytest.mark.parametrize("content", ["1\n2\n", "-1\n" * 24, "0\n" * 24, "1\n" * 23 + "x\n", ""])
def test_a_file_that_is_no_profile(content: str, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(content)
    with pytest.raises(SettingsError):
        traffic.read(file)


@pytest.mark.parametrize(
    ("mean", "factor", "hour"), [(0, 2, 3), (5, 0.5, 3), (5, 24, 3), (5, 2, 24)]
)
def test_a_day_that_does_not_exist(mean: float, factor: float, hour: int) -> None:
    with pytest.raises(SettingsError):
        traffic.from_mean(mean, factor, hour)
