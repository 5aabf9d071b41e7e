"""Find the best settings of LitServe and BentoML for these cores.

    python -m benchmarks.tune_peers

Both documentations recommend to try batch sizes, batch windows and workers. The best ones belong in
peers/lit.py and peers/bento.py.
"""

import dataclasses
import itertools
import tempfile
from pathlib import Path

from tqdm import tqdm

from benchmarks import stacks
from benchmarks.processes import interrupt_on_signals
from benchmarks.scale import FULL

CLIENTS = (4, 16)


def main() -> None:
    interrupt_on_signals()
    workers = sorted({1, stacks.cores()})
    grid = [
        *itertools.product(["LitServe"], workers, [2, 8, 16], [0.001, 0.005]),
        *itertools.product(["BentoML"], workers, [4, 16, 32], [0.0]),
    ]
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        peers = {"LitServe": stacks.litserve(), "BentoML": stacks.bentoml(Path(folder))}
        for name, count, batch, timeout_s in tqdm(grid, desc="settings", disable=None):
            settings = {
                "BENCH_WORKERS": str(count),
                "BENCH_BATCH": str(batch),
                "BENCH_BATCH_TIMEOUT_S": str(timeout_s),
            }
            stack = peers[name]
            stack = dataclasses.replace(stack, environment={**stack.environment, **settings})
            with stacks.started(stack) as server:
                rates = [
                    server.drive(clients, FULL.load_s, FULL.warm_up_s).images_per_s
                    for clients in CLIENTS
                ]
            lines.append((name, count, batch, timeout_s * 1000, rates))
    print("server    workers  batch  window ms  images/s with 4 and 16 clients")
    for name, count, batch, window_ms, rates in sorted(lines, key=lambda line: -line[4][-1]):
        print(f"{name:<10}{count:>7}{batch:>7}{window_ms:>11g}{rates[0]:>10.1f}{rates[1]:>8.1f}")


if __name__ == "__main__":
    main()
