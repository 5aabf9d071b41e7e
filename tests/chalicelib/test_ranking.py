import math
from dataclasses import replace

import pytest

from chalicelib import ranking
from chalicelib.model_response import ModelDescription, Scores

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


def test_notes_say_which_breeds_are_close() -> None:
    answer = ranking.rank(scores(1.0, 3.0, 2.9), top_k=1)  # top_k does not matter
    assert answer["notes"] == ["Two breeds are close: Green hound (43 %) and Blue terrier (41 %)."]
    assert ranking.rank(scores(1.0, 9.0, 3.0), top_k=1)["notes"] == []


def test_notes_name_the_breeds_that_the_model_confuses() -> None:
    one = replace(scores(0.0, 9.0, 0.0), confused_with=("Red setter",))
    note = "The model often confuses Green hound with Red setter."
    assert ranking.rank(one, top_k=3)["notes"] == [note]
    two = replace(one, confused_with=("Red setter", "Blue terrier"))
    assert "with Red setter or Blue terrier." in ranking.rank(two, top_k=3)["notes"][0]


def test_notes_say_nothing_about_the_breed_if_there_is_no_dog() -> None:
    image = replace(scores(3.0, 3.0, 3.0, dog_probability=0.1), confused_with=("Red setter",))
    assert ranking.rank(image, top_k=3)["notes"] == []


def test_a_model_of_one_breed_has_no_second() -> None:
    model = replace(MODEL, breeds=("Red setter",))
    assert ranking.rank(Scores(model, (1.0,), 0.9, "JPEG", 64, 48), top_k=1)["notes"] == []
