import numpy as np
import pytest

from training import metrics
from training.calibration import fit_temperature, fit_threshold


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_the_labels_is_recovered(temperature: float) -> None:
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, (20_000, 5))
    chances = metrics.softmax(logits, temperature).cumsum(axis=1)
    targets = (draw.random((len(logits), 1)) > chances).sum(axis=1)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.05)


def test_a_few_correct_photos_do_not_make_the_model_certain() -> None:
    assert fit_temperature(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([0, 1])) == 0.25


def test_a_threshold_rejects_at_most_the_allowed_fraction() -> None:
    dogs = np.random.default_rng(1).beta(4, 1, 5000)
    threshold = fit_threshold(dogs, 0.01)
    assert 0 < (dogs < threshold).mean() <= 0.01
    assert fit_threshold(np.full(100, 0.999), 0.01) == 0.5
