"""One process or many: who we are, and what all of us know together.

Three launchers set the scene. torchrun gives RANK, WORLD_SIZE and the rest. SageMaker's torchrun
driver does the same on every instance. SageMaker's plain launcher starts one process an instance
and gives only SM_HOSTS and SM_CURRENT_HOST: without what is derived from them here, every
instance would train the same model alone.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from json import loads
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_MASTER_PORT = "29500"  # torchrun's own default


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together. `rank` counts over all, `local_rank` within a machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """`values`, on the CPU, summed over all processes, element by element."""
        if self.size == 1:
            return values
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"  # nccl sums on GPUs only
        total = values.to(device, copy=True)
        dist.all_reduce(total)
        return total.cpu()

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process: they all answer the same."""
        return bool(self.sum(torch.tensor(float(flag))).item())

    def from_leader(self, value: Any) -> Any:
        """What the leader holds, in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, in order of rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def complete_environment(environment: MutableMapping[str, str]) -> None:
    """Derive what torch.distributed wants from SageMaker's variables where no torchrun set it."""
    hosts = _hosts(environment)
    if "RANK" in environment or len(hosts) < 2:
        return
    rank = hosts.index(environment["SM_CURRENT_HOST"])
    environment.update(
        RANK=str(rank),
        WORLD_SIZE=str(len(hosts)),
        LOCAL_RANK="0",
        LOCAL_WORLD_SIZE="1",
        MASTER_ADDR=hosts[0],
        MASTER_PORT=environment.get("MASTER_PORT", _MASTER_PORT),
    )
    if interface := environment.get("SM_NETWORK_INTERFACE_NAME"):
        environment.setdefault("GLOO_SOCKET_IFNAME", interface)
        environment.setdefault("NCCL_SOCKET_IFNAME", interface)


@contextmanager
def joined() -> Iterator[World]:
    """The world this process belongs to, joined for the length of a `with` block."""
    complete_environment(os.environ)
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


def _hosts(environment: Mapping[str, str]) -> list[str]:
    hosts: list[str] = sorted(loads(environment.get("SM_HOSTS", "[]")))
    return hosts
