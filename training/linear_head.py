"""The linear head that every run starts from: fitted on frozen features, cross-validated.

Fine-tuning from a fitted head keeps more of what the backbone has learnt than fine-tuning from a
random one (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_code.artifact import InputSpec
from training.backbones import IMAGENET_DOGS, Backbone
from training.distributed import World
from training.errors import CheckpointError, DataError
from training.loss import class_weights
from training.model import BreedClassifier
from training.precision import autocast
from training.preprocessing import normalise, served_batches
from training.run_files import load_tensors, save_tensors
from training.settings import TrainSettings
from training.training_set import TrainingSet

FILE = "linear_head.pt"
FOLDS = 5

Fit = Callable[[Tensor, Tensor], nn.Linear]
"""Fits a head on features float32 [N, F] and targets int64 [N]."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A fitted head: `weight` [breeds, features] and `bias` [breeds].

    `imagenet` float16 [photos, 1000] are ImageNet's probabilities of the training photos.
    `held_out` float32 [photos, breeds] are cross-validated logits, if there is no split valid.
    """

    weight: Tensor
    bias: Tensor
    imagenet: Tensor
    held_out: Tensor | None = None

    def apply(self, model: BreedClassifier) -> None:
        """Set the breed head of `model`."""
        model.breeds.load_state_dict({"weight": self.weight, "bias": self.bias})

    def cross_validation(self, targets: Tensor) -> dict[str, Tensor] | None:
        """Return what `TrainedModel.held_out` holds."""
        if self.held_out is None:
            return None
        # The dog gate needs no cross-validation: ImageNet's head is not fitted on these photos.
        dogs = self.imagenet[:, IMAGENET_DOGS].float().sum(dim=1)
        return {"logits": self.held_out, "targets": targets, "dog_probabilities": dogs}


def load_or_fit(
    folder: Path,
    model: BreedClassifier,
    backbone: Backbone,
    photos: TrainingSet,
    spec: InputSpec,
    settings: TrainSettings,
    world: World,
) -> LinearHead:
    """Return the head in `folder`, or fit one and save it there. The result is the leader's."""
    saved = world.broadcast(_load(folder, photos.fingerprint) if world.is_leader else None)
    if saved is not None:
        return cast(LinearHead, saved)
    features = _features(model, backbone, photos, spec, settings, world)
    head = None
    if world.is_leader:
        head = _fit_head(deepcopy(model).cpu(), features, photos, settings)
        document = {field: getattr(head, field) for field in LinearHead.__slots__}
        save_tensors(folder / FILE, {**document, "data": photos.fingerprint})
    return cast(LinearHead, world.broadcast(head))


def _load(folder: Path, fingerprint: str) -> LinearHead | None:
    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = load_tensors(path)
    except CheckpointError:  # it can be fitted again
        return None
    return LinearHead(**document) if document.pop("data") == fingerprint else None


def _features(
    model: BreedClassifier,
    backbone: Backbone,
    photos: TrainingSet,
    spec: InputSpec,
    settings: TrainSettings,
    world: World,
) -> Tensor:
    """Compute the features [photos, F] of all training photos; each process computes its share."""
    share = photos.local[photos.rank :: photos.ranks]
    device = next(model.parameters()).device
    with torch.no_grad(), autocast(settings.precision, device):
        batches = [
            model.features(normalise(batch, backbone).to(device)).cpu()
            for batch in served_batches([photos.train[n] for n in share], spec, title="features")
        ]
    shares = world.gather((share, torch.cat(batches)))
    order = torch.tensor([number for numbers, _ in shares for number in numbers])
    features = torch.empty(len(order), backbone.features)
    features[order] = torch.cat([part for _, part in shares])
    return features


def _fit_head(
    model: BreedClassifier, features: Tensor, photos: TrainingSet, settings: TrainSettings
) -> LinearHead:
    def fit(features: Tensor, targets: Tensor) -> nn.Linear:
        return fit_linear(imagenet_mixture(model, features, targets), features, targets, settings)

    head = fit(features, photos.targets)
    held_out = None
    if not photos.valid:
        sources = [photo.source for photo in photos.train]
        held_out = cross_validated_logits(fit, features, photos.targets, sources, settings.seed)
    with torch.no_grad():
        imagenet = torch.softmax(model.imagenet(features), dim=1).half()
    return LinearHead(head.weight.detach(), head.bias.detach(), imagenet, held_out)


def imagenet_mixture(model: BreedClassifier, features: Tensor, targets: Tensor) -> nn.Linear:
    """Return a head whose row for a breed is a mixture of ImageNet's rows.

    The mixture is the mean of ImageNet's probabilities over the breed's photos. Most breeds are
    ImageNet classes, so a breed with three photos starts with what a thousand have taught.
    """
    head = nn.Linear(model.breeds.in_features, model.breeds.out_features)
    with torch.no_grad():
        probabilities = torch.softmax(model.imagenet(features), dim=1)
        onehot = functional.one_hot(targets, head.out_features).float()
        mixture = onehot.T @ probabilities / onehot.sum(dim=0).clamp(min=1)[:, None]
        head.weight.copy_(mixture @ model.imagenet.weight)
        head.bias.copy_(mixture @ model.imagenet.bias)
    return head


def fit_linear(
    initial: nn.Linear, features: Tensor, targets: Tensor, settings: TrainSettings
) -> nn.Linear:
    """Minimise cross entropy plus probe_penalty times the squared distance to `initial`.

    `features` are float32 [N, F], `targets` int64 [N]. The problem is convex and L-BFGS is
    deterministic. In float32 the line search gave up on rounding noise far from the minimum, so
    that a last-bit difference between two CPUs, or between one process and two, moved the head.
    """
    features = features.double()
    weights = class_weights(targets, initial.out_features, settings.balance)[targets].double()
    head = deepcopy(initial).double()
    anchor = head.weight.detach().clone()
    solver = torch.optim.LBFGS(
        head.parameters(),
        max_iter=200,
        history_size=10,
        tolerance_grad=1e-6,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        solver.zero_grad()
        losses = functional.cross_entropy(
            head(features), targets, reduction="none", label_smoothing=settings.label_smoothing
        )
        distance = (head.weight - anchor).square().sum()
        loss = (weights * losses).mean() + settings.probe_penalty * distance
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    return head.float()


def folds(sources: Sequence[str], seed: int, count: int = FOLDS) -> Tensor:
    """Return the fold of each photo, int64 [N]: whole sources, about equally many photos per fold.

    scikit-learn's GroupKFold does the same without a seed; the calibration of the shipped model
    comes from these folds. Raises DataError if there are fewer than two sources.
    """
    sizes = Counter(sources)
    if len(sizes) < 2:
        raise DataError("Cross-validation needs photos of at least two sources.")
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    photos = [0] * count
    fold_of = {}
    for source in sorted(order, key=lambda source: -sizes[source]):
        fold_of[source] = smallest = photos.index(min(photos))
        photos[smallest] += sizes[source]
    return torch.tensor([fold_of[source] for source in sources])


def cross_validated_logits(
    fit: Fit, features: Tensor, targets: Tensor, sources: Sequence[str], seed: int
) -> Tensor:
    """Return float32 [N, classes]: each photo's logits by a head fitted on the other folds."""
    fold = folds(sources, seed)
    parts = []
    for number in sorted(set(fold.tolist())):
        held_out = fold == number
        head = fit(features[~held_out], targets[~held_out])
        parts.append(head(features[held_out]).detach())
    logits = torch.empty(len(targets), parts[0].shape[1])
    logits[fold.argsort(stable=True)] = torch.cat(parts)
    return logits
