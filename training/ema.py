"""An exponential moving average of a model's weights: what is evaluated and served."""

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from training.model import BreedClassifier


class Average:
    """A copy of a model whose weights follow it slowly.

    After n updates the decay is the lesser of `decay` and (1 + n) / (10 + n), so that a short run
    is not held by its start.
    """

    def __init__(self, model: BreedClassifier, decay: float) -> None:
        self.model = deepcopy(model).eval()
        self.model.requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the weights of `model`."""
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
