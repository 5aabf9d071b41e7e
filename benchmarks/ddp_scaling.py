"""Throughput of DDP with two processes against one process and two independent ones.

    python -m benchmarks.ddp_scaling --backbone tf_efficientnet_lite0 --size 160 --batch-size 32

Each process has one thread. The three modes take turns for several rounds, and medians are
reported. Two independent processes are the most that the machine can do, less than twice one
process on shared or hyper-threaded cores. The difference to them is DDP's own overhead.
"""

import argparse
import json
import os
import time
from multiprocessing.synchronize import Barrier
from statistics import median

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from training import backbones, optimiser
from training.model import BreedClassifier
from training.settings import TrainSettings

BREEDS = 133
MODES = {"1 process": 1, "2 processes, DDP": 2, "2 processes, independent": 2}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--size", type=int, default=160, help="side of the photos in pixels")
    parser.add_argument("--batch-size", type=int, default=32, help="photos per step and process")
    parser.add_argument("--steps", type=int, default=6, help="timed steps per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()

    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    measurements = [mode for _ in range(arguments.rounds) for mode in MODES]
    for mode in tqdm(measurements, desc="measure", disable=None):
        rates[mode].append(_measure(mode, arguments))
    medians = {mode: round(median(values), 2) for mode, values in rates.items()}
    alone, together, ceiling = medians.values()
    summary = {
        "images_per_s": medians,
        "ddp_of_one": round(together / alone, 3),
        "ddp_of_ceiling": round(together / ceiling, 3),
    }
    if arguments.json:
        print(json.dumps(summary, indent=2))
        return
    for mode, rate in medians.items():
        print(f"{mode:<26}{rate:>8.2f} images/s{rate / alone:>8.2f}x")
    print(
        f"DDP reaches {summary['ddp_of_one']} times one process and "
        f"{summary['ddp_of_ceiling']} times two independent processes"
    )


def _measure(mode: str, arguments: argparse.Namespace) -> float:
    """Return images per second of all processes of `mode` together."""
    processes = MODES[mode]
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    barrier = context.Barrier(processes)
    workers = [
        context.Process(target=_work, args=(rank, mode, arguments, barrier, results))
        for rank in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit(f"{mode}: a process failed")
    slowest_s: float = max(results.get() for _ in workers)
    return float(processes * arguments.steps * arguments.batch_size / slowest_s)


def _work(
    rank: int,
    mode: str,
    arguments: argparse.Namespace,
    barrier: Barrier,
    results: "multiprocessing.SimpleQueue[float]",
) -> None:
    """Train on noise with the steps of training/train.py, and put their seconds into `results`."""
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    backbone = backbones.create(arguments.backbone)
    model = BreedClassifier(backbone, BREEDS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.train()
    backbones.freeze_batch_norm(model)
    groups = optimiser.parameter_groups(model, TrainSettings(learning_rate=1e-4))
    network = model
    if mode.endswith("DDP"):
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29613", GLOO_SOCKET_IFNAME="lo")
        dist.init_process_group("gloo", rank=rank, world_size=MODES[mode])
        network = DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.AdamW(groups)
    shape = (arguments.batch_size, 3, arguments.size, arguments.size)
    images = torch.randn(shape).clamp(-1, 1).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, BREEDS, (arguments.batch_size,))
    for step in range(arguments.steps + 2):
        if step == 2:  # DDP's buckets are built and memory is allocated
            barrier.wait()
            began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = network(images)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    results.put(time.perf_counter() - began)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
