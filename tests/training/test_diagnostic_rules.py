"""Each rule detects its problem, and a healthy run has none."""

from dataclasses import replace
from typing import Any

import pytest

from training import diagnostic_rules
from training.diagnostic_rules import Observations


def healthy() -> Observations:
    steps = [3.0 * 0.99**n + 0.5 for n in range(250)]
    return Observations(
        classes=133,
        step_losses=steps,
        step_gradients=[1.0 + 0.2 * (n % 5) for n in range(250)],
        step_data_s=[0.01] * 250,
        step_compute_s=[0.5] * 250,
        layer_gradients={"stem": 0.02, "block": 0.3, "head": 1.0},
        dead_channels={"block.act": 0.1},
        first_logit_spread=0.4,
        epoch_train_losses=[2.0, 1.5, 1.2, 1.0, 0.9],
        epoch_valid_losses=[2.1, 1.6, 1.3, 1.2, 1.15],
        epoch_valid_top1=[0.5, 0.6, 0.7, 0.75, 0.76],
        cpu_use=0.95,
    )


PROBLEMS: dict[str, dict[str, Any]] = {
    "loss not decreasing": {
        "step_losses": [4.9] * 200,
        "epoch_train_losses": [],
        "epoch_valid_losses": [],
    },
    "overfitting": {
        "epoch_train_losses": [1.0, 0.8, 0.5, 0.3],
        "epoch_valid_losses": [1.0, 1.0, 1.1, 1.3],
    },
    "overtraining": {"epoch_valid_top1": [0.6, 0.8, 0.79, 0.78, 0.79, 0.8, 0.79, 0.78]},
    "vanishing gradient": {"layer_gradients": {"stem": 1e-9, "head": 1.0}},
    "exploding gradient": {"step_gradients": [1.0] * 50 + [900.0]},
    "poor initialisation": {"step_losses": [40.0]},
    "dead activations": {"dead_channels": {"block.act": 0.8, "other": 0.1}},
    "slow data loading": {"step_data_s": [0.5] * 30, "step_compute_s": [0.5] * 30},
    "idle device": {"cpu_use": 0.2},
}


def test_a_healthy_run_has_no_findings() -> None:
    assert [rule(healthy()) for rule in diagnostic_rules.RULES] == [None] * len(PROBLEMS)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_is_detected_by_its_rule_alone(problem: str) -> None:
    run = replace(healthy(), **PROBLEMS[problem])
    [finding] = [finding for rule in diagnostic_rules.RULES if (finding := rule(run))]
    assert finding.rule == problem
    assert all((finding.observed, finding.consequence, finding.advice))


def test_every_rule_has_a_problem_here() -> None:
    assert len(PROBLEMS) == len(diagnostic_rules.RULES)


def test_logits_that_do_not_depend_on_the_photo_are_a_poor_initialisation() -> None:
    finding = diagnostic_rules.poor_initialisation(replace(healthy(), first_logit_spread=1e-9))
    assert finding is not None
    assert "between photos" in finding.observed
