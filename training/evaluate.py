"""Judge a model through `model_code`, the code that serves it, on any folder or index of photos.

example:
  python -m training evaluate --model model_code/default --data ../shared/photos --split test
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model_code.errors import ModelCodeError
from model_code.inference import (
    DEFAULT_MODEL_DIR,
    Model,
    Prediction,
    input_fn,
    model_fn,
    predict_fn,
)
from training import metrics, photos
from training.errors import DataError, TrainingError
from training.photos import Photo


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model said of photos: logits [N, breeds], dog probabilities [N], true breeds [N].

    The true breed is an index into the model's labels, -1 for a picture without a dog.
    """

    photos: list[Photo]
    logits: NDArray[np.float32]
    dog_probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL_DIR, help="artifact's folder")
    parser.add_argument("--data", type=Path, required=True, help="photos: a folder or an index")
    parser.add_argument("--split", default="test", choices=photos.SPLITS)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> None:
    model = load(arguments.model)
    everything = photos.read(arguments.data)
    dogs = [photo for photo in everything if photo.split == arguments.split]
    others = [photo for photo in everything if photo.split == "other"]
    if not dogs:
        raise DataError(f"{arguments.data} has no photos in split {arguments.split}")
    found = figures(model, score(model, dogs), score(model, others) if others else None)
    found = {"split": arguments.split, **found}
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:>20}  {value}")


def load(folder: Path) -> Model:
    """The artifact in `folder`, compiled as the endpoint does. Raises `TrainingError`."""
    try:
        return model_fn(folder)
    except ModelCodeError as error:
        raise TrainingError(str(error)) from None


def score(model: Model, chosen: Sequence[Photo]) -> Scores:
    """What `model` says of each photo, one at a time as in production.

    Raises `DataError` for a photo that the endpoint would refuse, or of an unknown breed.
    """
    index = {label: number for number, label in enumerate(model.artifact.labels)}
    logits, dogs, targets = [], [], []
    for photo in tqdm(chosen, desc="evaluate", unit="photo", leave=False, disable=None):
        if photo.breed and photo.breed not in index:
            raise DataError(f"{photo.path}: the model does not know the breed {photo.breed}")
        try:
            payload = input_fn(photo.path.read_bytes(), "image/*")
            answer = cast(Prediction, predict_fn(payload, model))
        except ModelCodeError as error:
            raise DataError(f"{photo.path}: {error}") from None
        logits.append(answer.logits)
        dogs.append(answer.dog_probability)
        targets.append(index.get(photo.breed, -1))
    breeds = len(model.artifact.labels)
    return Scores(
        list(chosen),
        np.array(logits, dtype=np.float32).reshape(-1, breeds),
        np.array(dogs, dtype=np.float32),
        np.array(targets, dtype=np.int64),
    )


def figures(model: Model, dogs: Scores, others: Scores | None = None) -> dict[str, Any]:
    """The figures of merit on photos of dogs and, for the gate, of other things.

    Accuracies and errors are parts of 1; `ece` has 15 bins and is taken at the model's
    temperature; `dogs_refused` and `others_admitted` at its dog threshold.
    """
    artifact = model.artifact
    refused = float((dogs.dog_probabilities < artifact.dog_threshold).mean())
    found: dict[str, Any] = {
        **breed_figures(dogs.logits, dogs.targets, artifact.temperature),
        "dogs_refused": round(refused, 4),
    }
    if others is not None:
        gate = others.dog_probabilities
        found["others"] = len(others.photos)
        found["dog_gate_auroc"] = round(metrics.auroc(dogs.dog_probabilities, gate), 4)
        found["others_admitted"] = round(float((gate >= artifact.dog_threshold).mean()), 4)
    return found


def breed_figures(
    logits: metrics.Floats, targets: metrics.Ints, temperature: float
) -> dict[str, Any]:
    """The figures of merit of breed logits [N, breeds] at `temperature`.

    `ece_by_chance` is what perfectly calibrated probabilities would show on as many photos: an
    `ece` near it can get better by more photos only.
    """
    probabilities = metrics.softmax(logits, temperature)
    return {
        "photos": len(targets),
        "top1": round(metrics.top_k(logits, targets, 1), 4),
        "top5": round(metrics.top_k(logits, targets, 5), 4),
        "ece": round(metrics.expected_calibration_error(probabilities, targets), 4),
        "ece_by_chance": round(metrics.calibration_error_by_chance(probabilities), 4),
        "nll": round(metrics.negative_log_likelihood(logits, targets, temperature), 4),
    }
