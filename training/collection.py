"""The photos of one training run: all of them, and the part that this process trains on."""

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
class Collection:
    """`train` and `valid` are the photos of all machines, `targets` and `valid_targets` int64 their
    breeds as indices into `breeds`. `here` are the numbers of the train photos on this machine."""

    breeds: list[str]
    train: list[Photo]
    valid: list[Photo]
    targets: Tensor
    valid_targets: Tensor
    here: list[int]
    fingerprint: str


def gather(root: Path, options: TrainSettings, world: World) -> Collection:
    """Read the photos under `root`, hold out split valid, and agree with the other machines.

    With `sharded`, each machine has another part of split train, and all of the other splits: the
    parts are put together, in order of rank, so that all know the same breeds and class balance.
    Raises `DataError`.
    """
    local = photos.hashed(photos.read(root))
    everything = local
    if options.sharded:
        if not any(photo.split == "valid" for photo in local):
            raise DataError(
                "with --sharded every machine must have split valid: a folder valid/BREED/, which "
                "cannot be held out of train/ once that is spread over the machines"
            )
        machines = world.gather(local if world.local_rank == 0 else [])
        # by path, as the splits that all machines have come from each of them
        everything = list({photo.path: photo for machine in machines for photo in machine}.values())
    everything = photos.hold_out(everything, options.valid_fraction, options.seed)
    used = photos.to_train_on(everything)
    breeds = photos.breeds(used)
    train = [photo for photo in used if photo.split == "train"]
    valid = [photo for photo in used if photo.split == "valid"]
    paths = {photo.path for photo in local}
    here = [number for number, photo in enumerate(train) if photo.path in paths]
    if len(here) < options.batch_size * (world.local_size if options.sharded else world.size):
        raise DataError(f"{len(here)} photos to train on are less than one batch: lower batch_size")
    index = {breed: number for number, breed in enumerate(breeds)}
    return Collection(
        breeds,
        train,
        valid,
        torch.tensor([index[photo.breed] for photo in train]),
        torch.tensor([index[photo.breed] for photo in valid], dtype=torch.int64),
        here,
        photos.fingerprint(used),
    )
