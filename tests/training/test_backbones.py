import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cli.errors import SettingsError
from training import backbones
from training.model import BreedClassifier, dog_probability


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet50", "convnext_tiny"])
def test_any_timm_backbone_becomes_a_classifier(name: str) -> None:
    backbone = backbones.create(name, pretrained=False)
    model = BreedClassifier(backbone, 5).eval()
    with torch.no_grad():
        breeds, imagenet = model(torch.zeros(2, 3, 64, 64))
    assert breeds.shape == (2, 5)
    assert imagenet.shape == (2, 1000)


def test_packaged_weights_see_no_dog_in_noise() -> None:
    model = BreedClassifier(backbones.create("tf_efficientnet_lite0"), 5).eval()
    with torch.no_grad():
        _, imagenet = model(torch.rand(1, 3, 224, 224) * 2 - 1)
    assert dog_probability(imagenet).item() < 0.1
    assert not any(parameter.requires_grad for parameter in model.imagenet.parameters())


def test_an_unknown_backbone_is_refused_with_similar_names() -> None:
    with pytest.raises(SettingsError, match=r"Similar: .*resnet50"):
        backbones.create("resnet50x")


def test_weights_that_cannot_be_downloaded_name_the_packaged_ones(tmp_path: Path) -> None:
    script = "from training import backbones; backbones.create('resnet50')"
    # .invalid never resolves (RFC 6761), so this is a machine without a network
    offline = {"HF_ENDPOINT": "https://hub.invalid", "HF_HOME": str(tmp_path)}
    process = run_python(script, **offline)
    assert process.returncode == 1
    last_line = process.stderr.strip().splitlines()[-1]
    assert "WeightsUnavailable: Cannot download the weights of resnet50" in last_line
    assert "tf_efficientnet_lite0" in last_line


def test_timm_can_be_imported_with_a_torch_that_torchvision_does_not_match() -> None:
    script = "import training.backbones, torchvision; print(torchvision.__version__)"
    process = run_python(script)
    assert process.returncode == 0, process.stderr


def run_python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
