from pathlib import Path

import numpy as np
import pytest

from training import evaluate, instruction_sets, photos
from training.errors import TrainingError
from training.metrics import top_k

pytestmark = pytest.mark.skipif(
    not instruction_sets.available(), reason="oneDNN cannot switch off this CPU's instructions"
)


def test_the_model_computes_the_same_on_older_cpus(exported: Path, photo_folder: Path) -> None:
    dogs = [photo for photo in photos.read(photo_folder) if photo.split == "test"]
    scores = evaluate.score(evaluate.load(exported), dogs)
    sets = instruction_sets.compare(exported, dogs, scores.targets)
    assert list(sets) == instruction_sets.available()
    for agreement in sets.values():
        assert agreement["top1"] == round(top_k(scores.logits, scores.targets, 1), 4)
        assert agreement["other_breed"] == 0
        assert agreement["mean_difference"] <= agreement["max_difference"] < 0.5


def test_a_process_that_fails(tmp_path: Path, photo_folder: Path) -> None:
    dogs = photos.read(photo_folder)[:1]
    with pytest.raises(TrainingError, match=r"failed: .*model\.json is missing"):
        instruction_sets.compare(tmp_path, dogs, np.zeros(1, int))
