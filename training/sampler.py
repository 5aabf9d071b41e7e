"""Which photos a process sees in which step: the same for any number of processes."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class ShardedBatches(Sampler[list[int]]):
    """Batches of one process's shard of a shuffled epoch.

    Step s of all ranks together holds the photos s * B .. (s + 1) * B of one permutation, B being
    `batch_size` times `ranks`, dealt out like cards (as torch's DistributedSampler does). So the
    union of a step does not depend on the number of ranks. The last, incomplete batch is dropped;
    `steps` may be lowered to what the smallest shard has. Its state is (epoch, step): `start`
    begins in the middle.
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
        """Steps of a whole epoch."""
        return self.steps

    def start(self, epoch: int, step: int = 0) -> None:
        """Let the next iteration be of `epoch`, from its step `step` on."""
        self.epoch = epoch
        self.first_step = step

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.photos, generator=generator)
        total = self.batch_size * self.ranks
        for step in range(self.first_step, len(self)):
            yield order[step * total : (step + 1) * total][self.rank :: self.ranks].tolist()
