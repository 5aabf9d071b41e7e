"""The linear head that every run starts from: fitted on frozen features, cross-validated.

Fine-tuning from a fitted head keeps more of what the backbone has learnt than fine-tuning from a
random one (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").
"""

import random
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import doubtful_labels
from training.errors import CheckpointError, DataError
from training.looks import Extractor
from training.loss import class_weights
from training.model import BreedClassifier, dog_probability
from training.run_files import load_tensors, save_tensors
from training.settings import TrainSettings
from training.training_set import TrainingSet

FILE = "linear_head.pt"
FOLDS = 5


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A fitted head for both looks: `weight` [breeds, features] and `bias` [breeds].

    `imagenet` float16 [photos, 1000] are ImageNet's probabilities of the training photos.
    `held_out` is their cross-validation, if there is no split valid: see `TrainedModel`.
    """

    weight: Tensor
    bias: Tensor
    imagenet: Tensor
    held_out: dict[str, Tensor] | None = None

    def apply(self, model: BreedClassifier) -> None:
        """Set the breed head of `model`."""
        model.breeds.load_state_dict({"weight": self.weight, "bias": self.bias})


def load_or_fit(folder: Path, extractor: Extractor) -> LinearHead:
    """Return the head in `folder`, or fit one and save it there. The result is the leader's."""
    photos, world = extractor.photos, extractor.world
    saved = world.broadcast(_load(folder, photos.fingerprint) if world.is_leader else None)
    if saved is not None:
        return cast(LinearHead, saved)
    fitter = Fitter(deepcopy(extractor.model).cpu(), photos, extractor.settings)
    first = extractor.first()
    # Photos are located as unseen ones are: by a head that was fitted without their source.
    weights, biases = world.broadcast(fitter.heads(first) if world.is_leader else None)
    second, sizes = None, None
    if extractor.settings.second_looks > 0:
        second, sizes = extractor.second(weights, biases, fitter.fold) or (None, None)
    head = None
    if world.is_leader:
        kept = torch.ones_like(photos.targets, dtype=torch.bool)
        if not photos.valid:
            logits = held_out_logits(weights, biases, first, fitter.fold)
            kept = ~doubtful_labels.find(
                logits, photos, extractor.settings.min_label_probability, folder
            )
        head = fitter.fit(first, second, sizes, kept)
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


class Fitter:
    """Fits heads on the features of the training photos, on all of them and per fold."""

    def __init__(
        self, model: BreedClassifier, photos: TrainingSet, settings: TrainSettings
    ) -> None:
        self.model = model
        self.targets = photos.targets
        self.settings = settings
        self.fold = torch.zeros(len(photos.train), dtype=torch.int64)
        if not photos.valid:
            self.fold = folds([photo.source for photo in photos.train], settings.seed)
        self.folds = 1 if photos.valid else FOLDS

    def heads(self, *looks: Tensor) -> tuple[Tensor, Tensor]:
        """Return one head per fold, fitted without it: weights [K, breeds, F], biases.

        With a split valid, there is one head for all photos.
        """
        others = [self.fold != number for number in range(self.folds)]
        if self.folds == 1:
            others = [self.fold == 0]
        fitted = [self._head(looks, chosen) for chosen in others]
        weights = torch.stack([head.weight.detach() for head in fitted])
        return weights, torch.stack([head.bias.detach() for head in fitted])

    def fit(
        self, first: Tensor, second: Tensor | None, sizes: Tensor | None, kept: Tensor
    ) -> LinearHead:
        """Fit the head on the photos `kept`, and cross-validate it if there is no split valid.

        Cross-validation is on all photos: heads fitted without a fold's source would otherwise
        still know its labels, through the doubtful labels that they were found with.
        """
        looks = [first] if second is None else [first, second]
        head = self._head(looks, kept)
        held_out = None
        if self.folds > 1:
            weights, biases = self.heads(*looks)
            logits = [held_out_logits(weights, biases, look, self.fold) for look in looks]
            dogs = [self._dogs(look) for look in looks]
            held_out = {
                "logits": torch.stack(logits, dim=1),
                "dog_probabilities": torch.stack(dogs, dim=1),
                "targets": self.targets,
            }
            if sizes is not None:
                held_out["sizes"] = sizes
        with torch.no_grad():
            imagenet = torch.softmax(self.model.imagenet(first), dim=1).half()
        return LinearHead(head.weight.detach(), head.bias.detach(), imagenet, held_out)

    def _head(self, looks: Sequence[Tensor], chosen: Tensor) -> nn.Linear:
        features = torch.cat([look[chosen] for look in looks])
        targets = self.targets[chosen].repeat(len(looks))
        initial = imagenet_mixture(self.model, features, targets)
        return fit_linear(initial, features, targets, self.settings)

    @torch.no_grad()
    def _dogs(self, features: Tensor) -> Tensor:
        """Return dog probabilities [photos]. ImageNet's head is not fitted on these photos."""
        return dog_probability(self.model.imagenet(features))


def held_out_logits(weights: Tensor, biases: Tensor, features: Tensor, fold: Tensor) -> Tensor:
    """Return float32 [N, breeds]: the logits of photo n by head `fold[n]`."""
    logits = torch.empty(len(fold), weights.shape[1])
    for number in range(len(weights)):
        chosen = fold == number
        logits[chosen] = features[chosen] @ weights[number].T + biases[number]
    return logits


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
        max_iter=100,
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
