"""Which part of an image each look of the model shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_code.artifact import InputSpec, SecondLook

_DOUBTFUL_DOG = 0.5  # 1 % of the first looks at dogs are below
_SQUARE = 1.1


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in an upright image, in pixels from the top left corner."""

    x: float
    y: float
    width: float
    height: float


def first_look(width: int, height: int, spec: InputSpec) -> Box:
    """Return the centre square."""
    side = spec.crop * min(width, height)
    return _centred(width / 2, height / 2, side, side)


def overview(width: int, height: int, dog_probability: float, settings: SecondLook) -> Box | None:
    """Return all of an image, to locate the dog, or None if the centre square is good enough.

    The overview is squashed to the model's square input: good for a map, bad for a breed.
    `dog_probability` is the first look's.
    """
    aspect = max(width, height) / min(width, height)
    if aspect > settings.max_aspect or (dog_probability < _DOUBTFUL_DOG and aspect > _SQUARE):
        return Box(0, 0, width, height)
    return None


def looks_again(logits: NDArray[np.float32], width: int, height: int, settings: SecondLook) -> bool:
    """Return whether the first look, with these logits [breeds], is not enough."""
    if max(width, height) > settings.max_aspect * min(width, height):
        return True
    powers = np.exp(logits - logits.max())
    return bool(powers.max() < settings.threshold * powers.sum())


def weight_of_second_look(first_dog: float, second_dog: float) -> float:
    """Return the share of the second look in the result: looks count by their dog probabilities."""
    return second_dog / max(first_dog + second_dog, 1e-9)


def location(logits: NDArray[np.float32], evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return where the evidence for the likeliest breeds is, float32 [rows, columns].

    It is the mean of `evidence` [breeds, rows, columns], weighted with the breeds' probabilities.
    """
    powers = np.exp(logits - logits.max())
    weighted: NDArray[np.float32] = np.tensordot(powers / powers.sum(), evidence, axes=1)
    return weighted


def second_look(
    location: NDArray[np.float32], shown: Box, width: int, height: int, settings: SecondLook
) -> Box:
    """Return the square around what `location` [rows, columns], a map of `shown`, points to.

    The square covers the cells of at least `map_threshold` times the maximum. Its side is at least
    `min_side` times the image's shorter side, and at most that side.
    """
    strong = location >= settings.map_threshold * location.max()
    strong |= location == location.max()  # for a map without positive values
    top, bottom = _extent(strong.any(axis=1))
    left, right = _extent(strong.any(axis=0))
    short = min(width, height)
    longest = max((right - left) * shown.width, (bottom - top) * shown.height)
    side = min(short, max(settings.min_side * short, longest))
    x = shown.x + (left + right) / 2 * shown.width
    y = shown.y + (top + bottom) / 2 * shown.height
    x = min(max(x, side / 2), width - side / 2)
    y = min(max(y, side / 2), height - side / 2)
    return _centred(x, y, side, side)


def _extent(strong: NDArray[np.bool_]) -> tuple[float, float]:
    """Return where the true values begin and end, as fractions of the length."""
    places = np.flatnonzero(strong)
    return float(places[0]) / len(strong), float(places[-1] + 1) / len(strong)


def _centred(x: float, y: float, width: float, height: float) -> Box:
    return Box(x - width / 2, y - height / 2, width, height)
