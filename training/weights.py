"""The weights that are evaluated and served: a moving average, and the best of all epochs."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from training.model import BreedClassifier
from training.validation import Accuracy


class MovingAverage:
    """A copy of a model with the exponential moving average of its weights.

    After n updates the decay is the lesser of `decay` and (1 + n) / (10 + n), so that the initial
    weights do not dominate a short run.
    """

    def __init__(self, model: BreedClassifier, decay: float) -> None:
        self.model = deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move one step towards the weights of `model`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for mean, new in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - decay)
            else:
                mean.copy_(new)

    def state_dict(self) -> dict[str, Tensor | int]:
        return {**self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Tensor | int]) -> None:
        tensors = dict(state)
        self.updates = int(tensors.pop("updates"))
        self.model.load_state_dict(tensors)


@dataclass(slots=True)
class BestWeights:
    """A copy of the weights with the lowest loss on split valid. Epoch 0 is the linear head."""

    epoch: int = 0
    accuracy: Accuracy | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, accuracy: Accuracy, model: BreedClassifier) -> None:
        """Keep the weights of `model` if their loss is the lowest so far."""
        if self.accuracy is None or accuracy.loss < self.accuracy.loss:
            self.epoch, self.accuracy = epoch, accuracy
            self.weights = {name: w.detach().clone() for name, w in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        accuracy = None if self.accuracy is None else asdict(self.accuracy)
        return {"epoch": self.epoch, "accuracy": accuracy, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.weights = state["epoch"], state["weights"]
        self.accuracy = None if state["accuracy"] is None else Accuracy(**state["accuracy"])

    @property
    def top1(self) -> float:
        return float("nan") if self.accuracy is None else self.accuracy.top1

    def summary(self) -> str:
        """Describe the weights in one line, from which SageMaker reads their accuracy."""
        origin = f"epoch {self.epoch}" if self.epoch else "the linear head"
        row = {} if self.accuracy is None else self.accuracy.row()
        return f"kept: {origin}, " + " ".join(f"{name}={value};" for name, value in row.items())
