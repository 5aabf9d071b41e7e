"""AdamW with a learning rate per layer, and its schedule over a run."""

import math
from typing import Any

from timm.models import group_parameters
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from training.model import BreedClassifier
from training.settings import TrainSettings


def create(model: BreedClassifier, settings: TrainSettings, steps: int) -> tuple[AdamW, LambdaLR]:
    """Return the optimiser of a run of `steps` steps and the schedule of its learning rates."""
    optimiser = AdamW(parameter_groups(model, settings))
    return optimiser, warmup_and_cosine(optimiser, steps, round(settings.warmup * steps))


def parameter_groups(model: BreedClassifier, settings: TrainSettings) -> list[dict[str, Any]]:
    """Group parameters by layer, with a learning rate that decays from the head downwards.

    Layers with less than frozen_below of the head's rate are frozen: 3,000 photos do not improve
    what a pretrained backbone has learnt about edges and textures, and skipping their backward
    pass saves a third of the time. From random weights everything is trained.
    """
    frozen_below = settings.frozen_below if settings.pretrained else 0.0
    if settings.pretrained and not settings.depthwise:
        freeze_depthwise(model.trunk)
    depth = layer_depths(model.trunk)
    top = max(depth.values()) + 1
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = top
        if name.startswith("trunk."):
            layer = depth.get(name.removeprefix("trunk."), top - 1)
        factor = settings.layer_decay ** (top - layer)
        if factor < frozen_below:
            parameter.requires_grad_(False)
            continue
        decays = parameter.ndim > 1  # neither biases nor normalisation
        group = groups.setdefault(
            (layer, decays),
            {
                "params": [],
                "lr": settings.learning_rate * factor,
                "weight_decay": settings.weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def layer_depths(trunk: nn.Module) -> dict[str, int]:
    """Return the depth of each parameter of a timm model; the stem has depth 0."""
    matcher = trunk.group_matcher(coarse=False)  # type: ignore[operator]
    depths: dict[str, int] = group_parameters(trunk, matcher, reverse=True)
    return depths


def freeze_depthwise(network: nn.Module) -> None:
    """Freeze the filters of depthwise convolutions.

    On a CPU the gradient of a 5x5 filter takes far longer than its forward pass: 71 and 3.5 ms for
    288 channels at 26x26.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            module.weight.requires_grad_(False)


def warmup_and_cosine(optimiser: AdamW, steps: int, warmup_steps: int) -> LambdaLR:
    """Raise the rates over `warmup_steps`, then lower them along a cosine to 1 % at `steps`."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        done = (step - warmup_steps) / max(1, steps - warmup_steps)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return LambdaLR(optimiser, factor)
