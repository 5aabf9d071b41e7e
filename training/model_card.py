"""MODEL_CARD.md, written from what was measured: nothing in it is typed by hand.

Its sections follow Mitchell et al. 2019, "Model Cards for Model Reporting".
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training import metrics
from training.breed_names import display_name
from training.evaluate import Scores
from training.photos import Photo

FILE = "MODEL_CARD.md"
_PAIRS = 15


def write(
    description: Mapping[str, Any],
    scores: Scores,
    photos: Mapping[str, Sequence[Photo]],
    comparison: str,
) -> str:
    """The card of the model that `description`, its model.json, describes.

    `scores` are the model's on the split that the figures are of, `photos` those of each split,
    `comparison` the table of the precisions that export tried.
    """
    figures, how = description["metrics"], description["trained_with"]
    split = figures["split"]
    settings = how["settings"]
    parts = [
        f"# {description['name']} {description['version']}",
        "Written by `python -m training export`; every figure below was measured through "
        "`model_code`, the code that serves the model.",
        "## What it does",
        f"It names the breed of the dog in a photo, one of {len(description['labels'])}, and says "
        "whether there is a dog at all. "
        f"Backbone {how['backbone']} ({how['precision']}), {description['input']['size']} px, one "
        "pass a photo.",
        "## How good it is",
        f"On split {split}, {figures['photos']} photos from sources that training never saw:",
        _figures(figures),
        f"95 % of such samples of {figures['photos']} photos lie within "
        f"±{100 * 1.96 * (figures['top1'] * (1 - figures['top1']) / figures['photos']) ** 0.5:.1f} "
        "points of the true top-1 accuracy.",
        "Precisions, from fp32 down; the smallest that keeps top-1 is the one that is served:",
        f"```\n{comparison}\n```",
        "## Calibration",
        _calibration(description["temperature"], figures),
        f"Confidence and accuracy on split {split}:",
        _reliability(scores, description["temperature"]),
        "## Breeds it takes for another",
        _confusions(scores, description["labels"]),
        "## Accuracy of each breed",
        f"Photos of split {split} that were named right, of all, and photos to train on.",
        _breeds(scores, description["labels"], photos["train"]),
        "## Data",
        _data(photos, how["data"]),
        "## Limits",
        _limits(photos["train"], figures),
        "## How it was made",
        f"```\n{how['command']}\n```",
        ", ".join(f"{key} {value}" for key, value in settings.items()) + ".",
        f"torch {how['torch']}, OpenVINO {how['openvino'].split('-')[0]}.",
    ]
    return "\n\n".join(parts) + "\n"


def _figures(figures: Mapping[str, Any]) -> str:
    rows = [
        ("top-1 accuracy", f"{figures['top1']:.4f}"),
        ("top-5 accuracy", f"{figures['top5']:.4f}"),
        ("expected calibration error, 15 bins", f"{figures['ece']:.4f}"),
        ("the same of perfect probabilities, by chance", f"{figures['ece_by_chance']:.4f}"),
        ("negative log likelihood", f"{figures['nll']:.4f}"),
        ("dogs that the gate refuses", f"{figures['dogs_refused']:.4f}"),
    ]
    if "others" in figures:
        rows += [
            (f"dog gate AUROC against {figures['others']} others", f"{figures['dog_gate_auroc']}"),
            ("other pictures that the gate admits", f"{figures['others_admitted']:.4f}"),
        ]
    return _table(("figure", "value"), rows)


def _calibration(temperature: float, figures: Mapping[str, Any]) -> str:
    held_out = figures["held_out"]
    return (
        f"Logits are divided by a temperature of {temperature}, fitted on {held_out['photos']} "
        "photos of split train that the weights judging them had not seen. There the expected "
        f"calibration error is {held_out['ece']:.4f} (perfect probabilities: "
        f"{held_out['ece_by_chance']:.4f} by chance), the top-1 accuracy {held_out['top1']:.4f}."
    )


def _reliability(scores: Scores, temperature: float) -> str:
    bins = metrics.reliability(metrics.softmax(scores.logits, temperature), scores.targets)
    return _table(
        ("mean confidence", "accuracy", "photos"),
        [(f"{confidence:.2f}", f"{accuracy:.2f}", str(n)) for confidence, accuracy, n in bins],
    )


def _confusions(scores: Scores, labels: Sequence[str]) -> str:
    table = metrics.confusion(scores.logits.argmax(axis=1), scores.targets, len(labels))
    np.fill_diagonal(table, 0)
    both = Counter[tuple[int, int]]()
    for true, named in zip(*np.nonzero(table), strict=True):
        both[min(true, named), max(true, named)] += int(table[true, named])
    rows = [
        (display_name(labels[first]), display_name(labels[second]), str(count))
        for (first, second), count in both.most_common(_PAIRS)
    ]
    return _table(("breed", "and", "photos mistaken"), rows)


def _breeds(scores: Scores, labels: Sequence[str], train: Sequence[Photo]) -> str:
    right = scores.logits.argmax(axis=1) == scores.targets
    trained = Counter(photo.breed for photo in train)
    rows = []
    for number, label in enumerate(labels):
        of_breed = scores.targets == number
        result = f"{int(right[of_breed].sum())} of {int(of_breed.sum())}" if of_breed.any() else "–"
        rows.append((display_name(label), result, str(trained[label])))
    return _table(("breed", "right", "trained on"), rows)


def _data(photos: Mapping[str, Sequence[Photo]], fingerprint: str) -> str:
    rows = [
        (split, str(len(chosen)), str(len({photo.source for photo in chosen})))
        for split, chosen in photos.items()
        if chosen
    ]
    table = _table(("split", "photos", "sources"), rows)
    return (
        f"{table}\n\nNo source is in two splits. {_held_out(photos)} Split test chose the "
        "precision; what else was known of it while hyperparameters were chosen stands in "
        "docs/training.md. "
        f"Fingerprint `{fingerprint}`. "
        "The photos belong to their photographers and are not part of the project."
    )


def _held_out(photos: Mapping[str, Sequence[Photo]]) -> str:
    if photos.get("valid"):
        return "Split valid was held out of training: it fitted temperature and threshold."
    return (
        "Temperature and threshold come from split train by cross-validation: each photo was "
        "judged by a head that was fitted without its source."
    )


def _limits(train: Sequence[Photo], figures: Mapping[str, Any]) -> str:
    counts = Counter(photo.breed for photo in train)
    few = sorted(display_name(breed) for breed, count in counts.items() if count < 6)
    points = [
        "It knows these breeds and no others: a mongrel gets the breed it resembles, and several "
        "dogs in one photo get one answer.",
        "It looks at the centred square of the photo; a dog at the edge may be cut off.",
        "Photos are from the web: well lit, whole dogs, mostly adult. Puppies and clipped coats "
        "are rarer, and are mistaken more often.",
        f"A breed has few photos in split {figures['split']}: the accuracy of one breed is an "
        "impression, not a measurement.",
        "The dog gate asks for a dog, not for a photo: drawings and toys may pass.",
    ]
    if few:
        points.append(f"Fewer than six photos to train on: {', '.join(few)}.")
    return "\n".join(f"- {point}" for point in points)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
