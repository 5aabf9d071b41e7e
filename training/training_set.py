"""The photos of a run: those of all machines, and those on this one."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training import photos
from training.distributed import World
from training.errors import DataError
from training.photos import Photo
from training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The photos of splits train and valid on all machines.

    `targets` and `valid_targets`, int64, are their breeds as indices into `breeds`. `local` holds
    the indices into `train` of the photos on this machine, which `ranks` processes divide among
    themselves; `rank` is the number of this one.
    """

    breeds: list[str]
    train: list[Photo]
    valid: list[Photo]
    targets: Tensor
    valid_targets: Tensor
    local: list[int]
    rank: int
    ranks: int
    fingerprint: str


def read(root: Path, settings: TrainSettings, world: World) -> TrainingSet:
    """Read the photos under `root` and hold out split valid if there is none. Raises DataError.

    If `sharded`, every machine has its own part of split train and all of the other splits. The
    parts are merged in order of rank, so that all agree on the breeds and the class balance.
    """
    local = everything = photos.hashed(photos.read(root))
    if settings.sharded:
        if not any(photo.split == "valid" for photo in local):
            raise DataError(
                f"{root} has no valid/BREED/, which every machine needs with --sharded true: it "
                "cannot be held out of a train/ that is spread over the machines."
            )
        machines = world.gather(local if world.local_rank == 0 else [])
        # by path, because every machine has the photos of the other splits
        everything = list({photo.path: photo for machine in machines for photo in machine}.values())
    everything = photos.hold_out(everything, settings.valid_fraction, settings.seed)
    used = photos.training_photos(everything)
    breeds = photos.breeds(used)
    train = [photo for photo in used if photo.split == "train"]
    valid = [photo for photo in used if photo.split == "valid"]
    if settings.epochs > 0 and not valid:
        raise DataError(
            "Fine-tuning needs a split valid: set valid_fraction above 0, or set epochs to 0 to "
            "train the linear head alone, which is cross-validated."
        )
    paths = {photo.path for photo in local}
    indices = [number for number, photo in enumerate(train) if photo.path in paths]
    rank, ranks = world.rank, world.size
    if settings.sharded:
        rank, ranks = world.local_rank, world.local_size
    batch = settings.batch_size * ranks
    if len(indices) < batch:
        raise DataError(
            f"{len(indices)} training photos are less than one batch of {batch}. Lower batch_size."
        )
    index = {breed: number for number, breed in enumerate(breeds)}
    return TrainingSet(
        breeds,
        train,
        valid,
        torch.tensor([index[photo.breed] for photo in train]),
        torch.tensor([index[photo.breed] for photo in valid], dtype=torch.int64),
        indices,
        rank,
        ranks,
        photos.fingerprint(used),
    )
