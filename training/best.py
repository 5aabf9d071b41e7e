"""The weights that split valid judged best: a run ends with these, whatever its last epoch did."""

from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from training.model import BreedClassifier
from training.validation import Accuracy


@dataclass(slots=True)
class Best:
    """The lowest loss on split valid so far, and a copy of the weights that had it.

    `epoch` 0 is the linear head that fine-tuning starts from.
    """

    epoch: int = 0
    accuracy: Accuracy | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, epoch: int, accuracy: Accuracy, model: BreedClassifier) -> None:
        """Keep the weights of `model` where their loss is lower than all before."""
        if self.accuracy is None or accuracy.loss < self.accuracy.loss:
            self.epoch, self.accuracy = epoch, accuracy
            self.weights = {name: w.detach().clone() for name, w in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        accuracy = None if self.accuracy is None else asdict(self.accuracy)
        return {"epoch": self.epoch, "accuracy": accuracy, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.weights = state["epoch"], state["weights"]
        self.accuracy = None if state["accuracy"] is None else Accuracy(**state["accuracy"])

    @property
    def top1(self) -> float:
        return float("nan") if self.accuracy is None else self.accuracy.top1

    def line(self) -> str:
        """Which weights the run ends with; SageMaker's metric definitions read their accuracy."""
        which = f"epoch {self.epoch}" if self.epoch else "the linear head"
        row = {} if self.accuracy is None else self.accuracy.row()
        return f"kept: {which}, " + " ".join(f"{name}={value};" for name, value in row.items())
