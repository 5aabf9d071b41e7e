"""Reads and validates a model folder: `model.json` and the files it describes."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
    """The model's input.

    `size_px` is the side of the square. `crop` is the fraction of the image's shorter side that the
    centre square of the first look keeps. `mean` and `std` are informative: the graph applies them.
    """

    size_px: int
    crop: float
    mean: RGB
    std: RGB


@dataclass(frozen=True, slots=True)
class SecondLook:
    """When the model looks again, at what its location map points to, and where.

    It does if the likeliest breed of the first look has a probability below `threshold`, or the
    image is more than `max_aspect` times as long as wide. See `framing.second_look` for
    `map_threshold` and `min_side`.
    """

    threshold: float
    max_aspect: float
    map_threshold: float
    min_side: float


@dataclass(frozen=True, slots=True)
class Artifact:
    """A validated model folder.

    `second_look` is None for a graph without a location map. `confused_with` names, for some
    labels, the labels that the model confuses them with.
    """

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
    second_look: SecondLook | None = None
    confused_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    response_prefix: str = field(init=False, repr=False)
    """The members that all responses share, serialised once (docs/performance.md)."""

    def __post_init__(self) -> None:
        shared = {
            "labels": self.labels,
            "display_names": self.display_names,
            "model": self.identity(),
        }
        text = json.dumps(shared, allow_nan=False, separators=(",", ":"))
        object.__setattr__(self, "response_prefix", text.removesuffix("}"))

    @property
    def graph(self) -> Path:
        return self.folder / GRAPH_FILE

    def describe(self) -> dict[str, Any]:
        """Return the response to an empty JSON object: the description without its files."""
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
            "second_look": asdict(self.second_look) if self.second_look else None,
            "confused_with": {label: list(others) for label, others in self.confused_with.items()},
            "metrics": dict(self.metrics),
            "trained_with": dict(self.trained_with),
        }

    def identity(self) -> dict[str, Any]:
        """Return the part of the description that every response contains."""
        return {
            "name": self.name,
            "version": self.version,
            "temperature": self.temperature,
            "dog_threshold": self.dog_threshold,
        }


def load(folder: Path) -> Artifact:
    """Read `model.json` and verify the checksums of its files. Raises `BrokenArtifact`."""
    path = folder / DESCRIPTION_FILE
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise BrokenArtifact(f"{path} is missing. Is {folder} a model folder?") from None
    except (OSError, ValueError) as error:
        raise BrokenArtifact(f"{path} is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise BrokenArtifact(f"{path} is not a JSON object")
    try:
        artifact = _parse(folder, document)
        _check_files(folder, document["sha256"])
    except KeyError as error:
        raise BrokenArtifact(f"{path} has no {error}") from None
    except (TypeError, ValueError) as error:
        raise BrokenArtifact(f"{path}: {error}") from None
    return artifact


def _parse(folder: Path, document: dict[str, Any]) -> Artifact:
    if document["format"] != FORMAT:
        raise ValueError(f"format is {document['format']!r}; this version supports {FORMAT}")
    labels = tuple(_text(label, "labels") for label in document["labels"])
    names = tuple(_text(name, "display_names") for name in document["display_names"])
    if not labels or len(set(labels)) != len(labels):
        raise ValueError("labels must be distinct and not empty")
    if len(names) != len(labels):
        raise ValueError(f"there are {len(names)} display_names for {len(labels)} labels")
    spec = document["input"]
    size_px = spec["size"]
    if not isinstance(size_px, int) or not 1 <= size_px <= 4096:
        raise ValueError(f"input.size is {size_px!r}; it must be an integer from 1 to 4096")
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
        second_look=_second_look(document.get("second_look")),
        confused_with=_confused_with(document.get("confused_with", {}), labels),
    )


def _second_look(values: Any) -> SecondLook | None:
    if values is None:
        return None
    fractions = {
        name: _number(values[name], f"second_look.{name}", above=0, most=1)
        for name in ("threshold", "map_threshold", "min_side")
    }
    max_aspect = _number(values["max_aspect"], "second_look.max_aspect", above=1)
    return SecondLook(max_aspect=max_aspect, **fractions)


def _confused_with(values: Any, labels: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    confused = {label: tuple(others) for label, others in values.items()}
    unknown = {label for group in confused.items() for label in (group[0], *group[1])} - {*labels}
    if unknown:
        raise ValueError(f"confused_with contains {min(unknown)!r}, which is not a label")
    return confused


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name} contains {value!r}; it must be text")
    return value


def _number(value: Any, name: str, *, above: float, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not above < value <= most:
        raise ValueError(f"{name} is {value!r}, which is out of range")
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
                actual = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise BrokenArtifact(f"{path} cannot be read: {error.strerror}") from None
        if actual != expected:
            raise BrokenArtifact(
                f"{path} is damaged or belongs to another model: its sha256 is {actual[:12]}…, "
                f"but {DESCRIPTION_FILE} requires {expected[:12]}…"
            )
