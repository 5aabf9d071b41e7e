"""Which photos a process trains on in which step."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class ShardedBatches(Sampler[list[int]]):
    """The batches of one process in a shuffled epoch.

    Step s of all processes together holds the photos s * B to (s + 1) * B of one permutation, with
    B = `batch_size` * `ranks`, so it does not depend on the number of processes. The last batch
    is dropped if it is incomplete. `steps` may be lowered to those of the smallest shard.
    """

    def __init__(
        self, photos: int, batch_size: int, *, seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self.photos = photos
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.steps = photos // (batch_size * ranks)
        self.epoch = 0
        self.first_step = 0

    def __len__(self) -> int:
        """Return the steps of a whole epoch."""
        return self.steps

    def start(self, epoch: int, step: int = 0) -> None:
        """Let the next iteration begin at `step` of `epoch`."""
        self.epoch = epoch
        self.first_step = step

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.photos, generator=generator)
        total = self.batch_size * self.ranks
        for step in range(self.first_step, len(self)):
            yield order[step * total : (step + 1) * total][self.rank :: self.ranks].tolist()
