import math

import pytest

from chalicelib import ranking
from chalicelib.endpoint import ModelDescription, Scores

MODEL = ModelDescription(("Red setter", "Green hound", "Blue terrier"), "tiny", "1", 2.0, 0.5)


def scores(*logits: float, dog_probability: float = 0.9) -> Scores:
    return Scores(MODEL, logits, dog_probability, "JPEG", 64, 48)


def test_probabilities_are_the_tempered_softmax() -> None:
    assert ranking.probabilities([2.0, 0.0], 2.0) == pytest.approx(
        [math.e / (math.e + 1), 1 / (math.e + 1)]
    )


def test_probabilities_of_huge_logits_do_not_overflow() -> None:
    assert ranking.probabilities([1e6, 0.0, -1e6], 1.0) == [1.0, 0.0, 0.0]


def test_predictions_are_sorted_and_all_logits_returned() -> None:
    answer = ranking.rank(scores(1.0, 3.0, 2.0), top_k=2)
    assert [each["breed"] for each in answer["predictions"]] == ["Green hound", "Blue terrier"]
    assert [each["logit"] for each in answer["predictions"]] == [3.0, 2.0]
    assert answer["logits"] == [1.0, 3.0, 2.0]
    assert answer["model"] == {"name": "tiny", "version": "1"}
    predictions = ranking.rank(scores(1.0, 3.0, 2.0), top_k=3)["predictions"]
    assert sum(each["probability"] for each in predictions) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("dog_probability", "is_dog"), [(0.49, False), (0.5, True), (1.0, True)])
def test_the_dog_threshold(dog_probability: float, is_dog: bool) -> None:
    answer = ranking.rank(scores(1, 2, 3, dog_probability=dog_probability), top_k=1)
    assert answer["is_dog"] is is_dog
    assert answer["dog_probability"] == dog_probability
