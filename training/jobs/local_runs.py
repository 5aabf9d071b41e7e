"""Train on this machine with one or more processes, for a comparison."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError
from training.jobs import source_code
from training.jobs.measurement import Measurement, Times
from training.run_result import FILE, Result
from training.settings import TrainSettings


def measure(train: TrainSettings, data: Path, output: Path, processes: int) -> Measurement:
    """Train with `processes` processes, export the model, and return the times.

    Each process gets its share of the CPU's cores. Raises TrainingError if a command fails.
    """
    place = f"{processes} process{'es' if processes > 1 else ''}"
    options = [
        text for name, value in train for text in (f"--{name.replace('_', '-')}", _text(value))
    ]
    print(f"training: {place}", flush=True)
    began = time.monotonic()
    _run(
        ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        + ["-m", "training.train", "--data", str(data), "--output", str(output), "--fresh"]
        + options,
        output.with_suffix(".log"),
        threads=max(1, (os.cpu_count() or 1) // processes),
    )
    trained = time.monotonic()
    artifact = str(output / "artifact")
    _run(
        ["training", "export", "--run", str(output), "--data", str(data), "--output", artifact],
        output.with_suffix(".log"),
    )
    exported = time.monotonic()
    result = Result.parse((output / FILE).read_bytes())
    if result is None:
        raise TrainingError(f"{output / FILE} is missing: the training was interrupted.")
    startup = trained - began - result.data_s - result.training_s
    return Measurement(
        name=output.name,
        place=place,
        machines=processes,
        status="Completed",
        times=Times(startup, result.data_s, result.training_s, exported - trained),
        result=result,
        train=train.model_dump(),
    )


def _run(module: Sequence[str], log: Path, threads: int = 0) -> None:
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    command = [sys.executable, "-m", *module]
    with log.open("wb") as stream:
        done = subprocess.run(  # noqa: S603 (this program)
            command,
            cwd=source_code.ROOT,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        print(tail, file=sys.stderr)
        raise TrainingError(f"`python -m {' '.join(module[:2])}` failed: see its output above.")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
