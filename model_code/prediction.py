"""The model's output for one look, and for an image, which may take several."""

import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_code import framing
from model_code.artifact import Artifact
from model_code.framing import Box
from model_code.images import InputImage


class Look(NamedTuple):
    """The output of the graph for one part of an image.

    `logits` is float32 [breeds]. `evidence`, float32 [breeds, rows, columns], is the evidence for
    each breed at each place; None if the graph has no such output.
    """

    logits: NDArray[np.float32]
    dog_probability: float
    evidence: NDArray[np.float32] | None


class LocationMap(NamedTuple):
    """Where a look found evidence for the likeliest breeds, and the part of the image it shows."""

    box: Box
    logits: NDArray[np.float32]
    evidence: NDArray[np.float32]

    @property
    def values(self) -> NDArray[np.float32]:
        """Compute the map, float32 [rows, columns], which most responses do not need."""
        return framing.location(self.logits, self.evidence)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The model's output for one image. `logits` is float32 [breeds], in the order of labels.

    `focus` is the part of the image that the second look showed, if there was one. `looks` is the
    number of inferences.
    """

    artifact: Artifact
    image: InputImage
    logits: NDArray[np.float32]
    dog_probability: float
    focus: Box | None = None
    map: LocationMap | None = None
    looks: int = 1

    def to_json(self, with_map: bool) -> bytes:
        """Serialise the response (docs/architecture.md). Raises ValueError for NaN and the like."""
        image = self.image
        scores = [self.dog_probability, *self.logits.tolist()]
        if not all(map(math.isfinite, scores)):
            raise ValueError("the model returned values that are not finite")
        logits = ",".join([f"{logit:.5f}" for logit in scores[1:]])  # 3 times as fast as json.dumps
        likeliest = self.artifact.labels[int(self.logits.argmax())]
        rest: dict[str, Any] = {
            "dog_probability": round(self.dog_probability, 6),
            "image": {"format": image.format, "width": image.width, "height": image.height},
            "focus": self.focus and _fractions(self.focus, image),
            "confused_with": self.artifact.confused_with.get(likeliest, ()),
        }
        if with_map and self.map is not None:
            values = _relative(self.map.values).tolist()
            rest["map"] = {**_fractions(self.map.box, image), "values": values}
        text = json.dumps(rest, allow_nan=False, separators=(",", ":"))
        return f'{self.artifact.response_prefix},"logits":[{logits}],{text[1:]}'.encode()


def _fractions(box: Box, image: InputImage) -> dict[str, float]:
    """Return `box` in fractions of the upright image's width and height."""
    return {
        "x": round(box.x / image.width, 4),
        "y": round(box.y / image.height, 4),
        "width": round(box.width / image.width, 4),
        "height": round(box.height / image.height, 4),
    }


def _relative(location: NDArray[np.float32]) -> NDArray[np.float64]:
    """Scale a location map to values from 0 to 1."""
    highest = max(float(location.max()), 1e-6)
    return (location.astype(np.float64) / highest).clip(0, 1).round(3)
