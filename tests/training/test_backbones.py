import os
import subprocess
import sys

import pytest
import torch

from cli.errors import SettingsError
from training import backbones, schedule
from training.errors import WeightsUnavailable
from training.model import BreedClassifier, dog_probability


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet50", "convnext_tiny"])
def test_any_timm_backbone_becomes_a_classifier(name: str) -> None:
    backbone = backbones.create(name, pretrained=False)
    model = BreedClassifier(backbone, 5).eval()
    with torch.no_grad():
        breeds, imagenet = model(torch.zeros(2, 3, 64, 64))
    assert breeds.shape == (2, 5)
    assert imagenet.shape == (2, 1000)
    depth = schedule.layer_of(model.trunk)
    assert set(depth) == {name for name, _ in model.trunk.named_parameters()}


def test_packaged_weights_know_dogs_from_noise() -> None:
    model = BreedClassifier(backbones.create("tf_efficientnet_lite0"), 5).eval()
    with torch.no_grad():
        _, imagenet = model(torch.rand(1, 3, 224, 224) * 2 - 1)
    assert dog_probability(imagenet).item() < 0.1
    assert not any(parameter.requires_grad for parameter in model.imagenet.parameters())


def test_weights_that_cannot_be_downloaded_name_the_offline_choices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(backbones.timm, "create_model", fail)
    with pytest.raises(WeightsUnavailable, match="tf_efficientnet_lite0") as caught:
        backbones.create("resnet50")
    assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match=r"perhaps .*resnet50"):
        backbones.create("resnet50x")


def test_layers_learn_the_faster_the_nearer_they_are_to_the_head() -> None:
    model = BreedClassifier(backbones.create("tf_efficientnet_lite0", pretrained=False), 5)
    groups = schedule.parameter_groups(
        model, rate=1.0, weight_decay=0.1, layer_decay=0.8, frozen=0.1, depthwise=False
    )
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == 1.0
    assert min(rates) >= 0.1
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}
    assert not model.trunk.conv_stem.weight.requires_grad
    assert all(p.ndim > 1 for g in groups if g["weight_decay"] for p in g["params"])


def test_timm_imports_beside_a_torch_it_was_not_built_for() -> None:
    script = "import training.backbones, torchvision; print(torchvision.__version__)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
