"""Time from process start to the first prediction, which scaling out waits for.

The command is the container's. Each start is a new process with a warm page cache. The phases are
measured in separate starts.
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

from benchmarks import images, results, stacks
from benchmarks.processes import HOST, ROOT, ServerFailed, free_port, process_tree, without_venv
from benchmarks.results import Row
from benchmarks.scale import Scale
from benchmarks.stacks import Server

PART = "startup"
MAX_STARTUP_S = 1.2
TIMEOUT_S = 60.0
POLL_S = 0.002

PHASES = """
import sys, time
began = float(sys.argv[1])
marks = [("interpreter", time.time())]
from model_code import inference, serve
marks.append(("imports", time.time()))
model = inference.model_fn(inference.DEFAULT_MODEL_DIR)
marks.append(("model and first inference", time.time()))
predictor = serve.Predictor(model)
predictor.warm_up()
marks.append(("warm-up", time.time()))
serve.create_app(predictor)
marks.append(("application", time.time()))
import json
import os
before = [began, *(mark for _, mark in marks)]
print(json.dumps({name: mark - start for (name, mark), start in zip(marks, before)}))
predictor.close()
"""


def measure(scale: Scale) -> tuple[list[Row], dict[str, Any]]:
    totals: list[float] = []
    phases: dict[str, list[float]] = {}
    for _ in tqdm(range(scale.starts), desc="startup", unit="start", disable=None):
        totals.append(_start_s())
        for name, seconds in _phases_s().items():
            phases.setdefault(name, []).append(seconds)
    medians = {name: median(values) for name, values in phases.items()}
    medians["socket and first response"] = median(totals) - sum(medians.values())
    what = "process start to first prediction"
    row = results.at_most(PART, what, "s", median(totals), None, MAX_STARTUP_S)
    return [row], {
        "first_start_s": round(totals[0], 3),
        "starts_s": [round(total, 3) for total in totals],
        "phases_s": {name: round(seconds, 3) for name, seconds in medians.items()},
    }


def _start_s() -> float:
    """Seconds from starting the server to its first prediction."""
    stack, port = stacks.ours(), free_port()
    jpeg = images.payloads(stacks.IMAGES)[0]
    began = time.perf_counter()
    with process_tree([*stack.command, str(port)]) as processes:
        while not _is_listening(port):
            if processes.poll() is not None or time.perf_counter() - began > TIMEOUT_S:
                raise ServerFailed(f"the server did not start: {processes.output()[-3000:]}")
            time.sleep(POLL_S)
        Server(stack, port, processes).send(jpeg)
        return time.perf_counter() - began


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _phases_s() -> dict[str, float]:
    completed = subprocess.run(
        [sys.executable, "-c", PHASES, str(time.time())],
        cwd=ROOT,
        env=without_venv(os.environ),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if completed.returncode:
        raise ServerFailed(f"measuring the phases of a start failed: {completed.stderr[-2000:]}")
    phases: dict[str, float] = json.loads(completed.stdout)
    return phases
