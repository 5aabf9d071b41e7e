"""Where fine-tuning starts: a fitted head, and what the untouched backbone says of each photo."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from model_code.artifact import InputSpec
from training import backbones, cross_validation, pixels, probe
from training.backbones import Backbone
from training.collection import Collection
from training.distributed import World
from training.errors import CheckpointError
from training.model import BreedClassifier
from training.precision import autocast
from training.run_folder import load_tensors, save_atomically
from training.settings import TrainSettings

FILE = "start.pt"


@dataclass(frozen=True, slots=True)
class Start:
    """The head's weight [breeds, features] and bias [breeds], and ImageNet's probabilities of the
    photos that are trained on, float16 [photos, 1000].

    Without a split valid, `held_out` has the logits float32 [photos, breeds] of these photos by
    heads that saw none of their source.
    """

    weight: Tensor
    bias: Tensor
    imagenet: Tensor
    held_out: Tensor | None = None


def prepare(
    model: BreedClassifier,
    backbone: Backbone,
    collection: Collection,
    spec: InputSpec,
    options: TrainSettings,
    world: World,
) -> Start:
    """Fit the head on the features of the photos as the endpoint would show them.

    The processes share the work, and all return the same.
    """
    spread = (world.local_rank, world.local_size) if options.sharded else (world.rank, world.size)
    mine = collection.here[spread[0] :: spread[1]]
    device = next(model.parameters()).device
    with torch.no_grad(), autocast(options.precision, device):
        features = [
            model.features(pixels.normalised(batch, backbone).to(device)).cpu()
            for batch in pixels.batches_as_served(
                [collection.train[number] for number in mine], spec, title="features"
            )
        ]
    parts = world.gather((mine, torch.cat(features)))
    order = torch.tensor([number for numbers, _ in parts for number in numbers])
    together = torch.empty(len(order), backbone.features)
    together[order] = torch.cat([part for _, part in parts])

    heads = deepcopy(model).cpu()

    def fit(features: Tensor, targets: Tensor) -> nn.Linear:
        return probe.fit(
            probe.in_terms_of_imagenet(heads, features, targets),
            features,
            targets,
            penalty=options.probe_penalty,
            balance=options.balance,
            label_smoothing=options.label_smoothing,
        )

    if not world.leads:
        return cast(Start, world.from_leader(None))
    head = fit(together, collection.targets)
    held_out = None
    if not collection.valid:
        sources = [photo.source for photo in collection.train]
        held_out = cross_validation.logits(fit, together, collection.targets, sources, options.seed)
    with torch.no_grad():
        imagenet = torch.softmax(heads.imagenet(together), dim=1).half()
    fitted = Start(head.weight.detach(), head.bias.detach(), imagenet, held_out)
    return cast(Start, world.from_leader(fitted))


def held_out(start: Start, targets: Tensor) -> dict[str, Tensor] | None:
    """What the cross-validation said of the photos: see `TrainedModel`. ImageNet's head, which is
    the dog gate, was fitted on none of them."""
    if start.held_out is None:
        return None
    dogs = start.imagenet[:, backbones.IMAGENET_DOGS].float().sum(dim=1)
    return {"logits": start.held_out, "targets": targets, "dog_probabilities": dogs}


def apply(start: Start, model: BreedClassifier) -> None:
    """Give `model` the fitted head."""
    model.breeds.load_state_dict({"weight": start.weight, "bias": start.bias})


def save(folder: Path, start: Start, data: str) -> None:
    """Keep the start beside the checkpoint: to go on needs no second pass over the photos."""
    document = {field: getattr(start, field) for field in Start.__slots__}
    save_atomically(folder / FILE, {**document, "data": data})


def load(folder: Path, data: str) -> Start | None:
    """The start of the run in `folder`, or None where it has none yet or one of other photos."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = load_tensors(path)
    except CheckpointError:  # it can be had again
        return None
    if document.pop("data") != data:
        return None
    return Start(**document)
