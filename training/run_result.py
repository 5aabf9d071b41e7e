"""What a finished training run measured: seconds per part and accuracy, in result.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.files import write_atomically

if TYPE_CHECKING:  # jobs read the file without torch
    from training.run_files import TrainedModel
    from training.trainer import Trainer

FILE = "result.json"
_DATA_PHASES = ("photos", "decode")


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds for reading and decoding photos, for training, and for the export within `train`.

    `top1` is the accuracy on `photos` held-out photos. If the run was `resumed`, the seconds are
    those since then.
    """

    data_s: float
    training_s: float
    export_s: float
    top1: float
    photos: int
    epochs: int
    processes: int
    resumed: bool

    @property
    def standard_error(self) -> float:
        """The standard error of `top1`, with one more hit and one more miss: never 0 by chance."""
        photos = self.photos + 2
        top1 = (self.top1 * self.photos + 1) / photos
        return math.sqrt(top1 * (1 - top1) / photos)

    @classmethod
    def of(cls, trainer: Trainer, trained: TrainedModel, export_s: float) -> Result:
        """Return the result of a trainer that has finished."""
        seconds = trainer.stopwatch.seconds
        data_s = sum(seconds.get(phase, 0.0) for phase in _DATA_PHASES)
        # without a split valid, the head is cross-validated on all photos
        held_out = trainer.photos.valid or trainer.photos.train
        return cls(
            data_s=round(data_s, 2),
            training_s=round(sum(seconds.values()) - data_s, 2),
            export_s=round(export_s, 2),
            top1=trained.valid_top1,
            photos=len(held_out),
            epochs=trainer.settings.epochs,
            processes=trainer.world.size,
            resumed=trainer.resumed,
        )

    @classmethod
    def parse(cls, text: str | bytes | None) -> Result | None:
        """Return the content of result.json; None if it is missing or of another version."""
        try:
            document: Mapping[str, Any] = json.loads(text or "{}")
            return cls(**document)
        except (ValueError, TypeError):
            return None

    def json(self) -> str:
        """Return the content of result.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def save(self, folder: Path) -> None:
        """Write result.json into the folder of the run."""
        write_atomically(folder / FILE, self.json())

    def line(self) -> str:
        """Return a line for the log."""
        return (
            f"result: data_s={self.data_s}; training_s={self.training_s}; "
            f"export_s={self.export_s}; valid_top1={self.top1:.4f}; "
            f"standard_error={self.standard_error:.4f};"
        )
