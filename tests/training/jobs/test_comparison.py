"""Speed-up, efficiency and the recommendation of a comparison."""

from typing import Any

import pytest

from training.jobs import comparison
from training.jobs.measurement import Measurement, Times
from training.run_result import Result

TRAIN = {"epochs": 5, "batch_size": 32, "workers": 0}


def run(machines: int, total_s: float, usd: float | None, **changes: Any) -> Measurement:
    """A finished run; half of the time is training."""
    train = {**TRAIN, "batch_size": 32 // machines, **changes.pop("train", {})}
    top1, resumed = changes.pop("top1", 0.87), changes.pop("resumed", False)
    values: dict[str, Any] = {
        "name": f"run-{machines}",
        "place": f"{machines} x ml.g5.xlarge",
        "machines": machines,
        "status": "Completed",
        "times": Times(total_s / 4, total_s / 8, total_s / 2, total_s / 8),
        "result": Result(1, 1, 1, top1, 1000, 5, machines, resumed),
        "usd_on_demand": usd,
        "train": train,
        "data": "abc",
    }
    return Measurement(**{**values, **changes})


def recommend(*runs: Measurement) -> str:
    return comparison.recommendation(comparison.rows(runs))


def test_speed_up_and_efficiency() -> None:
    one, four = comparison.rows([run(1, 1200, 0.47), run(4, 400, 0.63)])
    assert (one.speed_up, one.efficiency) == (1, 1)
    assert four.speed_up == pytest.approx(3)
    assert four.efficiency == pytest.approx(0.75)
    text = comparison.render([one, four])
    for cell in ("5:00", "2:30", "10:00", "20:00", "75%", "$0.63", "0.870 ± 0.011"):
        assert cell in text


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (run(4, 1, 0.1, train={"epochs": 4}), "differ in epochs: 5 and 4"),
        (run(4, 1, 0.1, train={"batch_size": 32}), "photos per step: 32 and 128"),
        (run(4, 1, 0.1, data="def"), "different photos"),
        (run(4, 1, 0.1, resumed=True), "run-4 was interrupted and resumed"),
    ],
)
def test_another_training_is_not_compared(other: Measurement, reason: str) -> None:
    """A second job that trained nothing was 1200 times as fast."""
    compared = comparison.rows([run(1, 1200, 0.47), other])
    assert compared[1].speed_up is None
    [note] = comparison.notes(compared)
    assert reason in note
    assert "Nothing to recommend" in comparison.recommendation(compared)


def test_settings_that_only_change_the_speed_may_differ() -> None:
    compared = comparison.rows([run(1, 1200, 0.47), run(4, 400, 0.6, train={"workers": 4})])
    assert comparison.notes(compared) == []


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        (
            [run(1, 1200, 0.47), run(4, 400, 0.63)],
            "Train on 4 x ml.g5.xlarge: 3.0 times as fast as 1 x ml.g5.xlarge for 1.3 times the",
        ),
        (
            [run(1, 920, 0.36), run(4, 800, 1.44)],
            "Train on 1 x ml.g5.xlarge: 4 x ml.g5.xlarge is only 1.1 times as fast for 4.0 times",
        ),
        ([run(1, 920, 0.36), run(4, 944, 1.9)], "Train on 1 x ml.g5.xlarge: it is the fastest and"),
        ([run(1, 1200, None), run(4, 400, None)], "Train on 4 x ml.g5.xlarge: it is the fastest."),
    ],
)
def test_the_recommendation(runs: list[Measurement], sentence: str) -> None:
    assert sentence in recommend(*runs)


def test_a_worse_model_is_not_recommended() -> None:
    machine = run(1, 900, 0.3, place="EC2 g5.xlarge")
    sentence = recommend(run(1, 1200, 0.47), machine, run(4, 100, 0.1, top1=0.7))
    assert sentence == (
        "Train on EC2 g5.xlarge: it is the fastest and the cheapest, because the accuracy of "
        "4 x ml.g5.xlarge is lower by more than chance."
    )


def test_unfinished_runs_and_unknown_prices() -> None:
    failed = run(4, 1, None, status="Failed", times=None, result=None, note="The price is unknown.")
    compared = comparison.rows([run(1, 1200, 0.47), failed])
    assert "Failed" in comparison.render(compared)
    assert comparison.notes(compared) == ["The price is unknown."]
    document = comparison.as_json(compared)
    assert document["runs"][1]["total_s"] is None
    assert document["runs"][0]["total_s"] == 1200
    assert "fewer than two" in document["recommendation"]


def test_the_error_is_never_zero() -> None:
    """Six hits of six do not prove that the model makes no mistakes."""
    assert Result(1, 1, 1, 1.0, 6, 1, 1, resumed=False).standard_error == pytest.approx(
        0.117, abs=0.001
    )
