"""Make the probabilities mean what they say: one temperature, one threshold."""

import numpy as np
from numpy.typing import NDArray

from training.metrics import negative_log_likelihood

_GOLDEN = (5**0.5 - 1) / 2


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    """The temperature in 0.25..20 with the least negative log likelihood on held-out photos.

    `logits` [N, classes] come from photos that were not trained on. The likelihood has a single
    minimum in log temperature, so a golden-section search finds it (Guo et al. 2017). Where a
    handful of photos is all named right, that would be 0: no model is as sure as that.
    """
    low, high = np.log(0.25), np.log(20.0)
    for _ in range(60):
        left = high - _GOLDEN * (high - low)
        right = low + _GOLDEN * (high - low)
        if negative_log_likelihood(logits, targets, float(np.exp(left))) < negative_log_likelihood(
            logits, targets, float(np.exp(right))
        ):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 4)


def fit_threshold(dog_probabilities: NDArray[np.floating], max_refused: float) -> float:
    """The highest threshold, at most 0.5, that refuses `max_refused` of these dogs at most.

    A photo counts as a dog from the threshold on. Half of the allowance is kept for the photos
    that are still to come, which are always a little harder than the ones at hand.
    """
    quantile = float(np.quantile(dog_probabilities, max_refused / 2, method="lower"))
    return float(np.floor(min(quantile, 0.5) * 1e4) / 1e4)
