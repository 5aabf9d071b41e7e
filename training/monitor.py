"""Look into a running model for the diagnostics, cheaply and without disturbing it."""

import time

import torch
from torch import Tensor, nn

from training.model import BreedClassifier

ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish)


def layer_gradients(model: nn.Module) -> dict[str, float]:
    """The norm of the gradient of each weight that has one, in the model's order."""
    named = [
        (name, parameter.grad)
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.ndim > 1
    ]
    norms = torch._foreach_norm([gradient for _, gradient in named]) if named else []
    return {name: float(norm) for (name, _), norm in zip(named, norms, strict=True)}


@torch.no_grad()
def dead_channels(model: BreedClassifier, images: Tensor) -> dict[str, float]:
    """The part of the channels of each activation that are zero for all of `images`, 0..1."""
    dead: dict[str, float] = {}
    hooks = []

    def watch(name: str) -> None:
        def note(_: nn.Module, __: object, output: Tensor) -> None:
            over = [dim for dim in range(output.ndim) if dim != 1]
            dead[name] = float((output.abs().amax(dim=over) < 1e-6).float().mean())

        hooks.append(module.register_forward_hook(note))

    for name, module in model.named_modules():
        if isinstance(module, ACTIVATIONS):
            watch(name)
    try:
        model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return dead


class Stopwatch:
    """Seconds spent in each phase of a run; `busy` tells how much of the CPU was used meanwhile."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._wall, self._cpu = self._last, time.process_time()
        self._at_start = dict(self.seconds)

    def restart(self) -> None:
        """Begin an epoch: `busy` and `since_restart` count from here."""
        self._last = self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._at_start = dict(self.seconds)

    def since_restart(self, *phases: str) -> float:
        """Seconds spent in `phases` since the epoch began."""
        return sum(self.seconds.get(p, 0.0) - self._at_start.get(p, 0.0) for p in phases)

    def lap(self, phase: str) -> float:
        """Book the time since the last lap on `phase` and return it."""
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        self.seconds[phase] = self.seconds.get(phase, 0.0) + passed
        return passed

    def busy(self, threads: int) -> float:
        """The part of `threads` cores that this process used since the epoch began, 0..1."""
        wall, cpu = time.perf_counter(), time.process_time()
        return min(1.0, (cpu - self._cpu) / max(1e-9, (wall - self._wall) * threads))
