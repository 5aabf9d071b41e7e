"""The state of a run and the file that holds it, from which an interrupted run resumes.

model, average, optimiser, rates   their states
best                               the weights with the lowest loss on split valid
epoch, step                        position of the sampler, which determines the augmentation
rng                                state of the random generators of each process
history, tally                     finished epochs, and sums of the unfinished one
settings, data                     identity of the run; other runs refuse the checkpoint
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from training.distributed import World
from training.errors import CheckpointError
from training.model import BreedClassifier
from training.run_files import load_tensors, save_tensors
from training.settings import TrainSettings
from training.weights import BestWeights, MovingAverage

FILE = "checkpoint.pt"
FORMAT = 2


@dataclass(slots=True)
class State:
    """Everything that training changes.

    `step` steps of epoch `epoch` are done. `tally` holds the summed loss and the number of photos
    of the unfinished epoch.
    """

    model: BreedClassifier
    average: MovingAverage
    optimiser: AdamW
    rates: LambdaLR
    best: BestWeights = field(default_factory=BestWeights)
    epoch: int = 0
    step: int = 0
    tally: torch.Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    history: list[dict[str, Any]] = field(default_factory=list)

    def save(self, folder: Path, settings: TrainSettings, data: str, world: World) -> None:
        """Write the checkpoint. Every process must call this; the leader writes."""
        rng, tally = world.gather(rng_state()), world.sum(self.tally)
        if not world.is_leader:
            return
        document = {
            "format": FORMAT,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rates": self.rates.state_dict(),
            "best": self.best.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "tally": tally,
            "history": self.history,
            "rng": rng,
            "settings": settings.model_dump(),
            "data": data,
        }
        save_tensors(folder / FILE, document)

    def restore(self, document: dict[str, Any], world: World) -> None:
        """Set the state to that of a checkpoint that `load` returned."""
        self.model.load_state_dict(document["model"])
        self.average.load_state_dict(document["average"])
        self.optimiser.load_state_dict(document["optimiser"])
        self.rates.load_state_dict(document["rates"])
        self.best.load_state_dict(document["best"])
        self.epoch, self.step = document["epoch"], document["step"]
        self.history = document["history"]
        # The tally is the sum over all processes, so only one of them may resume it.
        self.tally = document["tally"] if world.is_leader else torch.zeros_like(document["tally"])
        restore_rng(document["rng"][world.rank % len(document["rng"])])


def load(folder: Path, settings: TrainSettings, data: str) -> dict[str, Any] | None:
    """Return the checkpoint in `folder`, or None if there is none.

    Raises CheckpointError if it is corrupt or belongs to a run with other settings or photos.
    """
    path = folder / FILE
    if not path.exists():
        return None
    document = load_tensors(path)
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} was written by an incompatible version. Use --fresh to start over."
        )
    for key, value in settings.model_dump().items():
        saved = document["settings"].get(key)
        if saved != value and key not in settings.MAY_DIFFER:
            raise CheckpointError(
                f"{path} belongs to a run with {key} {saved}, not {value}. Choose another "
                "--output, or use --fresh to start over."
            )
    if document["data"] != data:
        raise CheckpointError(
            f"{path} belongs to a run on other photos. Choose another --output, or use --fresh "
            "to start over."
        )
    return document


def rng_state() -> dict[str, Any]:
    """Return the state of all random generators of this process, as types that torch can load
    without running code."""
    legacy: Any = np.random.get_state()
    name, keys, *rest = legacy
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Set all random generators of this process to `state`."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
