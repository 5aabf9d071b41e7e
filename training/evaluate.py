"""Measure a model on photos through `model_code`, the code that serves it.

example:
  python -m training evaluate --model model_code/default --data photos --split test
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cli import commands
from model_code.errors import ModelCodeError
from model_code.inference import Model, input_fn, model_fn, predict_fn
from model_code.prediction import Prediction
from training import metrics, photos
from training.errors import DataError, TrainingError
from training.folder_layout import breed_key
from training.options import data_option, model_option, split_option
from training.photos import Photo


@dataclass(frozen=True, slots=True)
class Scores:
    """A model's outputs: logits [N, breeds], dog probabilities [N], and the true breeds [N].

    The true breed is an index into the model's labels, -1 for a photo without a dog. `looks` is the
    mean number of inferences per photo.
    """

    photos: list[Photo]
    logits: NDArray[np.float32]
    dog_probabilities: NDArray[np.float32]
    targets: NDArray[np.int64]
    looks: float = 1.0


@commands.command(__doc__)
@model_option
@data_option
@split_option
@commands.json_option
def command(model_path: Path, data_path: Path, split: str, as_json: bool) -> None:
    model = load(model_path)
    dogs, others = score_split(model, data_path, split)
    result = {"split": split, **measure(model, dogs, others)}
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:>20}  {value}")


def load(folder: Path) -> Model:
    """Load an exported model as the endpoint does. Raises TrainingError."""
    try:
        return model_fn(folder)
    except ModelCodeError as error:
        raise TrainingError(str(error)) from None


def score_split(model: Model, data: Path, split: str) -> tuple[Scores, Scores | None]:
    """Score the photos of `split` and those without a dog, if any. Raises DataError."""
    everything = photos.read(data)
    dogs = [photo for photo in everything if photo.split == split]
    others = [photo for photo in everything if photo.split == "other"]
    if not dogs:
        splits = ", ".join(sorted({photo.split for photo in everything}))
        raise DataError(f"{data} has no photos in split {split}. Its splits: {splits}.")
    return score(model, dogs), score(model, others) if others else None


def score(model: Model, chosen: Sequence[Photo]) -> Scores:
    """Run `model` on each photo, one at a time as in production.

    Breeds match the model's labels in any case, with spaces, hyphens or underscores. Raises
    DataError if the endpoint would refuse a photo, or the model does not have its breed.
    """
    labels = model.artifact.labels
    index = {breed_key(label): number for number, label in enumerate(labels)}
    index |= {label: number for number, label in enumerate(labels)}
    logits, dogs, targets, looks = [], [], [], 0
    for photo in tqdm(chosen, desc="evaluate", unit="photo", leave=False, disable=None):
        target = index.get(photo.breed, index.get(breed_key(photo.breed), -1))
        if photo.breed and target == -1:
            raise DataError(f"{photo.path}: the model has no breed {photo.breed}.")
        try:
            image = input_fn(photo.path.read_bytes(), "image/*")
            prediction = cast(Prediction, predict_fn(image, model))
        except ModelCodeError as error:
            raise DataError(f"{photo.path}: {error}") from None
        logits.append(prediction.logits)
        dogs.append(prediction.dog_probability)
        targets.append(target)
        looks += prediction.looks
    return Scores(
        list(chosen),
        np.array(logits, dtype=np.float32).reshape(-1, len(labels)),
        np.array(dogs, dtype=np.float32),
        np.array(targets, dtype=np.int64),
        looks / max(1, len(chosen)),
    )


def measure(model: Model, dogs: Scores, others: Scores | None = None) -> dict[str, Any]:
    """Return the metrics on photos of dogs and, for the dog gate, on photos without one.

    Accuracies and errors are fractions, at the model's temperature and dog threshold.
    """
    artifact = model.artifact
    rejected = float((dogs.dog_probabilities < artifact.dog_threshold).mean())
    result: dict[str, Any] = {
        **measure_breeds(dogs.logits, dogs.targets, artifact.temperature),
        "dogs_refused": round(rejected, 4),
        "looks_per_photo": round(dogs.looks, 3),
    }
    if others is not None:
        gate = others.dog_probabilities
        result["others"] = len(others.photos)
        result["dog_gate_auroc"] = round(metrics.auroc(dogs.dog_probabilities, gate), 4)
        result["others_admitted"] = round(float((gate >= artifact.dog_threshold).mean()), 4)
    return result


def measure_breeds(
    logits: metrics.Floats, targets: metrics.Ints, temperature: float
) -> dict[str, Any]:
    """Return the metrics of breed logits [N, breeds] at `temperature`.

    `ece_by_chance` is the error of perfectly calibrated probabilities on as many photos: an `ece`
    close to it cannot be improved.
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
