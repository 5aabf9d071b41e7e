"""The requests of a day: a rate for each hour, straight lines between, and perhaps a surge."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.errors import SettingsError

HOURS = 24
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Surge:
    """`factor` times the usual traffic for a while, all at once: a link that everybody follows."""

    factor: float
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second at the start of each of 24 hours; every day is the same."""

    hours: tuple[float, ...]
    surge: Surge | None = None

    def rate(self, second: float) -> float:
        """Requests a second at `second` of the day."""
        position = second % DAY_S / 3600
        hour = int(position)
        here, there = self.hours[hour], self.hours[(hour + 1) % HOURS]
        rate = here + (there - here) * (position - hour)
        if self.surge and 0 <= second % DAY_S - self.surge.start_s < self.surge.duration_s:
            rate *= self.surge.factor
        return rate

    def peak(self) -> float:
        """The highest rate of any minute."""
        return max(self.rate(minute * 60) for minute in range(1440))


def from_hours(values: Sequence[float]) -> Traffic:
    """Traffic of 24 rates. Raises `SettingsError` where they are others than 24 from 0 up."""
    if len(values) != HOURS or any(not 0 <= value < math.inf for value in values):
        raise SettingsError(f"a profile has {HOURS} rates of 0 or more, one an hour from 0 h on")
    if not any(values):
        raise SettingsError("a profile without any request has no cost to plan")
    return Traffic(tuple(values))


def from_mean(mean: float, peak_factor: float, peak_hour: int) -> Traffic:
    """A day with that mean and its peak, `peak_factor` times the mean, at `peak_hour`.

    The shape in between is exp(k cos(t)), the normal distribution of the clock (von Mises): one
    hill a day, as high as asked for. Raises `SettingsError` where no such day exists.
    """
    if mean <= 0 or mean == math.inf:
        raise SettingsError(f"a mean of {mean:g} requests a second is not above 0")
    if not 1 <= peak_factor < HOURS:
        raise SettingsError(f"peak_factor is {peak_factor:g}, not from 1 to below {HOURS}")
    if not 0 <= peak_hour < HOURS:
        raise SettingsError(f"peak_hour is {peak_hour}, not from 0 to 23")

    def weights(k: float) -> list[float]:
        turn = 2 * math.pi / HOURS
        return [math.exp(k * (math.cos((h - peak_hour) * turn) - 1)) for h in range(HOURS)]

    low, high = 0.0, 4000.0  # the peak's weight is 1, so the factor is 24 over the sum
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if HOURS / sum(weights(middle)) < peak_factor else (low, middle)
    shape = weights(low)
    return Traffic(tuple(mean * HOURS * weight / sum(shape) for weight in shape))


def read(path: Path) -> Traffic:
    """A profile from a file: 24 numbers, or the last column of 24 lines. Raises `SettingsError`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        cells = [re.split(r"[,;\t ]+", line.strip())[-1] for line in lines if line.strip()]
        if cells and not re.match(r"[\d.+-]", cells[0]):
            del cells[0]  # a heading
        return from_hours([float(cell) for cell in cells])
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from None


def surge(text: str) -> Surge:
    """A surge as an option gives it: `5@12:00+10`, 5 times the traffic from noon for 10 minutes."""
    found = re.fullmatch(r"([\d.]+)@(\d{1,2}):(\d{2})\+([\d.]+)", text)
    if not found:
        raise SettingsError(f"--surge is {text!r}, not like 5@12:00+10 (factor@hh:mm+minutes)")
    factor, hour, minute, length = map(float, found.groups())
    start_s = hour * 3600 + minute * 60
    if start_s + length * 60 > DAY_S:
        raise SettingsError(f"--surge {text} does not end before midnight")
    return Surge(factor, start_s, length * 60)
