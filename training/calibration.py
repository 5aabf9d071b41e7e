"""Fit the temperature of the probabilities and the threshold of the dog gate."""

import numpy as np
from scipy.optimize import minimize_scalar

from training.metrics import Floats, Ints, negative_log_likelihood

MIN_TEMPERATURE = 0.25  # a handful of photos, all classified correctly, would fit 0
MAX_TEMPERATURE = 20.0


def fit_temperature(logits: Floats, targets: Ints) -> float:
    """Return the temperature that minimises the negative log likelihood (Guo et al. 2017).

    `logits` [N, classes] are of held-out photos. There is one minimum in log temperature.
    """
    result = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, targets, float(np.exp(log_t))),
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return round(float(np.exp(result.x)), 4)


def fit_threshold(dog_probabilities: Floats, max_rejected: float) -> float:
    """Return the highest threshold, at most 0.5, that rejects at most `max_rejected` of these dogs.

    A photo is a dog from the threshold on. Half of the allowance is reserved, because unseen
    photos are harder than these.
    """
    quantile = float(np.quantile(dog_probabilities, max_rejected / 2, method="lower"))
    return float(np.floor(min(quantile, 0.5) * 1e4) / 1e4)
