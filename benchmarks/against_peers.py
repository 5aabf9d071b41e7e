"""Ours against TorchServe, LitServe and BentoML: the same photos, the same cores, in turn.

    python -m benchmarks.against_peers [--quick]

Closed loop at 1, 4 and 16 clients. Every visit starts the server anew, asks it until it is warm,
then measures; ours has its turn before every second peer, so that a machine that slows down slows
all. Medians of the rounds; p99 over all rounds together. Memory is the sum of the proportional set
sizes (PSS) of all processes of a stack, after its load. TorchServe runs ResNet50 with a worker for
each core, which is the container's default, and with one worker.
"""

import itertools
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from benchmarks import command, pictures, stacks, table
from benchmarks.load import Load, quantile
from benchmarks.scale import Scale
from benchmarks.stacks import Stack
from benchmarks.table import Row

PART = "peers"
RESNET50_ALONE = "ResNet50, one worker"
RESNET50_SHARED = "ResNet50, a worker a core"
LITE2 = "EfficientNet-Lite2"


@dataclass
class Visits:
    """What all visits to one stack found."""

    loads: dict[int, list[Load]] = field(default_factory=lambda: defaultdict(list))
    memory_bytes: list[int] = field(default_factory=list)

    def images_per_s(self, clients: int) -> float:
        return median(load.images_per_s for load in self.loads[clients])

    def p50_ms(self, clients: int) -> float:
        return median(load.quantile_ms(0.5) for load in self.loads[clients])

    def p99_ms(self, clients: int) -> float:
        together = [second for load in self.loads[clients] for second in load.latencies_s]
        return quantile(together, 0.99) * 1000

    def memory_mb(self) -> float:
        return median(self.memory_bytes) / 1e6

    def generator_share(self, clients: int) -> float:
        """The part of all cores that the load itself took."""
        return median(
            load.generator_cpu_s / load.seconds / stacks.cores() for load in self.loads[clients]
        )

    def summary(self) -> dict[str, Any]:
        by_clients = {
            str(clients): {
                "images_per_s": round(self.images_per_s(clients), 2),
                "p50_ms": round(self.p50_ms(clients), 2),
                "p99_ms": round(self.p99_ms(clients), 2),
                "generator_share": round(self.generator_share(clients), 4),
                "rounds_images_per_s": [round(load.images_per_s, 2) for load in loads],
            }
            for clients, loads in self.loads.items()
        }
        return {"memory_mb": round(self.memory_mb(), 1), "clients": by_clients}


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    ours = stacks.ours()
    with tempfile.TemporaryDirectory() as folder:
        peers = all_peers(Path(folder)) if scale.peers else []
        visits = _visit_all(ours, peers, scale)
    details: dict[str, Any] = {
        "pictures": pictures.origin(),
        "memory": "sum of PSS of all processes",
    }
    details |= {name: found.summary() for name, found in visits.items()}
    return (_rows(visits, max(scale.clients)) if peers else []), details


def all_peers(folder: Path) -> list[Stack]:
    """Every peer; `folder` is theirs to write to."""
    shared = stacks.cores()
    return [
        stacks.torchserve("resnet50", RESNET50_ALONE, 1, folder / "resnet50-1"),
        stacks.torchserve("resnet50", RESNET50_SHARED, shared, folder / "resnet50"),
        stacks.torchserve("efficientnet_lite2", LITE2, shared, folder / "lite2"),
        stacks.litserve(),
        stacks.bentoml(folder / "bentoml"),
    ]


def _visit_all(ours: Stack, peers: Sequence[Stack], scale: Scale) -> dict[str, Visits]:
    """A round is: ours, peer, peer, ours, peer, peer, ours …"""
    turns = [ours] if not peers else []
    for number, peer in enumerate(peers):
        turns += [ours, peer] if number % 2 == 0 else [peer]
    visits: dict[str, Visits] = defaultdict(Visits)
    plan = list(itertools.chain.from_iterable([turns] * scale.rounds))
    with tqdm(plan, desc="peers", unit="visit", disable=None) as progress:
        for stack in progress:
            progress.set_postfix_str(stack.name)
            with stacks.started(stack) as server:
                for clients in scale.clients:
                    found = server.drive(clients, scale.load_s, scale.warm_up_s)
                    visits[stack.name].loads[clients].append(found)
                visits[stack.name].memory_bytes.append(server.processes.memory_bytes())
    return dict(visits)


def _rows(visits: dict[str, Visits], most: int) -> list[Row]:
    ours = visits["WhatBreed"]
    resnet50 = {
        title: visits[f"TorchServe, {title}"] for title in (RESNET50_ALONE, RESNET50_SHARED)
    }
    lite2 = visits[f"TorchServe, {LITE2}"]
    rows = [
        table.at_least(
            PART,
            f"against TorchServe with {title}: images/s, {most} clients",
            "images/s",
            ours.images_per_s(most),
            peer.images_per_s(most),
            15,
        )
        for title, peer in resnet50.items()
    ]
    rows += [
        table.at_most(
            PART,
            "against the faster of the two: p50, 1 client",
            "ms",
            ours.p50_ms(1),
            min(peer.p50_ms(1) for peer in resnet50.values()),
            1 / 8,
        ),
        table.at_most(
            PART,
            f"against TorchServe with {RESNET50_SHARED}: memory (PSS)",
            "MB",
            ours.memory_mb(),
            resnet50[RESNET50_SHARED].memory_mb(),
            1 / 8,
        ),
        table.at_least(
            PART,
            f"against TorchServe with EfficientNet-Lite2: images/s, {most} clients",
            "images/s",
            ours.images_per_s(most),
            lite2.images_per_s(most),
            3,
        ),
    ]
    for name in ("LitServe", "BentoML"):
        peer = visits[f"{name}, our model"]
        for clients in (4, 16):
            rows.append(
                table.faster(
                    PART,
                    f"against {name} with our model: images/s, {clients} clients",
                    "images/s",
                    ours.images_per_s(clients),
                    peer.images_per_s(clients),
                )
            )
    return rows


if __name__ == "__main__":
    command.main("against_peers", measure, __doc__)
