import pytest

from training import backbones, optimiser
from training.model import BreedClassifier
from training.settings import TrainSettings


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet50", "convnext_tiny"])
def test_every_parameter_of_a_timm_backbone_has_a_depth(name: str) -> None:
    model = BreedClassifier(backbones.create(name, pretrained=False), 5)
    depths = optimiser.layer_depths(model.trunk)
    assert set(depths) == {name for name, _ in model.trunk.named_parameters()}


def test_layers_near_the_head_learn_faster() -> None:
    model = BreedClassifier(backbones.create("tf_efficientnet_lite0", pretrained=False), 5)
    settings = TrainSettings(learning_rate=1.0, layer_decay=0.8, frozen_below=0.1)
    groups = optimiser.parameter_groups(model, settings)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == 1.0
    assert min(rates) >= 0.1
    trained = {id(p) for group in groups for p in group["params"]}
    assert trained == {id(p) for p in model.parameters() if p.requires_grad}
    parameters = dict(model.named_parameters())
    assert not parameters["trunk.conv_stem.weight"].requires_grad
    assert all(p.ndim > 1 for g in groups if g["weight_decay"] for p in g["params"])


def test_the_learning_rate_rises_and_then_falls_to_one_percent() -> None:
    model = BreedClassifier(backbones.create("test_efficientnet", pretrained=False), 5)
    settings = TrainSettings(learning_rate=1.0, warmup=0.2, pretrained=False)
    adam, schedule = optimiser.create(model, settings, steps=10)
    rates = []
    for _ in range(10):
        rates.append(schedule.get_last_lr()[-1])
        adam.step()
        schedule.step()
    assert rates[0] < rates[1] < rates[2] == 1.0
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert schedule.get_last_lr()[-1] == pytest.approx(0.01)
