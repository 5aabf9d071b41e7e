"""Which part of an image each look of the model shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_code.artifact import InputSpec, SecondLook


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an upright image, in pixels from the top left corner."""

    x: float
    y: float
    width: float
    height: float


def is_long(width: int, height: int, spec: InputSpec) -> bool:
    """Return whether the centre square would miss too much of an image."""
    return max(width, height) > spec.max_aspect * min(width, height)


def first_look(width: int, height: int, spec: InputSpec) -> Box:
    """Return the centre square, or all of a long image, which is squashed to locate the dog."""
    if is_long(width, height, spec):
        return Box(0, 0, width, height)
    side = spec.crop * min(width, height)
    return _centred(width / 2, height / 2, side, side)


def looks_again(
    logits: NDArray[np.float32], width: int, height: int, spec: InputSpec, settings: SecondLook
) -> bool:
    """Return whether the first look, with these logits [breeds], is not enough."""
    if is_long(width, height, spec):
        return True
    powers = np.exp(logits - logits.max())
    return bool(powers.max() < settings.threshold * powers.sum())


def weight_of_second_look(first_dog: float, second_dog: float, is_long: bool) -> float:
    """Return the share of the second look in the result: looks count by their dog probabilities.

    A small dog is in the second look only. The first look at a long image is too distorted.
    """
    if is_long or first_dog + second_dog == 0:
        return 1.0
    return second_dog / (first_dog + second_dog)


def second_look(
    location: NDArray[np.float32], first: Box, width: int, height: int, settings: SecondLook
) -> Box:
    """Return the square around what `location` [rows, columns], a map of `first`, points to.

    The square covers the cells of at least `map_threshold` times the maximum. Its side is at least
    `min_side` times the image's shorter side, and at most that side.
    """
    strong = location >= settings.map_threshold * location.max()
    strong |= location == location.max()  # for a map without positive values
    top, bottom = _extent(strong.any(axis=1))
    left, right = _extent(strong.any(axis=0))
    short = min(width, height)
    longest = max((right - left) * first.width, (bottom - top) * first.height)
    side = min(short, max(settings.min_side * short, longest))
    x = first.x + (left + right) / 2 * first.width
    y = first.y + (top + bottom) / 2 * first.height
    x = min(max(x, side / 2), width - side / 2)
    y = min(max(y, side / 2), height - side / 2)
    return _centred(x, y, side, side)


def _extent(strong: NDArray[np.bool_]) -> tuple[float, float]:
    """Return where the true values begin and end, as fractions of the length."""
    places = np.flatnonzero(strong)
    return float(places[0]) / len(strong), float(places[-1] + 1) / len(strong)


def _centred(x: float, y: float, width: float, height: float) -> Box:
    return Box(x - width / 2, y - height / 2, width, height)
