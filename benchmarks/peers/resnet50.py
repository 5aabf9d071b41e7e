"""TorchServe handler with ResNet50, as tutorials have it: eager, float32, torchvision's transforms.

The weights are random, which takes the same time.
"""

import io
import json
import os
from typing import Any, cast

import torch
import torchvision_ops  # type: ignore[import-not-found]
from PIL import Image
from torch import Tensor, nn

torchvision_ops.declare_missing()
from torchvision import models, transforms  # noqa: E402  (needs the operators declared above)

BREEDS = 133
TRANSFORM = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)


def create() -> nn.Module:
    network: Any = models.resnet50()
    network.fc = nn.Linear(network.fc.in_features, BREEDS)
    return cast(nn.Module, network)


def model_fn(model_dir: str) -> nn.Module:
    network = create()
    network.load_state_dict(torch.load(os.path.join(model_dir, "model.pth"), map_location="cpu"))  # noqa: PTH118
    network.eval()
    return network


def input_fn(body: bytes, content_type: str) -> Tensor:
    if content_type != "image/jpeg":
        raise ValueError(f"unsupported content type {content_type}")
    image = Image.open(io.BytesIO(body)).convert("RGB")
    pixels: Tensor = TRANSFORM(image)
    return pixels.unsqueeze(0)


def predict_fn(pixels: Tensor, network: nn.Module) -> Any:
    with torch.inference_mode():
        return network(pixels)


def output_fn(logits: Tensor, accept: str) -> str:
    return json.dumps(logits.squeeze(0).tolist())
