from dataclasses import astuple

import numpy as np
import pytest

from model_code import framing
from model_code.artifact import InputSpec, SecondLook
from model_code.framing import Box

SETTINGS = SecondLook(threshold=0.7, max_aspect=2, map_threshold=0.7, min_side=0.5)


def spec(crop: float) -> InputSpec:
    return InputSpec(224, crop, (0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize(
    ("size", "crop", "box"),
    [
        ((400, 300), 1, Box(50, 0, 300, 300)),
        ((300, 400), 0.5, Box(75, 125, 150, 150)),
        ((900, 300), 1, Box(300, 0, 300, 300)),
    ],
)
def test_the_first_look_is_the_centre(size: tuple[int, int], crop: float, box: Box) -> None:
    assert framing.first_look(*size, spec(crop)) == box


@pytest.mark.parametrize(
    ("logits", "size", "again"),
    [
        ([9, 0], (400, 300), False),
        ([0.84, 0], (400, 300), True),  # a probability of 0.698
        ([0.86, 0], (400, 300), False),
        ([9, 0], (300, 601), True),
    ],
)
def test_unsure_and_long_images_get_a_second_look(
    logits: list[float], size: tuple[int, int], again: bool
) -> None:
    assert framing.looks_again(np.array(logits, np.float32), *size, SETTINGS) == again


@pytest.mark.parametrize(
    ("size", "dog", "has_overview"),
    [
        ((400, 300), 0.9, False),
        ((400, 300), 0.4, True),  # the dog may be at an edge
        ((300, 300), 0.4, False),  # the centre is everything
        ((601, 300), 0.9, True),
    ],
)
def test_an_overview_locates_dogs_that_the_centre_may_miss(
    size: tuple[int, int], dog: float, has_overview: bool
) -> None:
    expected = Box(0, 0, *size) if has_overview else None
    assert framing.overview(*size, dog, SETTINGS) == expected


@pytest.mark.parametrize(("dogs", "weight"), [((0.9, 0.9), 0.5), ((0.1, 0.9), 0.9), ((0, 0), 0)])
def test_looks_count_by_their_dog_probabilities(dogs: tuple[float, float], weight: float) -> None:
    assert framing.weight_of_second_look(*dogs) == pytest.approx(weight)


def location(*strong: tuple[int, int], value: float = 1.0) -> np.ndarray:
    cells = np.zeros((7, 7), np.float32)
    for cell in strong:
        cells[cell] = value
    return cells


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([(3, 3)], Box(35, 35, 70, 70)),
        ([(0, 0)], Box(0, 0, 70, 70)),  # stays inside the image
        ([(6, 3)], Box(35, 70, 70, 70)),
        ([(1, 1), (5, 5)], Box(20, 20, 100, 100)),  # covers both
        ([(0, 0), (6, 6)], Box(0, 0, 140, 140)),
    ],
)
def test_the_second_look_covers_the_strong_cells(
    cells: list[tuple[int, int]], expected: Box
) -> None:
    first = Box(0, 0, 140, 140)
    box = framing.second_look(location(*cells), first, 140, 140, SETTINGS)
    assert astuple(box) == pytest.approx(astuple(expected))


@pytest.mark.parametrize("size", [(420, 140), (140, 420)])
def test_the_second_look_at_the_end_of_a_long_image_is_a_square(size: tuple[int, int]) -> None:
    first = Box(0, 0, *size)
    box = framing.second_look(location((6, 6)), first, *size, SETTINGS)
    assert box.width == box.height == pytest.approx(70)
    assert (box.x + box.width, box.y + box.height) == pytest.approx(size)


def test_a_first_look_that_shows_the_centre_only() -> None:
    box = framing.second_look(location((3, 0)), Box(140, 0, 140, 140), 420, 140, SETTINGS)
    assert box == Box(115, 35, 70, 70)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_positive_values(value: float) -> None:
    cells = np.full((7, 7), value - 1, np.float32)
    cells[0, 6] = value
    assert framing.second_look(cells, Box(0, 0, 140, 140), 140, 140, SETTINGS) == Box(70, 0, 70, 70)
    flat = np.full((7, 7), value, np.float32)
    assert framing.second_look(flat, Box(0, 0, 140, 140), 140, 140, SETTINGS).width == 140
