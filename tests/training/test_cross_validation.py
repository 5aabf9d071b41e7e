"""Folds that cut through no source, and logits of photos by heads that did not see them."""

import pytest
import torch
from torch import Tensor, nn

from training import cross_validation
from training.errors import DataError

SOURCES = ["a"] * 7 + ["b"] * 3 + ["c"] * 3 + ["d", "e", "f", "g", "h", "i", "j"]


def test_a_source_is_in_one_fold_and_the_folds_are_about_equal() -> None:
    folds = cross_validation.folds(SOURCES, seed=0)
    by_source: dict[str, set[int]] = {source: set() for source in SOURCES}
    for source, fold in zip(SOURCES, folds.tolist(), strict=True):
        by_source[source].add(fold)
    assert all(len(found) == 1 for found in by_source.values())
    assert sorted(torch.bincount(folds).tolist()) == [3, 3, 3, 4, 7]
    assert folds.equal(cross_validation.folds(SOURCES, seed=0))


def test_one_source_cannot_be_left_out() -> None:
    with pytest.raises(DataError, match="two sources"):
        cross_validation.folds(["a"] * 9, seed=0)


def test_no_head_judges_a_photo_whose_source_it_saw() -> None:
    sources = [*SOURCES[:7], *SOURCES[:7], *SOURCES[7:13]]
    number = {source: place for place, source in enumerate(sorted(set(sources)))}
    features = torch.tensor([[float(number[source])] for source in sources])

    def remember(seen: Tensor, targets: Tensor) -> nn.Linear:
        """A head that answers how often it saw each source, whatever it is asked."""
        head = nn.Linear(1, len(number))
        nn.init.zeros_(head.weight)
        head.bias.data = torch.bincount(seen.flatten().long(), minlength=len(number)).float()
        return head

    targets = torch.zeros(len(sources), dtype=torch.int64)
    logits = cross_validation.logits(remember, features, targets, sources, seed=0)
    assert logits.shape == (len(sources), len(number))
    for row, source in zip(logits, sources, strict=True):
        assert row[number[source]] == 0
        assert row.sum() > 0
