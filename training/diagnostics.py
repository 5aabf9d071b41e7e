"""Rules that watch a training run and say what is ill: what SageMaker Debugger's rules did.

Debugger was closed to new customers in July 2026; its rules are here as functions from what was
observed to a `Finding` or None. `Watch` collects the observations and reports a rule once.
https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One illness: the `rule` that fired, what it `saw`, `why` it matters, what to `change`."""

    rule: str
    saw: str
    why: str
    change: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.saw}. {self.why} {self.change}"


@dataclass(slots=True)
class Observations:
    """What a run has shown so far. Lists grow by one a step or an epoch, as their names say.

    `layer_gradients` are norms of the latest sampled step from the stem upwards; `dead_channels`
    the part of the channels of each activation that answer no photo; `busy` the used part of the
    device, 0..1, None where it cannot be told.
    """

    classes: int
    step_losses: list[float] = field(default_factory=list)
    step_gradients: list[float] = field(default_factory=list)
    step_data_s: list[float] = field(default_factory=list)
    step_compute_s: list[float] = field(default_factory=list)
    layer_gradients: Mapping[str, float] = field(default_factory=dict)
    dead_channels: Mapping[str, float] = field(default_factory=dict)
    first_logit_spread: float | None = None
    epoch_train_losses: list[float] = field(default_factory=list)
    epoch_valid_losses: list[float] = field(default_factory=list)
    epoch_valid_top1: list[float] = field(default_factory=list)
    busy: float | None = None


def loss_not_decreasing(
    seen: Observations, steps: int = 100, least: float = 0.01
) -> Finding | None:
    """The mean loss of the last `steps` steps is not `least` (part of 1) below that before."""
    if len(seen.step_losses) < 2 * steps or len(seen.epoch_train_losses) > 3:
        return None  # late in a run a flat loss is what the schedule wants
    before = sum(seen.step_losses[-2 * steps : -steps]) / steps
    now = sum(seen.step_losses[-steps:]) / steps
    if now <= before * (1 - least):
        return None
    return Finding(
        "loss not decreasing",
        f"mean loss {before:.3f}, {steps} steps later {now:.3f}",
        "The model learns nothing from these steps.",
        "Try a learning_rate of a third, or ten times as much if the gradients are tiny; "
        "look whether the labels belong to the photos.",
    )


def overfitting(seen: Observations, epochs: int = 3, least: float = 0.02) -> Finding | None:
    """Over `epochs` epochs the loss falls on split train and rises on split valid."""
    train, valid = seen.epoch_train_losses, seen.epoch_valid_losses
    if len(valid) <= epochs:
        return None
    rises = valid[-1] > valid[-1 - epochs] * (1 + least)
    falls = train[-1] < train[-1 - epochs] * (1 - least)
    if not (rises and falls):
        return None
    return Finding(
        "overfitting",
        f"in {epochs} epochs the train loss went {train[-1 - epochs]:.3f} -> {train[-1]:.3f}, "
        f"the valid loss {valid[-1 - epochs]:.3f} -> {valid[-1]:.3f}",
        "What it learns now holds for these photos only.",
        "Raise mixup, colour, erasing or weight_decay, lower layer_decay, or train fewer epochs.",
    )


def overtraining(seen: Observations, epochs: int = 6) -> Finding | None:
    """The accuracy on split valid has not risen for `epochs` epochs."""
    top1 = seen.epoch_valid_top1
    if len(top1) <= epochs or max(top1[-epochs:]) > max(top1[:-epochs]):
        return None
    return Finding(
        "overtraining",
        f"valid top-1 was best {max(top1[:-epochs]):.4f} and for {epochs} epochs no better",
        "Further epochs cost money and buy nothing.",
        f"Set epochs to about {len(top1) - epochs}.",
    )


def vanishing_gradient(seen: Observations, ratio: float = 1e-5) -> Finding | None:
    """A trained layer's gradient is smaller than `ratio` times the largest layer's."""
    if not seen.layer_gradients:
        return None
    largest = max(seen.layer_gradients.values())
    layer, least = min(seen.layer_gradients.items(), key=lambda item: item[1])
    if not math.isfinite(largest) or least >= ratio * largest > 0:
        return None
    return Finding(
        "vanishing gradient",
        f"the gradient of {layer} has norm {least:.1e}, the largest {largest:.1e}",
        "The layers below it stand still.",
        "Start from pretrained weights, use normalisation or skip connections, or freeze them.",
    )


