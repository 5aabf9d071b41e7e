"""What observes a training run: the trainer calls hooks after every step and epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from training.model import BreedClassifier


@dataclass(frozen=True, slots=True)
class Step:
    """An optimiser step. `number` counts from 0 within the epoch; `logits` are [N, breeds]."""

    number: int
    loss: float
    gradient_norm: float
    logits: Tensor
    data_s: float
    compute_s: float


@dataclass(frozen=True, slots=True)
class Epoch:
    """A finished epoch: the run's `history` up to it and its last batch of `images`.

    `images` is None if the run was resumed after the last step. `cpu_use` is the fraction of the
    CPU threads that were busy, None on a GPU.
    """

    history: Sequence[Mapping[str, Any]]
    images: Tensor | None
    cpu_use: float | None


class Hook:
    """Base of hooks. A hook may raise an exception to end the run."""

    def before_training(self, model: BreedClassifier, history: Sequence[Mapping[str, Any]]) -> None:
        """Handle the start of a run; `history` has the epochs before an interruption."""

    def after_step(self, step: Step) -> None:
        """Handle a step; the gradients are still in the model."""

    def after_epoch(self, epoch: Epoch) -> None:
        """Handle an epoch, after its checkpoint."""
