"""The model's description of itself: `model.json`, read and held against the files beside it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_code.errors import BrokenArtifact

FORMAT = 1
GRAPH_FILE = "model.xml"
WEIGHTS_FILE = "model.bin"
DESCRIPTION_FILE = "model.json"
DEFAULT_MODEL_DIR = Path(__file__).parent / "default"
"""The model that the project ships."""

RGB = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the model wants to see.

    `size_px` is the side of the square; `crop` the fraction of the picture's short side that the
    centred square keeps; `mean` and `std` are in units of 0..255 or 0..1 as the training wrote
    them and are applied inside the graph: they stand here to be read, not to be used.
    """

    size_px: int
    crop: float
    mean: RGB
    std: RGB


@dataclass(frozen=True, slots=True)
class Artifact:
    """One model on disk, checked: see `load`."""

    folder: Path
    name: str
    version: str
    labels: tuple[str, ...]
    display_names: tuple[str, ...]
    input: InputSpec
    temperature: float
    dog_threshold: float
    metrics: Mapping[str, Any]
    trained_with: Mapping[str, Any]
    answer_start: str = field(init=False, repr=False)
    """The members of a prediction's JSON object that are the same in every one, written once."""

    def __post_init__(self) -> None:
        same = {
            "labels": self.labels,
            "display_names": self.display_names,
            "model": self.identity(),
        }
        text = json.dumps(same, allow_nan=False, separators=(",", ":"))
        object.__setattr__(self, "answer_start", text.removesuffix("}"))

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH_FILE

    def describe(self) -> dict[str, Any]:
        """What an invocation with an empty JSON object answers: the model without its files."""
        return {
            "labels": list(self.labels),
            "display_names": list(self.display_names),
            "model": self.identity(),
            "input": {
                "size": self.input.size_px,
                "crop": self.input.crop,
                "mean": list(self.input.mean),
                "std": list(self.input.std),
            },
            "metrics": dict(self.metrics),
            "trained_with": dict(self.trained_with),
        }

    def identity(self) -> dict[str, Any]:
        """The part of the description that every answer carries."""
        return {
            "name": self.name,
            "version": self.version,
            "temperature": self.temperature,
            "dog_threshold": self.dog_threshold,
        }


def load(folder: Path) -> Artifact:
    """The artifact in `folder`, after its checksums and the shape of its description were checked.

    Raises `BrokenArtifact` naming the file at fault.
    """
    path = folder / DESCRIPTION_FILE
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BrokenArtifact(f"{path} is missing: is {folder} the folder of a model?") from None
    except (OSError, ValueError) as error:
        raise BrokenArtifact(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise BrokenArtifact(f"{path} holds no JSON object")
    try:
        artifact = _parse(folder, document)
        _check_files(folder, document["sha256"])
    except KeyError as error:
        raise BrokenArtifact(f"{path} lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise BrokenArtifact(f"{path}: {error}") from None
    return artifact


def _parse(folder: Path, document: dict[str, Any]) -> Artifact:
    if document["format"] != FORMAT:
        raise ValueError(f"format is {document['format']!r}, this version reads {FORMAT}")
    labels = tuple(_text(label, "labels") for label in document["labels"])
    names = tuple(_text(name, "display_names") for name in document["display_names"])
    if not labels or len(set(labels)) != len(labels):
        raise ValueError("labels must be distinct, and at least one")
    if len(names) != len(labels):
        raise ValueError(f"{len(names)} display_names for {len(labels)} labels")
    spec = document["input"]
    size_px = spec["size"]
    if not isinstance(size_px, int) or not 1 <= size_px <= 4096:
        raise ValueError(f"input.size is {size_px!r}, not a number of pixels")
    return Artifact(
        folder=folder,
        name=_text(document["name"], "name"),
        version=_text(document["version"], "version"),
        labels=labels,
        display_names=names,
        input=InputSpec(
            size_px=size_px,
            crop=_number(spec["crop"], "input.crop", above=0, most=1),
            mean=_rgb(spec["mean"], "input.mean"),
            std=_rgb(spec["std"], "input.std"),
        ),
        temperature=_number(document["temperature"], "temperature", above=0),
        dog_threshold=_number(document["dog_threshold"], "dog_threshold", above=-1e-9, most=1),
        metrics=dict(document["metrics"]),
        trained_with=dict(document["trained_with"]),
    )


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} holds {value!r} where a text belongs")
    return value


def _number(value: Any, name: str, *, above: float, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= most:
        raise ValueError(f"{name} is {value!r}, out of range")
    return float(value)


def _rgb(values: Any, name: str) -> RGB:
    red, green, blue = (_number(value, name, above=-math.inf) for value in values)
    return red, green, blue


def _check_files(folder: Path, checksums: dict[str, str]) -> None:
    for file in (GRAPH_FILE, WEIGHTS_FILE):
        path = folder / file
        expected = checksums[file]
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise BrokenArtifact(f"{path} cannot be read: {error.strerror}") from None
        if found != expected:
            raise BrokenArtifact(
                f"{path} is damaged or of another model: "
                f"sha256 {found[:12]}…, {DESCRIPTION_FILE} says {expected[:12]}…"
            )
