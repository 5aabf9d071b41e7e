"""From scores to the ranked answer."""

import math
from collections.abc import Sequence
from typing import Any

from chalicelib.endpoint import Breeds, Scores


def probabilities(logits: Sequence[float], temperature: float) -> list[float]:
    """softmax(logits / temperature): one probability per logit, together 1."""
    highest = max(logits)
    powers = [math.exp((logit - highest) / temperature) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def rank(scores: Scores, top_k: int) -> dict[str, Any]:
    """The part of `/predict`'s answer that the model decides, the likeliest breeds first."""
    breeds = scores.breeds
    each = probabilities(scores.logits, breeds.temperature)
    order = sorted(range(len(each)), key=lambda index: -each[index])[:top_k]
    return {
        "is_dog": scores.dog_probability >= breeds.dog_threshold,
        "dog_probability": scores.dog_probability,
        "predictions": [
            {
                "breed": breeds.names[index],
                "probability": round(each[index], 6),
                "logit": scores.logits[index],
            }
            for index in order
        ],
        "logits": list(scores.logits),
        "model": model(breeds),
    }


def model(breeds: Breeds) -> dict[str, str]:
    """The model as answers name it."""
    return {"name": breeds.model_name, "version": breeds.model_version}