def exploding_gradient(seen: Observations, times: float = 50.0) -> Finding | None:
    """The last gradient is not finite, or `times` the median of those before it."""
    if not seen.step_gradients:
        return None
    last, before = seen.step_gradients[-1], seen.step_gradients[-200:-1]
    usual = median(before) if len(before) >= 10 else math.inf
    if math.isfinite(last) and last <= times * usual:
        return None
    return Finding(
        "exploding gradient",
        f"the gradient's norm is {last:.3g}" + (f", usually {usual:.3g}" if before else ""),
        "One such step can undo all that was learnt.",
        "Lower learning_rate or clip_norm, lengthen warmup, or use precision fp32.",
    )


def poor_initialisation(seen: Observations, times: float = 2.0) -> Finding | None:
    """The first loss is `times` that of guessing, or all photos get the same answer at first."""
    if not seen.step_losses:
        return None
    guessing = math.log(seen.classes)
    why = "Training spends its first epochs on undoing the start, or never gets away from it."
    change = "Start from pretrained weights, or scale the initial weights to unit variance."
    first = seen.step_losses[0]
    if not first <= times * guessing:
        saw = f"the first loss is {first:.2f}, guessing has {guessing:.2f}"
        return Finding("poor initialisation", saw, why, change)
    if seen.first_logit_spread is not None and seen.first_logit_spread < 1e-5:
        saw = f"the logits differ by {seen.first_logit_spread:.1e} between photos"
        return Finding("poor initialisation", saw, why, change)
    return None


def dead_activations(seen: Observations, part: float = 0.5) -> Finding | None:
    """More than `part` of the channels of an activation answer no photo at all."""
    dead = {layer: share for layer, share in seen.dead_channels.items() if share > part}
    if not dead:
        return None
    layer, share = max(dead.items(), key=lambda item: item[1])
    return Finding(
        "dead activations",
        f"{share:.0%} of the channels of {layer} are zero for every photo",
        "Dead channels get no gradient and stay dead; the network is smaller than it looks.",
        "Lower learning_rate, start from pretrained weights, or use a leaky activation.",
    )


def slow_data(seen: Observations, part: float = 0.3, steps: int = 20) -> Finding | None:
    """The last `steps` steps waited for photos for more than `part` of their time."""
    if len(seen.step_data_s) < steps:
        return None
    waiting, computing = sum(seen.step_data_s[-steps:]), sum(seen.step_compute_s[-steps:])
    if waiting <= part * (waiting + computing):
        return None
    return Finding(
        "slow data loading",
        f"{waiting / (waiting + computing):.0%} of the time the model waited for photos",
        "The device is paid for while it waits.",
        "Raise workers, or lower cache_size so that a photo is cheaper to augment.",
    )


def idle_device(seen: Observations, least: float = 0.5) -> Finding | None:
    """While training, less than `least` of the device was used."""
    if seen.busy is None or seen.busy >= least:
        return None
    return Finding(
        "idle device",
        f"{seen.busy:.0%} of the device was used while training",
        "A smaller device would do the same work for less.",
        "Raise batch_size, threads or workers, or take a smaller instance.",
    )


RULES: tuple[Callable[[Observations], Finding | None], ...] = (
    poor_initialisation,
    exploding_gradient,
    vanishing_gradient,
    loss_not_decreasing,
    dead_activations,
    slow_data,
    idle_device,
    overfitting,
    overtraining,
)


class Watch:
    """The observations of a run and what the rules have found in them, each rule once."""

    def __init__(self, classes: int) -> None:
        self.seen = Observations(classes)
        self.found: list[Finding] = []

    def step(self, loss: float, gradient: float, data_s: float) -> None:
        """Note one step: its loss, its gradient's norm, and how long it waited for photos."""
        self.seen.step_losses.append(loss)
        self.seen.step_gradients.append(gradient)
        self.seen.step_data_s.append(data_s)

    def epochs(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Note the finished epochs of a run, those before an interruption too."""
        self.seen.epoch_train_losses = [row["train_loss"] for row in history]
        self.seen.epoch_valid_losses = [row["valid_loss"] for row in history]
        self.seen.epoch_valid_top1 = [row["valid_top1"] for row in history]

    def examine(self) -> list[Finding]:
        """What the rules find now and had not found before."""
        known = {finding.rule for finding in self.found}
        new = [
            finding
            for finding in (rule(self.seen) for rule in RULES)
            if finding is not None and finding.rule not in known
        ]
        self.found += new
        return new
