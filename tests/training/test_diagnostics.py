"""Each rule fires in a run that has its illness, and in none of a healthy run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from training import diagnostics, monitor
from training.diagnostics import Observations, Watch
from training.distributed import World
from training.settings import TrainSettings
from training.train import train


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
        busy=0.95,
    )


ILLNESSES = {
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
    "idle device": {"busy": 0.2},
}


def test_a_healthy_run_triggers_nothing() -> None:
    seen = healthy()
    assert [rule(seen) for rule in diagnostics.RULES] == [None] * len(diagnostics.RULES)


@pytest.mark.parametrize("illness", ILLNESSES)
def test_an_illness_triggers_its_rule_alone_and_once(illness: str) -> None:
    watch = Watch(133)
    watch.seen = replace(healthy(), **ILLNESSES[illness])
    (finding,) = watch.examine()
    assert finding.rule == illness
    assert all((finding.saw, finding.why, finding.change))
    assert watch.examine() == []


def test_every_rule_has_an_illness_here() -> None:
    assert len(ILLNESSES) == len(diagnostics.RULES)


def test_logits_that_do_not_depend_on_the_photo_are_a_poor_start() -> None:
    finding = diagnostics.poor_initialisation(replace(healthy(), first_logit_spread=1e-9))
    assert finding is not None
    assert "between photos" in finding.saw


def test_dead_channels_and_layer_gradients_of_a_network() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    network[0].weight.data.zero_()
    network[0].bias.data = torch.tensor([1.0, -1.0, -1.0, -1.0])
    images = torch.rand(2, 3, 5, 5)
    assert monitor.dead_channels(network, images) == {"1": 0.75}
    network(images).sum().backward()
    gradients = monitor.layer_gradients(network)
    assert list(gradients) == ["0.weight", "2.weight"]
    assert gradients["2.weight"] > 0


Settings = Callable[..., TrainSettings]


def test_a_real_run_with_a_wild_learning_rate_is_told_so(
    collection_folder: Path,
    tmp_path: Path,
    tiny_settings: Settings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wild = tiny_settings(learning_rate=30.0, epochs=8, warmup=0.0, clip_norm=1e9)
    train(wild, collection_folder, tmp_path / "wild", World())
    told = capsys.readouterr().err
    assert "ing gradient: " in told  # first it explodes, then nothing is left of it
    train(tiny_settings(epochs=8), collection_folder, tmp_path / "calm", World())
    assert "gradient" not in capsys.readouterr().err
