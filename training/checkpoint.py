"""The state of a run, and the one file that holds all of it so that the run can go on.

model, average, optimiser, rates   their states
best                               the weights that split valid judged best so far
epoch, step                        where the sampler continues; augmentation follows from it
rng                                one state a rank
history, tally                     the finished epochs, and the sums of the unfinished one
settings, data                     what the run is; another run's checkpoint is refused
"""

import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from training.best import Best
from training.distributed import World
from training.ema import Average
from training.errors import CheckpointError
from training.model import BreedClassifier
from training.run_folder import load_tensors, save_atomically
from training.settings import TrainSettings

FILE = "checkpoint.pt"
# These change how fast a run goes, not what it computes from where it stands.
_MAY_DIFFER = frozenset({"workers", "checkpoint_steps", "threads"})
FORMAT = 2
"""Of the document in the file: another one is refused."""


@dataclass(slots=True)
class State:
    """What training changes. `step` steps of epoch `epoch` are done; `tally` holds the sum of the
    losses and the number of photos of the unfinished epoch."""

    model: BreedClassifier
    average: Average
    optimiser: AdamW
    rates: LambdaLR
    best: Best = field(default_factory=Best)
    epoch: int = 0
    step: int = 0
    tally: torch.Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))
    history: list[dict[str, Any]] = field(default_factory=list)

    def save(self, folder: Path, settings: TrainSettings, data: str, world: World) -> None:
        """Write the checkpoint, whole or not at all. Every process calls this, one writes."""
        rng, tally = world.gather(rng_state()), world.sum(self.tally)
        if not world.leads:
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
            "settings": asdict(settings),
            "data": data,
        }
        save_atomically(folder / FILE, document)

    def restore(self, document: dict[str, Any], world: World) -> None:
        """Become what `document`, a checkpoint that `load` returned, says."""
        self.model.load_state_dict(document["model"])
        self.average.load_state_dict(document["average"])
        self.optimiser.load_state_dict(document["optimiser"])
        self.rates.load_state_dict(document["rates"])
        self.best.load_state_dict(document["best"])
        self.epoch, self.step = document["epoch"], document["step"]
        self.history = document["history"]
        self.tally = document["tally"] if world.leads else torch.zeros_like(document["tally"])
        restore_rng(document["rng"][world.rank % len(document["rng"])])


def load(folder: Path, settings: TrainSettings, data: str) -> dict[str, Any] | None:
    """The checkpoint in `folder`, or None where there is none.

    Raises `CheckpointError` where it is damaged, or of a run with other settings or photos.
    """
    path = folder / FILE
    if not path.exists():
        return None
    document = load_tensors(path)
    if document.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is of another version of this program: start over with --fresh"
        )
    for key, ours in asdict(settings).items():
        theirs = document["settings"].get(key)
        if theirs != ours and key not in _MAY_DIFFER:
            raise CheckpointError(
                f"{path} is of a run with {key} {theirs}, not {ours}: "
                "name another --output, or start over with --fresh"
            )
    if document["data"] != data:
        raise CheckpointError(
            f"{path} is of a run on other photos: name another --output, or use --fresh"
        )
    return document


def rng_state() -> dict[str, Any]:
    """The state of every random number generator of this process, in types that torch loads
    without running code from the file."""
    legacy: Any = np.random.get_state()
    name, keys, *rest = legacy
    return {
        "python": random.getstate(),
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng(state: dict[str, Any]) -> None:
    """Put every generator of this process back to `state`."""
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
