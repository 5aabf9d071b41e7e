from pathlib import Path

import torch

from training import doubtful_labels
from training.photos import Photo
from training.training_set import TrainingSet

BREEDS = ["Akita", "Beagle"]


def test_a_label_is_doubtful_if_another_breed_is_nearly_certain(tmp_path: Path) -> None:
    logits = torch.tensor([[0.0, 9], [0, 2], [9, 0], [0, 9]])
    targets = torch.tensor([0, 0, 0, 1])
    train = [
        Photo(Path(f"{number}.jpg"), "train", BREEDS[target], "a")
        for number, target in enumerate(targets.tolist())
    ]
    photos = TrainingSet(BREEDS, train, [], targets, targets[:0], [0, 1, 2, 3], 0, 1, "")
    doubtful = doubtful_labels.find(logits, photos, 0.01, tmp_path)
    assert doubtful.tolist() == [True, False, False, False]
    [label] = doubtful_labels.read(tmp_path)
    assert (label.file, label.label, label.likelier) == ("0.jpg", "Akita", "Beagle")
    assert label.probability < 0.001 < 0.99 < label.likelier_probability


def test_a_run_without_a_list(tmp_path: Path) -> None:
    assert doubtful_labels.read(tmp_path) == []
