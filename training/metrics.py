"""Accuracy and likelihood of logits, calibration error, AUROC."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from scipy.special import softmax as scipy_softmax
from sklearn.metrics import roc_auc_score

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

ECE_BINS = 15


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return probabilities [N, classes] of logits [N, classes] divided by `temperature`."""
    probabilities: NDArray[np.float64] = scipy_softmax(
        logits.astype(np.float64) / temperature, axis=1
    )
    return probabilities


def top_k(logits: Floats, targets: Ints, k: int) -> float:
    """Return the fraction of photos whose breed is among the `k` highest logits."""
    if len(targets) == 0:
        return float("nan")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((best == targets[:, np.newaxis]).any(axis=1).mean())


def negative_log_likelihood(logits: Floats, targets: Ints, temperature: float = 1.0) -> float:
    """Return the mean negative log likelihood in nats of the true classes at `temperature`."""
    log_probabilities = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return float(-log_probabilities[np.arange(len(targets)), targets].mean())


def reliability(probabilities: Floats, targets: Ints) -> list[tuple[float, float, int]]:
    """Return (mean confidence, accuracy, photos) of each non-empty bin of equal width."""
    return _binned(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def expected_calibration_error(probabilities: Floats, targets: Ints) -> float:
    """Return the mean distance of confidence and accuracy (Guo et al. 2017, equation 3)."""
    return _mean_distance(reliability(probabilities, targets))


def calibration_error_by_chance(probabilities: Floats, draws: int = 200) -> float:
    """Return the mean expected calibration error if `probabilities` were exactly right.

    It is not 0, because in a bin of few photos accuracy differs from confidence by chance. The
    correctness of each photo is drawn with its confidence, `draws` times.
    """
    confidence = probabilities.max(axis=1)
    uniform = np.random.default_rng(0).random((draws, len(confidence)))
    return float(
        np.mean([_mean_distance(_binned(confidence, row < confidence)) for row in uniform])
    )


def _binned(confidence: Floats, correct: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    bin_of = np.minimum((confidence * ECE_BINS).astype(int), ECE_BINS - 1)
    members = (bin_of == number for number in np.unique(bin_of))
    return [
        (float(confidence[member].mean()), float(correct[member].mean()), int(member.sum()))
        for member in members
    ]


def _mean_distance(binned: list[tuple[float, float, int]]) -> float:
    photos = sum(count for _, _, count in binned)
    return sum(
        abs(confidence - accuracy) * count / photos for confidence, accuracy, count in binned
    )


def auroc(positive: Floats, negative: Floats) -> float:
    """Return the probability that a positive scores above a negative; NaN if either is empty."""
    if len(positive) == 0 or len(negative) == 0:
        return float("nan")
    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return float(roc_auc_score(labels, np.concatenate([positive, negative])))
