import pytest
import torch
from torch import Tensor, nn

from training import linear_head
from training.errors import DataError
from training.settings import TrainSettings

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


def test_each_photo_is_classified_by_a_head_that_was_fitted_without_its_source() -> None:
    sources = [*SOURCES[:7], *SOURCES[:7], *SOURCES[7:13]]
    number = {source: index for index, source in enumerate(sorted(set(sources)))}
    features = torch.tensor([[float(number[source])] for source in sources])

    def count_sources(features: Tensor, targets: Tensor) -> nn.Linear:
        """Return a head whose logits are the photos per source that it was fitted on."""
        head = nn.Linear(1, len(number))
        nn.init.zeros_(head.weight)
        head.bias.data = torch.bincount(features.flatten().long(), minlength=len(number)).float()
        return head

    targets = torch.zeros(len(sources), dtype=torch.int64)
    logits = linear_head.cross_validated_logits(count_sources, features, targets, sources, seed=0)
    assert logits.shape == (len(sources), len(number))
    for row, source in zip(logits, sources, strict=True):
        assert row[number[source]] == 0
        assert row.sum() > 0


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
