"""Figures of merit of a classifier, from its logits, in numpy alone."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

ECE_BINS = 15


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities [N, classes] of logits [N, classes] divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def top_k(logits: Floats, targets: Ints, k: int) -> float:
    """The part of the photos, 0..1, whose breed is among the `k` highest logits."""
    if len(targets) == 0:
        return float("nan")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, np.newaxis]).any(axis=1).mean())


def negative_log_likelihood(logits: Floats, targets: Ints, temperature: float = 1.0) -> float:
    """Mean negative log likelihood in nats of the true classes at `temperature`."""
    probabilities = softmax(logits, temperature)[np.arange(len(targets)), targets]
    return float(-np.log(probabilities.clip(1e-12)).mean())


def reliability(
    probabilities: Floats, targets: Ints, bins: int = ECE_BINS
) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, photos) of each bin of equal width over 0..1 that has photos."""
    return _binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets, bins)


def expected_calibration_error(probabilities: Floats, targets: Ints, bins: int = ECE_BINS) -> float:
    """Mean distance of confidence and accuracy over the bins (Guo et al. 2017, equation 3)."""
    return _mean_distance(reliability(probabilities, targets, bins))


def calibration_error_by_chance(
    probabilities: Floats, bins: int = ECE_BINS, draws: int = 200
) -> float:
    """The mean expected calibration error of as many photos if `probabilities` were exactly right.

    Whether a photo is named right is drawn with its confidence, `draws` times. In a bin of few
    photos the accuracy strays from the confidence by chance alone.
    """
    confidence = probabilities.max(axis=1)
    chances = np.random.default_rng(0).random((draws, len(confidence)))
    return float(
        np.mean([_mean_distance(_binned(confidence, row < confidence, bins)) for row in chances])
    )


def _binned(
    confidence: Floats, correct: NDArray[np.bool_], bins: int
) -> list[tuple[float, float, int]]:
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum()))
        for inside in (bin_of == number for number in range(bins))
        if inside.any()
    ]


def _mean_distance(binned: list[tuple[float, float, int]]) -> float:
    photos = sum(count for _, _, count in binned)
    return sum(
        abs(confidence - accuracy) * count / photos for confidence, accuracy, count in binned
    )


def auroc(positive: Floats, negative: Floats) -> float:
    """The probability that a positive scores above a negative; ties count half."""
    if len(positive) == 0 or len(negative) == 0:
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    at_most = np.searchsorted(ordered, positive, side="right")
    return float((below + at_most).mean() / (2 * len(negative)))


def confusion(predicted: Ints, targets: Ints, classes: int) -> NDArray[np.int64]:
    """Counts [true class, predicted class]."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (targets, predicted), 1)
    return table
