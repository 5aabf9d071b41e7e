"""The linear head, fitted on frozen features: the start of every training run.

Fine-tuning that starts from a fitted head keeps more of what the backbone knows than one that
starts from a random head (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features").
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.model import BreedClassifier


def class_weights(targets: Tensor, classes: int, balance: float) -> Tensor:
    """The weight of a photo of each class, [classes], with mean 1 over the photos.

    `balance` 0 weights all photos alike, 1 all classes alike.
    """
    counts = torch.bincount(targets, minlength=classes).clamp(min=1).float()
    weights = (counts.mean() / counts) ** balance
    return weights / weights[targets].mean()


def in_terms_of_imagenet(model: BreedClassifier, features: Tensor, targets: Tensor) -> nn.Linear:
    """A head whose row for a breed is the mixture of ImageNet rows that the breed's photos excite.

    Most of the breeds are ImageNet classes under another name: a breed with three photos starts
    with what ImageNet learnt from a thousand.
    """
    probabilities = torch.softmax(model.imagenet(features), dim=1)
    onehot = functional.one_hot(targets, model.breeds.out_features).float()
    mixture = onehot.T @ probabilities / onehot.sum(dim=0).clamp(min=1)[:, None]
    head = nn.Linear(model.breeds.in_features, model.breeds.out_features)
    head.weight.data = mixture @ model.imagenet.weight
    head.bias.data = mixture @ model.imagenet.bias
    return head


@torch.enable_grad()
def fit(
    start: nn.Linear,
    features: Tensor,
    targets: Tensor,
    *,
    penalty: float,
    balance: float,
    label_smoothing: float = 0.0,
) -> nn.Linear:
    """The head of least cross entropy plus `penalty` times its squared distance to `start`.

    `features` are float32 [N, F], `targets` int64 [N]. The problem is convex: L-BFGS solves it,
    the same way each time.
    """
    weights = class_weights(targets, start.out_features, balance)[targets]
    head = nn.Linear(start.in_features, start.out_features)
    head.load_state_dict(start.state_dict())
    anchor = start.weight.detach().clone()
    solver = torch.optim.LBFGS(
        head.parameters(), max_iter=150, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        solver.zero_grad()
        losses = functional.cross_entropy(
            head(features), targets, reduction="none", label_smoothing=label_smoothing
        )
        loss = (weights * losses).mean() + penalty * (head.weight - anchor).square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    return head
