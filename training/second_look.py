"""When a model looks twice: the threshold, and what both looks result in on held-out photos."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from model_code import framing
from model_code.artifact import SecondLook
from training.metrics import Floats, softmax


def rule(settings: Mapping[str, Any], threshold: float = 1.0) -> SecondLook:
    """Return the rule for a run with these settings of [train]."""
    shape = (settings[name] for name in ("max_aspect", "map_threshold", "min_side"))
    return SecondLook(threshold, *shape)


def fit(held_out: Mapping[str, Tensor], settings: Mapping[str, Any]) -> SecondLook:
    """Return the rule for a head that was cross-validated with both looks.

    `held_out` is `TrainedModel.held_out`, `settings` is [train].
    """
    first = held_out["logits"][:, 0].numpy()
    return rule(settings, fit_threshold(first, settings["second_looks"]))


def fit_threshold(logits: Floats, fraction: float) -> float:
    """Return the threshold that `fraction` of the photos are below.

    `logits` [N, breeds] are of first looks at held-out photos. The likelihood improves with each
    photo that is looked at twice, so `fraction`, the cost, decides.
    """
    return round(float(np.quantile(softmax(logits).max(axis=1), fraction)), 4)


def combine(
    held_out: Mapping[str, Tensor], second_look: SecondLook | None
) -> tuple[Floats, Floats]:
    """Return the logits [N, breeds] and dog probabilities [N] that the endpoint would return.

    `held_out` is `TrainedModel.held_out`. Without `second_look` they are those of the first look.
    """
    looks, dogs = held_out["logits"].numpy(), held_out["dog_probabilities"].numpy()
    logits, probabilities = looks[:, 0].copy(), dogs[:, 0].copy()
    if second_look is None:
        return logits, probabilities
    for number, (width, height) in enumerate(held_out["sizes"].tolist()):
        if framing.looks_again(looks[number, 0], width, height, second_look):
            first_dog, second_dog = dogs[number].tolist()
            weight = framing.weight_of_second_look(first_dog, second_dog)
            logits[number] = (1 - weight) * looks[number, 0] + weight * looks[number, 1]
            probabilities[number] = dogs[number].max()
    return logits, probabilities
