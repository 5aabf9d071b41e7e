"""Turns a model's scores into ranked breeds."""

import math
from collections.abc import Sequence
from typing import Any

from chalicelib.model_response import ModelDescription, Scores

CLOSE = 0.5
"""Fraction of the likeliest breed's probability at which the second breed is close to it.

So it is on 8 % of the cross-validated photos. The likeliest breed is right on half of these, the
second one on 28 %; on all others the likeliest one is right in 91 % of cases.
"""


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
    order = sorted(range(len(by_breed)), key=lambda index: -by_breed[index])
    ranked = [
        {
            "breed": model.breeds[index],
            "probability": round(by_breed[index], 6),
            "logit": scores.logits[index],
        }
        for index in order
    ]
    is_dog = scores.dog_probability >= model.dog_threshold
    return {
        "is_dog": is_dog,
        "dog_probability": scores.dog_probability,
        "predictions": ranked[:top_k],
        "logits": list(scores.logits),
        "focus": scores.focus,
        "confused_with": list(scores.confused_with),
        "notes": _notes(ranked, scores.confused_with) if is_dog else [],
        "model": identity(model),
    }


def _notes(ranked: Sequence[dict[str, Any]], confused_with: Sequence[str]) -> list[str]:
    """Return sentences that tell a reader how far to trust the likeliest breed of a dog."""
    first, *others = ranked
    notes = []
    if others and others[0]["probability"] >= CLOSE * first["probability"]:
        likeliest = [
            f"{each['breed']} ({100 * each['probability']:.0f} %)" for each in (first, others[0])
        ]
        notes.append(f"Two breeds are close: {' and '.join(likeliest)}.")
    if confused_with:
        often = f"The model often confuses {first['breed']} with {' or '.join(confused_with)}."
        notes.append(often)
    return notes


def identity(model: ModelDescription) -> dict[str, str]:
    """Return the model's name and version, as every response contains them."""
    return {"name": model.name, "version": model.version}
