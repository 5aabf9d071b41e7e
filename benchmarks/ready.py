"""From process start to the first answered prediction: what scale-out waits for.

    python -m benchmarks.ready [--quick]

The command is the container's. The page cache is warm; nothing else is: each start is a new
process. The phases come from starts of their own, which stop the clock between them.
"""

import json
import os
import socket
import subprocess
import sys
import time
from statistics import median
from typing import Any

from tqdm import tqdm

from benchmarks import command, load, pictures, stacks, table
from benchmarks.processes import HOST, ROOT, ServerFailed, session, without_venv
from benchmarks.scale import Scale
from benchmarks.table import Row

PART = "ready"
MAX_READY_S = 1.5
PATIENCE_S = 60.0
POLL_S = 0.002

PHASES = """
import sys, time
began = float(sys.argv[1])
marks = [("interpreter", time.time())]
from model_code import inference, serve
marks.append(("imports", time.time()))
model = inference.model_fn(inference.DEFAULT_MODEL_DIR)
marks.append(("model, with its first inference", time.time()))
predictor = serve.Predictor(model)
predictor.warm_up()
marks.append(("warm-up", time.time()))
serve.create_app(predictor)
marks.append(("application", time.time()))
import json
import os
before = [began, *(mark for _, mark in marks)]
print(json.dumps({name: mark - then for (name, mark), then in zip(marks, before)}))
predictor.close()
"""


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    totals: list[float] = []
    phases: dict[str, list[float]] = {}
    for _ in tqdm(range(scale.starts), desc="ready", unit="start", disable=None):
        totals.append(_start_s())
        for name, seconds in _phases_s().items():
            phases.setdefault(name, []).append(seconds)
    found = {name: median(values) for name, values in phases.items()}
    found["listening and the first answer"] = median(totals) - sum(found.values())
    row = table.at_most(
        PART,
        "process start to the first answered prediction",
        "s",
        median(totals),
        None,
        MAX_READY_S,
    )
    return [row], {
        "first_start_s": round(totals[0], 3),
        "starts_s": [round(total, 3) for total in totals],
        "phases_s": {name: round(seconds, 3) for name, seconds in found.items()},
    }


def _start_s() -> float:
    """Seconds from the spawn of the server to its answer to a photo."""
    stack = stacks.ours()
    port = stacks.free_port()
    request = stack.request(pictures.payloads(stacks.PICTURES)[0])
    began = time.perf_counter()
    with session([*stack.command, str(port)]) as processes:
        while not _listens(port):
            if processes.ended() or time.perf_counter() - began > PATIENCE_S:
                raise ServerFailed(f"the server never listened: {processes.said()}")
            time.sleep(POLL_S)
        answer = load.ask(HOST, port, request)
        took_s = time.perf_counter() - began
        try:
            answer.judge(stack.plausible)
        except ValueError as error:
            raise ServerFailed(f"the first answer: {error}") from None
    return took_s


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _phases_s() -> dict[str, float]:
    ended = subprocess.run(
        [sys.executable, "-c", PHASES, str(time.time())],
        cwd=ROOT,
        env=without_venv(os.environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if ended.returncode:
        raise ServerFailed(f"the phases of a start: {ended.stderr[-2000:]}")
    phases: dict[str, float] = json.loads(ended.stdout)
    return phases


if __name__ == "__main__":
    command.main("ready", measure, __doc__)
