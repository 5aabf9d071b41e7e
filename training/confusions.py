"""Pairs and groups of breeds that a model confuses, from predictions for held-out photos."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from training.metrics import Floats, Ints

MIN_PHOTOS = 4
MIN_FRACTION = 0.05
"""A pair is confused if so many photos of both breeds are given the other, in number and part."""


class Pair(NamedTuple):
    """Two breeds, as indices, and the number of photos of either that were given the other."""

    first: int
    second: int
    photos: int


def pairs(logits: Floats, targets: Ints) -> list[Pair]:
    """Return all pairs with mistakes in logits [N, breeds], those with the most first."""
    counts = Counter(
        (min(true, predicted), max(true, predicted))
        for true, predicted in zip(targets.tolist(), logits.argmax(axis=1).tolist(), strict=True)
        if true != predicted
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Pair(first, second, count) for (first, second), count in ranked]


def confused(logits: Floats, targets: Ints) -> list[Pair]:
    """Return the pairs that are confused often enough to warn of them."""
    sizes = Counter(targets.tolist())
    return [
        pair
        for pair in pairs(logits, targets)
        if pair.photos >= MIN_PHOTOS
        and pair.photos >= MIN_FRACTION * (sizes[pair.first] + sizes[pair.second])
    ]


def by_label(chosen: Sequence[Pair], labels: Sequence[str]) -> dict[str, list[str]]:
    """Return for each label of these pairs the labels that it is confused with, in order."""
    partners: dict[int, set[int]] = {}
    for first, second, _ in chosen:
        partners.setdefault(first, set()).add(second)
        partners.setdefault(second, set()).add(first)
    return {
        labels[number]: [labels[other] for other in sorted(partners[number])]
        for number in sorted(partners)
    }


def groups(chosen: Sequence[Pair]) -> list[list[int]]:
    """Return the breeds of these pairs, grouped with all that they are linked to."""
    linked: list[set[int]] = []
    for first, second, _ in chosen:
        touching = [group for group in linked if group & {first, second}]
        linked = [group for group in linked if group not in touching]
        linked.append(set().union({first, second}, *touching))
    return sorted(sorted(group) for group in linked)
