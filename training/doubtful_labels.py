"""Photos whose labels are probably wrong, found by heads that were fitted without them."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cli.files import write_atomically
from training.training_set import TrainingSet

FILE = "doubtful.csv"
_SURE = 0.9
"""Probability of another breed from which a label that seems impossible is doubtful."""


@dataclass(frozen=True, slots=True)
class DoubtfulLabel:
    """A photo whose label has nearly no `probability`, and the breed that is likelier."""

    file: str
    label: str
    probability: float
    likelier: str
    likelier_probability: float


def find(logits: Tensor, photos: TrainingSet, min_probability: float, folder: Path) -> Tensor:
    """Return which training photos have a doubtful label, bool [photos], and list them in `folder`.

    `logits` [photos, breeds] are by heads that were fitted without the photo's source. A label is
    doubtful if its probability is below `min_probability` and another breed's above 0.9.
    """
    probabilities = torch.softmax(logits.double(), dim=1)
    own = probabilities.gather(1, photos.targets[:, None])[:, 0]
    highest, likelier = probabilities.max(dim=1)
    doubtful = (own < min_probability) & (highest > _SURE)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(DoubtfulLabel.__slots__)
    for number in doubtful.nonzero().flatten().tolist():
        photo = photos.train[number]
        breed = photos.breeds[int(likelier[number])]
        scores = (f"{float(own[number]):.5f}", f"{float(highest[number]):.5f}")
        writer.writerow([photo.path, photo.breed, scores[0], breed, scores[1]])
    write_atomically(folder / FILE, text.getvalue())
    return doubtful


def read(folder: Path) -> list[DoubtfulLabel]:
    """Return the list that a run left in `folder`, empty if it left none."""
    path = folder / FILE
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            DoubtfulLabel(
                row["file"],
                row["label"],
                float(row["probability"]),
                row["likelier"],
                float(row["likelier_probability"]),
            )
            for row in csv.DictReader(lines)
        ]
