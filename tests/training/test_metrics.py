import numpy as np
import pytest

from training import metrics

LOGITS = np.array([[3.0, 1.0, 0.0], [0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [5.0, 0.0, 1.0]])
TARGETS = np.array([0, 1, 1, 2])


def test_top_k_counts_the_k_best() -> None:
    assert metrics.top_k(LOGITS, TARGETS, 1) == 0.5
    assert metrics.top_k(LOGITS, TARGETS, 2) == 1.0


def test_softmax_handles_large_logits_and_sharpens_with_lower_temperature() -> None:
    assert metrics.softmax(np.array([[1e4, 0.0]]))[0, 0] == 1.0
    warm, cold = metrics.softmax(LOGITS, 2.0), metrics.softmax(LOGITS, 0.5)
    assert (cold.max(axis=1) > warm.max(axis=1)).all()
    assert warm.sum(axis=1) == pytest.approx(1)


def test_auroc_is_the_fraction_of_ordered_pairs() -> None:
    draw = np.random.default_rng(0)
    positive, negative = draw.integers(0, 9, 40) / 9, draw.integers(0, 7, 50) / 9
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    assert metrics.auroc(positive, negative) == pytest.approx(pairs.mean())
    assert np.isnan(metrics.auroc(positive, np.array([])))


def test_calibration_error_of_a_certain_model_that_is_right_half_the_time() -> None:
    probabilities = np.array([[1.0, 0.0]] * 10)
    targets = np.array([0, 1] * 5)
    assert metrics.expected_calibration_error(probabilities, targets) == pytest.approx(0.5)
    assert metrics.reliability(probabilities, targets) == [(1.0, 0.5, 10)]


def test_the_calibration_error_of_perfect_probabilities_shrinks_with_more_photos() -> None:
    draw = np.random.default_rng(0)
    probabilities = metrics.softmax(draw.normal(0, 3, (4000, 5)))
    targets = (draw.random((4000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    few = metrics.calibration_error_by_chance(probabilities[:200])
    many = metrics.calibration_error_by_chance(probabilities)
    assert 0 < 3 * many < few
    measured = metrics.expected_calibration_error(probabilities, targets)
    assert measured == pytest.approx(many, rel=0.6)
    assert metrics.expected_calibration_error(probabilities**0.3, targets) > 5 * many
