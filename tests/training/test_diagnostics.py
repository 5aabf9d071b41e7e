from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.conftest import MakeSettings
from training import diagnostics
from training.diagnostics import Diagnostics
from training.distributed import World
from training.trainer import Trainer


def test_a_finding_is_reported_once() -> None:
    hook = Diagnostics()
    hook.observations.cpu_use = 0.1
    assert [finding.rule for finding in hook.new_findings()] == ["idle device"]
    assert hook.new_findings() == []


def test_dead_channels_and_layer_gradients() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    parameters = dict(network.named_parameters())
    parameters["0.weight"].data.zero_()
    parameters["0.bias"].data = torch.tensor([1.0, -1.0, -1.0, -1.0])
    images = torch.rand(2, 3, 5, 5)
    assert diagnostics.dead_channels(network, images) == {"1": 0.75}
    network(images).sum().backward()
    gradients = diagnostics.layer_gradients(network)
    assert list(gradients) == ["0.weight", "2.weight"]
    assert gradients["2.weight"] > 0


def test_a_run_with_an_extreme_learning_rate_is_reported(
    photo_folder: Path,
    tmp_path: Path,
    tiny_settings: MakeSettings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    extreme = tiny_settings(learning_rate=30.0, epochs=8, warmup=0.0, clip_norm=1e9)
    Trainer(extreme, photo_folder, tmp_path / "extreme", World(), [Diagnostics()]).train()
    assert "ing gradient: " in capsys.readouterr().err  # exploding, then vanishing
    normal = tiny_settings(epochs=4)
    Trainer(normal, photo_folder, tmp_path / "normal", World(), [Diagnostics()]).train()
    assert "gradient" not in capsys.readouterr().err
