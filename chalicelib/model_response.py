"""The model's response: its description, and its scores for an image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model's identity and calibration, and its breeds in the order of its logits."""

    breeds: tuple[str, ...]
    name: str
    version: str
    temperature: float
    dog_threshold: float

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "ModelDescription":
        """Read a response. Raises KeyError, TypeError or ValueError if it is invalid."""
        model = document["model"]
        breeds = tuple(map(str, document.get("display_names") or document["labels"]))
        if not breeds or len(breeds) != len(document["labels"]):
            raise ValueError("display_names and labels differ in number")
        description = cls(
            breeds=breeds,
            name=str(model["name"]),
            version=str(model["version"]),
            temperature=_finite(model["temperature"]),
            dog_threshold=_finite(model["dog_threshold"]),
        )
        if description.temperature <= 0:
            raise ValueError("temperature is not positive")
        return description


@dataclass(frozen=True, slots=True)
class Scores:
    """The model's output for one image. `logits` has one value per breed."""

    model: ModelDescription
    logits: tuple[float, ...]
    dog_probability: float
    image_format: str
    image_width: int
    image_height: int
    focus: dict[str, float] | None = None
    """The part of the image that a second look showed, in fractions of its width and height."""
    confused_with: tuple[str, ...] = ()
    """Breeds that the model often takes the likeliest one for."""
    map: dict[str, Any] | None = None
    """Where the model found evidence: a box like `focus`, with `values`, rows from 0 to 1."""

    @classmethod
    def parse(cls, document: dict[str, Any]) -> "Scores":
        """Read a response. Raises KeyError, TypeError or ValueError if it is invalid."""
        model = ModelDescription.parse(document)
        logits = tuple(_finite(value) for value in document["logits"])
        if len(logits) != len(model.breeds):
            raise ValueError(f"{len(logits)} logits for {len(model.breeds)} breeds")
        image = document["image"]
        return cls(
            model=model,
            logits=logits,
            dog_probability=_fraction(document["dog_probability"]),
            image_format=str(image["format"]),
            image_width=int(image["width"]),
            image_height=int(image["height"]),
            # The next members are missing in responses of models that never look twice.
            focus=_box(document["focus"]) if document.get("focus") else None,
            confused_with=_names(document, model, document.get("confused_with") or []),
            map=_map(document["map"]) if document.get("map") else None,
        )


def _box(value: dict[str, Any]) -> dict[str, float]:
    """Return a box in fractions of the image."""
    return {name: _fraction(value[name]) for name in ("x", "y", "width", "height")}


def _map(value: dict[str, Any]) -> dict[str, Any]:
    rows = [[_fraction(number) for number in row] for row in value["values"]]
    if len({len(row) for row in rows}) != 1:
        raise ValueError("the rows of the map differ in length")
    return {**_box(value), "values": rows}


def _names(
    document: dict[str, Any], model: ModelDescription, labels: Sequence[str]
) -> tuple[str, ...]:
    """Return the display names of labels."""
    names = dict(zip(document["labels"], model.breeds, strict=True))
    return tuple(names[label] for label in labels)


def _fraction(value: Any) -> float:
    number = _finite(value)
    if not 0 <= number <= 1:
        raise ValueError("a number is not between 0 and 1")
    return number


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
