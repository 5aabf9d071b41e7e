import numpy as np

from training import confusions
from training.confusions import Pair

LABELS = ["Akita", "Beagle", "Borzoi", "Boxer", "Puli"]


def results(*mistakes: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """50 photos of each breed, of which `count` of breed `true` are given breed `given`."""
    targets = np.repeat(np.arange(5), 50)
    given = targets.copy()
    for true, breed, count in mistakes:
        photos = np.flatnonzero((targets == true) & (given == true))[:count]
        given[photos] = breed
    return np.eye(5)[given], targets


def test_mistakes_in_both_directions_count_together() -> None:
    found = confusions.pairs(*results((0, 1, 2), (1, 0, 3), (2, 3, 1)))
    assert found == [Pair(0, 1, 5), Pair(2, 3, 1)]


def test_rare_mistakes_are_no_reason_to_warn() -> None:
    found = confusions.confused(*results((0, 1, 5), (2, 3, 4), (3, 4, 3)))
    assert found == [Pair(0, 1, 5)]  # 4 of 100 is too small a part, 3 too small a number


def test_breeds_are_grouped_with_all_that_they_are_linked_to() -> None:
    chosen = [Pair(0, 1, 9), Pair(3, 4, 8), Pair(1, 2, 7)]
    assert confusions.groups(chosen) == [[0, 1, 2], [3, 4]]
    assert confusions.by_label(chosen, LABELS) == {
        "Akita": ["Beagle"],
        "Beagle": ["Akita", "Borzoi"],
        "Borzoi": ["Beagle"],
        "Boxer": ["Puli"],
        "Puli": ["Boxer"],
    }
