"""Every photo judged by a head that saw none of its source: what to calibrate on without a split.

Holding photos out costs a breed with five of them a good part of what is known about it. A head
on frozen features is fitted in seconds, so it can be fitted once more for each fold.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from training.errors import DataError

FOLDS = 5

Fit = Callable[[Tensor, Tensor], nn.Linear]
"""A head fitted on features float32 [N, F] and targets int64 [N]."""


def folds(sources: Sequence[str], seed: int, count: int = FOLDS) -> Tensor:
    """The fold of each photo, int64 [N] in 0..count-1: about equally many photos in each, and all
    photos of one source in the same. Raises `DataError` for fewer than two sources."""
    sizes = Counter(sources)
    if len(sizes) < 2:
        raise DataError("to cross-validate, the photos must come from two sources at least")
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    photos = [0] * count
    chosen = {}
    for source in sorted(order, key=lambda source: -sizes[source]):  # the largest first
        chosen[source] = smallest = photos.index(min(photos))
        photos[smallest] += sizes[source]
    return torch.tensor([chosen[source] for source in sources])


def logits(
    fit: Fit, features: Tensor, targets: Tensor, sources: Sequence[str], seed: int
) -> Tensor:
    """Logits float32 [N, classes] of each photo by the head that was fitted on the other folds."""
    fold = folds(sources, seed)
    parts = {}
    for number in sorted(set(fold.tolist())):
        others = fold != number
        head = fit(features[others], targets[others])
        with torch.no_grad():
            parts[number] = head(features[~others])
    together = torch.empty(len(targets), next(iter(parts.values())).shape[1])
    for number, part in parts.items():
        together[fold == number] = part
    return together
