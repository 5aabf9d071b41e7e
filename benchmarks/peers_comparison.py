"""Our server against TorchServe, LitServe and BentoML: same images, same cores, in turn.

Closed loops of 1, 4 and 16 clients. Every visit starts the server, warms it up and measures it. Our
server is visited before every second peer, so that a machine that slows down affects all. Reported
are medians of the rounds, and p99 over all rounds. Memory is the sum of the proportional set sizes
(PSS) of all processes of a stack after its load. TorchServe runs ResNet50 with one worker per core,
the container's default, and with one worker.
"""

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm

from benchmarks import images, results, stacks
from benchmarks.load import Load
from benchmarks.processes import ServerFailed
from benchmarks.results import Row
from benchmarks.scale import Scale
from benchmarks.stacks import Stack
from ops.loadtest.step import percentile

PART = "peers"
RESNET50_ONE_WORKER = "ResNet50, one worker"
RESNET50_ALL_CORES = "ResNet50, one worker per core"
LITE2 = "EfficientNet-Lite2"


@dataclass
class Visits:
    """The measurements of all visits to one stack."""

    loads: dict[int, list[Load]] = field(default_factory=lambda: defaultdict(list))
    memory_bytes: list[int] = field(default_factory=list)

    def images_per_s(self, clients: int) -> float:
        return median(load.images_per_s for load in self.loads[clients])

    def p50_ms(self, clients: int) -> float:
        return median(load.percentile_ms(50) for load in self.loads[clients])

    def p99_ms(self, clients: int) -> float:
        latencies_s = [second for load in self.loads[clients] for second in load.latencies_s]
        return percentile(latencies_s, 99) * 1000

    def memory_mb(self) -> float:
        return median(self.memory_bytes) / 1e6

    def generator_share(self, clients: int) -> float:
        """The fraction of all cores that the load generator used."""
        return median(
            load.generator_cpu_s * load.images_per_s / stacks.cores()
            for load in self.loads[clients]
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
    """Measure all. A peer that fails is left out, with the reason in `details["left_out"]`."""
    ours = stacks.ours()
    with tempfile.TemporaryDirectory() as folder:
        peers = all_peers(Path(folder)) if scale.peers else []
        visits, left_out = visit_all(ours, peers, scale)
    details: dict[str, Any] = {
        "images": images.description(),
        "memory": "sum of PSS of all processes",
    }
    details |= {name: stack_visits.summary() for name, stack_visits in visits.items()}
    if left_out:
        details["left_out"] = left_out
    return (rows(visits, max(scale.clients)) if peers else []), details


def all_peers(folder: Path) -> list[Stack]:
    """Return every peer. They write to `folder`."""
    cores = stacks.cores()
    return [
        stacks.torchserve("resnet50", RESNET50_ONE_WORKER, 1, folder / "resnet50-1"),
        stacks.torchserve("resnet50", RESNET50_ALL_CORES, cores, folder / "resnet50"),
        stacks.torchserve("efficientnet_lite2", LITE2, cores, folder / "lite2"),
        stacks.litserve(),
        stacks.bentoml(folder / "bentoml"),
    ]


def visit_all(
    ours: Stack, peers: Sequence[Stack], scale: Scale
) -> tuple[dict[str, Visits], dict[str, str]]:
    """Visit in each round: ours, peer, peer, ours, peer, peer, ours, …

    Return the visits, and the reason for each peer that failed. Raise ServerFailed if ours does.
    """
    turns = [ours] if not peers else []
    for number, peer in enumerate(peers):
        turns += [ours, peer] if number % 2 == 0 else [peer]
    visits: dict[str, Visits] = defaultdict(Visits)
    left_out: dict[str, str] = {}
    with tqdm(turns * scale.rounds, desc="peers", unit="visit", disable=None) as progress:
        for stack in progress:
            if stack.name in left_out:
                continue
            progress.set_postfix_str(stack.name)
            try:
                _visit(stack, scale, visits[stack.name])
            except (OSError, ServerFailed) as error:
                if stack is ours:
                    raise
                left_out[stack.name] = _missing(stack) or str(error)
                del visits[stack.name]
                tqdm.write(f"{stack.name}: left out: {left_out[stack.name]}", file=sys.stderr)
    return dict(visits), left_out


def _visit(stack: Stack, scale: Scale, visits: Visits) -> None:
    with stacks.started(stack) as server:
        for clients in scale.clients:
            load = server.drive(clients, scale.load_s, scale.warm_up_s)
            visits.loads[clients].append(load)
        visits.memory_bytes.append(server.processes.memory_bytes())


def _missing(stack: Stack) -> str:
    """The sentence about a program that `stack` needs and this machine lacks, or ""."""
    if not Path(stack.command[0]).exists():
        return f"{stack.command[0]} does not exist. `make bench` installs the peers."
    if stack.name.startswith("TorchServe") and not shutil.which("java"):
        return "TorchServe needs Java 17 (Debian: default-jre-headless)."
    return ""


def rows(visits: dict[str, Visits], clients: int) -> list[Row]:
    """Return the comparisons with all peers in `visits`."""
    ours = visits["WhatBreed"]

    def throughput(name: str, clients: int, times: float | None = None) -> list[Row]:
        if name not in visits:
            return []
        what = f"throughput, {clients} clients, vs. {name}"
        rates = ours.images_per_s(clients), visits[name].images_per_s(clients)
        if times is None:
            return [results.faster(PART, what, "images/s", *rates)]
        return [results.at_least(PART, what, "images/s", *rates, times)]

    return [
        *throughput(f"TorchServe with {RESNET50_ONE_WORKER}", clients, 15),
        *throughput(f"TorchServe with {RESNET50_ALL_CORES}", clients, 12),
        *_latency_and_memory(visits),
        *throughput(f"TorchServe with {LITE2}", clients, 3),
        *(
            row
            for peer in ("LitServe", "BentoML")
            for clients in (4, 16)
            for row in throughput(f"{peer} with our model", clients)
        ),
    ]


def _latency_and_memory(visits: dict[str, Visits]) -> list[Row]:
    ours = visits["WhatBreed"]
    one_worker = visits.get(f"TorchServe with {RESNET50_ONE_WORKER}")
    all_cores = visits.get(f"TorchServe with {RESNET50_ALL_CORES}")
    if not one_worker or not all_cores:
        return []
    return [
        results.at_most(
            PART,
            "p50 latency, 1 client, vs. the faster TorchServe with ResNet50",
            "ms",
            ours.p50_ms(1),
            min(one_worker.p50_ms(1), all_cores.p50_ms(1)),
            1 / 8,
        ),
        results.at_most(
            PART,
            f"memory (PSS) vs. TorchServe with {RESNET50_ALL_CORES}",
            "MB",
            ours.memory_mb(),
            all_cores.memory_mb(),
            0.12,
        ),
    ]
