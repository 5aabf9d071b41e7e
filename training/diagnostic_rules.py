"""Rules that detect common training problems, as SageMaker Debugger's rules did.

Debugger closed to new customers in July 2026.
https://docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Finding:
    """A detected problem: the `rule`, what it `observed`, the `consequence` and the `advice`."""

    rule: str
    observed: str
    consequence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.observed}. {self.consequence} {self.advice}"


@dataclass(slots=True)
class Observations:
    """Measurements of a run. Lists have one value per step or epoch, as their names say.

    `layer_gradients` are norms of the last sampled step, from the stem upwards. `dead_channels` is
    the fraction of the channels of each activation that are zero for all photos.
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
    cpu_use: float | None = None


def loss_not_decreasing(
    run: Observations, steps: int = 100, min_decrease: float = 0.01
) -> Finding | None:
    """The mean loss of `steps` steps is not `min_decrease` (a fraction) below the one before."""
    if len(run.step_losses) < 2 * steps or len(run.epoch_train_losses) > 3:
        return None  # late in a run the schedule makes the loss flat
    before = sum(run.step_losses[-2 * steps : -steps]) / steps
    now = sum(run.step_losses[-steps:]) / steps
    if now <= before * (1 - min_decrease):
        return None
    return Finding(
        "loss not decreasing",
        f"mean loss {before:.3f}, {steps} steps later {now:.3f}",
        "The model learns nothing from these steps.",
        "Try a third of the learning_rate, or ten times as much if the gradients are tiny; "
        "check that the labels match the photos.",
    )


def overfitting(run: Observations, epochs: int = 3, min_change: float = 0.02) -> Finding | None:
    """Over `epochs` epochs the loss falls on split train and rises on split valid."""
    train, valid = run.epoch_train_losses, run.epoch_valid_losses
    if len(valid) <= epochs:
        return None
    rises = valid[-1] > valid[-1 - epochs] * (1 + min_change)
    falls = train[-1] < train[-1 - epochs] * (1 - min_change)
    if not (rises and falls):
        return None
    return Finding(
        "overfitting",
        f"in {epochs} epochs the train loss went from {train[-1 - epochs]:.3f} to {train[-1]:.3f}, "
        f"the valid loss from {valid[-1 - epochs]:.3f} to {valid[-1]:.3f}",
        "The model memorises the training photos.",
        "Raise mixup, colour, erasing or weight_decay, lower layer_decay, or train fewer epochs.",
    )


def overtraining(run: Observations, epochs: int = 6) -> Finding | None:
    """The accuracy on split valid has not risen for `epochs` epochs."""
    top1 = run.epoch_valid_top1
    if len(top1) <= epochs or max(top1[-epochs:]) > max(top1[:-epochs]):
        return None
    return Finding(
        "overtraining",
        f"valid top-1 has not exceeded {max(top1[:-epochs]):.4f} for {epochs} epochs",
        "More epochs cost money without improving the model.",
        f"Set epochs to about {len(top1) - epochs}.",
    )


def vanishing_gradient(run: Observations, min_ratio: float = 1e-5) -> Finding | None:
    """The gradient of a trained layer is below `min_ratio` times the largest layer's."""
    if not run.layer_gradients:
        return None
    largest = max(run.layer_gradients.values())
    layer, smallest = min(run.layer_gradients.items(), key=lambda item: item[1])
    if not math.isfinite(largest) or smallest >= min_ratio * largest > 0:
        return None
    return Finding(
        "vanishing gradient",
        f"the gradient of {layer} has norm {smallest:.1e}, the largest {largest:.1e}",
        "The layers below it do not learn.",
        "Start from pretrained weights, use normalisation or skip connections, or freeze them.",
    )


def exploding_gradient(run: Observations, max_ratio: float = 50.0) -> Finding | None:
    """The last gradient is not finite, or above `max_ratio` times the median before it."""
    if not run.step_gradients:
        return None
    last, before = run.step_gradients[-1], run.step_gradients[-200:-1]
    usual = median(before) if len(before) >= 10 else math.inf
    if math.isfinite(last) and last <= max_ratio * usual:
        return None
    return Finding(
        "exploding gradient",
        f"the gradient has norm {last:.3g}" + (f", usually {usual:.3g}" if before else ""),
        "One such step can undo everything learnt so far.",
        "Lower learning_rate or clip_norm, lengthen warmup, or use precision fp32.",
    )


def poor_initialisation(run: Observations, max_ratio: float = 2.0) -> Finding | None:
    """The first loss is above `max_ratio` times that of guessing, or all first logits are equal."""
    if not run.step_losses:
        return None
    guessing = math.log(run.classes)
    first = run.step_losses[0]
    spread = run.first_logit_spread
    if not first <= max_ratio * guessing:
        observed = f"the first loss is {first:.2f}; guessing has {guessing:.2f}"
    elif spread is not None and spread < 1e-5:
        observed = f"the logits differ by {spread:.1e} between photos"
    else:
        return None
    return Finding(
        "poor initialisation",
        observed,
        "The first epochs are spent on undoing the initial weights.",
        "Start from pretrained weights, or scale the initial weights to unit variance.",
    )


def dead_activations(run: Observations, max_fraction: float = 0.5) -> Finding | None:
    """More than `max_fraction` of an activation's channels are zero for all photos."""
    dead = {layer: part for layer, part in run.dead_channels.items() if part > max_fraction}
    if not dead:
        return None
    layer, part = max(dead.items(), key=lambda item: item[1])
    return Finding(
        "dead activations",
        f"{part:.0%} of the channels of {layer} are zero for every photo",
        "Dead channels get no gradient and stay dead.",
        "Lower learning_rate, start from pretrained weights, or use a leaky activation.",
    )


def slow_data(run: Observations, max_fraction: float = 0.3, steps: int = 20) -> Finding | None:
    """The last `steps` steps waited for photos for more than `max_fraction` of their time."""
    if len(run.step_data_s) < steps:
        return None
    waiting, computing = sum(run.step_data_s[-steps:]), sum(run.step_compute_s[-steps:])
    if waiting <= max_fraction * (waiting + computing):
        return None
    return Finding(
        "slow data loading",
        f"the model waited for photos {waiting / (waiting + computing):.0%} of the time",
        "You pay for the device while it waits.",
        "Raise workers, or lower cache_size so that a photo is cheaper to augment.",
    )


def idle_device(run: Observations, min_use: float = 0.5) -> Finding | None:
    """Less than `min_use` of the CPU was used while training."""
    if run.cpu_use is None or run.cpu_use >= min_use:
        return None
    return Finding(
        "idle device",
        f"{run.cpu_use:.0%} of the device was used while training",
        "A smaller device would do the same work for less.",
        "Raise batch_size, threads or workers, or choose a smaller instance.",
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
