"""Process group setup and collectives."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from training.sagemaker_environment import set_distributed_variables


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run. `rank` counts over all machines, `local_rank` within one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_leader(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the elementwise sum of `values`, on the CPU, over all processes."""
        if self.size == 1:
            return values
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # nccl sums on GPUs only
        total = values.to(device, copy=True)
        dist.all_reduce(total)
        return total.cpu()

    def any(self, flag: bool) -> bool:
        """Return in every process whether `flag` is true in any of them."""
        return bool(self.sum(torch.tensor(float(flag))).item())

    def broadcast(self, value: Any) -> Any:
        """Return the leader's `value` in every process."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


@contextmanager
def process_group() -> Iterator[World]:
    """Join the processes that torchrun or SageMaker started for the length of a `with` block."""
    set_distributed_variables(os.environ)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield World()
        return
    world = World(
        rank=int(os.environ["RANK"]),
        size=int(os.environ["WORLD_SIZE"]),
        local_rank=int(os.environ["LOCAL_RANK"]),
        local_size=int(os.environ["LOCAL_WORLD_SIZE"]),
    )
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()
