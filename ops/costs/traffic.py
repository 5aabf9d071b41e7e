"""The traffic of a day: one rate per hour, linear in between, and an optional surge."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

from cli.errors import SettingsError
from ops.costs.queueing import Floats

HOURS = 24
DAY_S = 86_400
MINUTES_S = np.arange(0.0, DAY_S, 60)


@dataclass(frozen=True, slots=True)
class Surge:
    """A sudden rise to `factor` times the usual traffic, such as a popular link."""

    factor: float
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests per second at the start of each of 24 hours. All days are the same."""

    hours: tuple[float, ...]
    surge: Surge | None = None

    def rates(self, seconds: Floats) -> Floats:
        """Return the requests per second at each of `seconds` of the day."""
        rates = np.interp(seconds, np.arange(HOURS) * 3600, self.hours, period=DAY_S)
        if self.surge:
            end_s = self.surge.start_s + self.surge.duration_s
            rates[(seconds >= self.surge.start_s) & (seconds < end_s)] *= self.surge.factor
        return rates

    def peak(self) -> float:
        """Return the highest rate at the start of any minute."""
        return float(self.rates(MINUTES_S).max())


def from_hours(rates: Sequence[float]) -> Traffic:
    """Build a day from 24 rates. Raise SettingsError unless there are 24, none negative."""
    if len(rates) != HOURS or not all(0 <= rate < math.inf for rate in rates):
        raise SettingsError(f"A profile has {HOURS} rates of 0 or more, one per hour from 0:00 on.")
    if not any(rates):
        raise SettingsError("A profile must have at least one rate above 0.")
    return Traffic(tuple(rates))


def from_mean(mean: float, peak_factor: float, peak_hour: int) -> Traffic:
    """Build a day with this mean rate and a peak of `peak_factor` times the mean at `peak_hour`.

    Its shape is exp(k cos t), a normal distribution on a circle (von Mises): one peak per day.
    `peak_factor` is from 1 to below 24.
    """
    distance = np.cos((np.arange(HOURS) - peak_hour) * 2 * np.pi / HOURS) - 1

    def excess(k: float) -> float:
        # the peak's weight is 1, so its share of the day is 1 / sum
        return float(HOURS / np.exp(k * distance).sum() - peak_factor)

    shape = np.exp(brentq(excess, 0, 4000) * distance)
    return Traffic(tuple((mean * HOURS * shape / shape.sum()).tolist()))


def read_profile(path: Path) -> Traffic:
    """Read 24 numbers, or the last column of 24 lines, below an optional heading."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        cells = [re.split(r"[,;\t ]+", line.strip())[-1] for line in lines if line.strip()]
        if cells and not re.match(r"[\d.+-]", cells[0]):
            del cells[0]
        return from_hours([float(cell) for cell in cells])
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"{path}: {error}.") from None


def parse_surge(text: str) -> Surge:
    """Parse `5@12:00+10`: 5 times the traffic from noon for 10 minutes."""
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"{number}@(\d{{1,2}}):(\d{{2}})\+{number}", text)
    if not match:
        raise SettingsError(
            f'--surge is "{text}". Write FACTOR@HH:MM+MINUTES, for example 5@12:00+10.'
        )
    factor, hour, minute, duration = map(float, match.groups())
    start_s = hour * 3600 + minute * 60
    if start_s + duration * 60 > DAY_S:
        raise SettingsError(f"--surge {text} must end before midnight.")
    return Surge(factor, start_s, duration * 60)
