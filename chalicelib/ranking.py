"""Turns a model's scores into ranked breeds."""

import math
from collections.abc import Sequence
from typing import Any

from chalicelib.endpoint import ModelDescription, Scores


def probabilities(logits: Sequence[float], temperature: float) -> list[float]:
    """Return softmax(logits / temperature)."""
    highest = max(logits)
    powers = [math.exp((logit - highest) / temperature) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def rank(scores: Scores, top_k: int) -> dict[str, Any]:
    """Return the members of a `/predict` response that the model determines."""
    model = scores.model
    by_breed = probabilities(scores.logits, model.temperature)
    order = sorted(range(len(by_breed)), key=lambda index: -by_breed[index])[:top_k]
    return {
        "is_dog": scores.dog_probability >= model.dog_threshold,
        "dog_probability": scores.dog_probability,
        "predictions": [
            {
                "breed": model.breeds[index],
                "probability": round(by_breed[index], 6),
                "logit": scores.logits[index],
            }
            for index in order
        ],
        "logits": list(scores.logits),
        "focus": scores.focus,
        "confused_with": list(scores.confused_with),
        "model": identity(model),
    }


def identity(model: ModelDescription) -> dict[str, str]:
    """Return the model's name and version, as every response contains them."""
    return {"name": model.name, "version": model.version}
