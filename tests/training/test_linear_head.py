from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.conftest import MakeSettings
from training import backbones, linear_head
from training.errors import DataError
from training.model import BreedClassifier
from training.photos import Photo
from training.settings import TrainSettings
from training.training_set import TrainingSet

SOURCES = ["a"] * 7 + ["b"] * 3 + ["c"] * 3 + ["d", "e", "f", "g", "h", "i", "j"]


def test_a_source_is_in_one_fold_and_the_folds_are_about_equal() -> None:
    folds = linear_head.folds(SOURCES, seed=0)
    by_source: dict[str, set[int]] = {source: set() for source in SOURCES}
    for source, fold in zip(SOURCES, folds.tolist(), strict=True):
        by_source[source].add(fold)
    assert all(len(numbers) == 1 for numbers in by_source.values())
    assert sorted(torch.bincount(folds).tolist()) == [3, 3, 3, 4, 7]
    assert folds.equal(linear_head.folds(SOURCES, seed=0))


def test_one_source_cannot_be_cross_validated() -> None:
    with pytest.raises(DataError, match="two sources"):
        linear_head.folds(["a"] * 9, seed=0)


def test_each_photo_is_classified_by_a_head_that_was_fitted_without_its_source(
    tiny_settings: MakeSettings,
) -> None:
    """Each source has a breed and a feature of its own, so only a head that saw it knows both."""
    sources = [source for source in "abcdefgh" for _ in range(4)]
    targets = torch.arange(len(sources)) // 4
    breeds = [f"breed {number}" for number in range(8)]
    train = [
        Photo(Path(f"{number}"), "train", breeds[target], source)
        for number, (target, source) in enumerate(zip(targets.tolist(), sources, strict=True))
    ]
    photos = TrainingSet(breeds, train, [], targets, targets[:0], list(range(32)), 0, 1, "")
    model = BreedClassifier(backbones.create("test_efficientnet", pretrained=False), 8)
    features = torch.zeros(32, model.breeds.in_features)
    features[torch.arange(32), targets] = 10
    fitter = linear_head.Fitter(model, photos, tiny_settings())
    head = fitter.fit(features, None, None, torch.ones(32, dtype=torch.bool))
    assert (features @ head.weight.T + head.bias).argmax(dim=1).equal(targets)
    assert head.held_out is not None
    logits = head.held_out["logits"]
    assert logits.shape == (32, 1, 8)
    assert (logits[:, 0].argmax(dim=1) != targets).all()


def test_rounding_errors_of_features_do_not_move_the_head() -> None:
    """As between two CPUs, or one process and several: the last bits of the features differ."""
    draw = torch.Generator().manual_seed(0)
    targets = torch.arange(80) % 5
    signal = torch.randn(5, 400, generator=draw)[targets]
    features = (3 * torch.randn(80, 400, generator=draw) + 2 * signal).relu()
    noise = 1 + 1e-6 * torch.randn(features.shape, generator=draw)
    initial = nn.Linear(400, 5)
    with torch.no_grad():
        initial.weight.copy_(0.05 * torch.randn(5, 400, generator=draw))
        initial.bias.zero_()
    settings = TrainSettings()
    one = linear_head.fit_linear(initial, features, targets, settings)
    two = linear_head.fit_linear(initial, features * noise, targets, settings)
    torch.testing.assert_close(one(features), two(features), rtol=0, atol=0.1)
