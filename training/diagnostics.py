"""A hook that measures a training run and reports the problems that the rules detect."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.diagnostic_rules import RULES, Finding, Observations
from training.hooks import Epoch, Hook, Step
from training.model import BreedClassifier

GRADIENT_STEPS = 25  # steps between two samples of the gradients of all layers
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish)


class Diagnostics(Hook):
    """Report each detected problem once, on stderr."""

    def __init__(self) -> None:
        self.observations = Observations(classes=0)
        self._reported: set[str] = set()

    def before_training(self, model: BreedClassifier, history: Sequence[Mapping[str, Any]]) -> None:
        self._model = model
        self.observations.classes = model.breeds.out_features
        self._observe_history(history)

    def after_step(self, step: Step) -> None:
        run = self.observations
        run.step_losses.append(step.loss)
        run.step_gradients.append(step.gradient_norm)
        run.step_data_s.append(step.data_s)
        run.step_compute_s.append(step.compute_s)
        if run.first_logit_spread is None:
            run.first_logit_spread = step.logits.float().std(dim=0).max().item()
        if step.number % GRADIENT_STEPS == 0:
            run.layer_gradients = layer_gradients(self._model)
        self._report()

    def after_epoch(self, epoch: Epoch) -> None:
        self.observations.cpu_use = epoch.cpu_use
        if epoch.images is not None:
            self.observations.dead_channels = dead_channels(self._model, epoch.images[:16])
        self._observe_history(epoch.history)
        self._report()

    def new_findings(self) -> list[Finding]:
        """Return the problems that the rules detect now and had not detected before."""
        findings = [finding for rule in RULES if (finding := rule(self.observations))]
        new = [finding for finding in findings if finding.rule not in self._reported]
        self._reported |= {finding.rule for finding in new}
        return new

    def _observe_history(self, history: Sequence[Mapping[str, Any]]) -> None:
        self.observations.epoch_train_losses = [row["train_loss"] for row in history]
        self.observations.epoch_valid_losses = [row["valid_loss"] for row in history]
        self.observations.epoch_valid_top1 = [row["valid_top1"] for row in history]

    def _report(self) -> None:
        for finding in self.new_findings():
            tqdm.write(f"diagnostics: {finding}", file=sys.stderr)


def layer_gradients(model: nn.Module) -> dict[str, float]:
    """Return the norm of the gradient of each weight that has one, in the model's order."""
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.ndim > 1
    }
    norms = torch._foreach_norm(list(gradients.values())) if gradients else []
    return {name: float(norm) for name, norm in zip(gradients, norms, strict=True)}


@torch.no_grad()
def dead_channels(model: nn.Module, images: Tensor) -> dict[str, float]:
    """Return for each activation the fraction of channels that are zero for all of `images`."""
    dead: dict[str, float] = {}
    handles = []

    def observe(name: str, activation: nn.Module) -> None:
        def record(_: nn.Module, __: object, output: Tensor) -> None:
            other_axes = [axis for axis in range(output.ndim) if axis != 1]
            dead[name] = float((output.abs().amax(dim=other_axes) < 1e-6).float().mean())

        handles.append(activation.register_forward_hook(record))

    for name, module in model.named_modules():
        if isinstance(module, ACTIVATIONS):
            observe(name, module)
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return dead
