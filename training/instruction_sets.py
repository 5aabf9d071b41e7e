"""Compare a model's results on the instruction sets of CPUs, by switching off those of this one.

CPUs differ in how they add products of 8-bit integers, and in bf16 (openvino_graph.py). Each set is
tried in a process of its own, because oneDNN reads its environment once.
https://uxlfoundation.github.io/oneDNN/dev_guide_cpu_dispatcher_control.html
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from model_code.inference import input_fn, model_fn, predict_fn
from model_code.prediction import Prediction
from training.errors import TrainingError
from training.metrics import Floats, Ints, top_k
from training.photos import Photo

SETS = {"AVX2": "avx2", "AVX512_CORE": "avx512bw", "AVX512_CORE_VNNI": "avx512_vnni"}
"""The values of ONEDNN_MAX_CPU_ISA, with the flag in /proc/cpuinfo of CPUs that have the set."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Top-1 accuracy on one instruction set, and differences from this CPU with all of its sets.

    `other_breed` is the number of photos with another likeliest breed. Logits differ by at most
    `max_difference`, and by `mean_difference` on average.
    """

    top1: float
    other_breed: int
    max_difference: float
    mean_difference: float


def compare(
    folder: Path, photos: Sequence[Photo], logits: Floats, targets: Ints
) -> dict[str, dict[str, float]]:
    """Return the `Agreement` with `logits` [N, breeds] on each set that this CPU has.

    `folder` is the artifact that computed `logits` on this CPU. Raises TrainingError if a process
    fails. Other systems than Linux on x86 have no such sets.
    """
    agreements = {}
    for name in available():
        other = _logits_with(name, folder, photos)
        difference = np.abs(other - logits)
        agreements[name] = asdict(
            Agreement(
                round(top_k(other, targets, 1), 4),
                int((other.argmax(axis=1) != logits.argmax(axis=1)).sum()),
                round(float(difference.max()), 3),
                round(float(difference.mean()), 4),
            )
        )
    return agreements


def available() -> list[str]:
    """Return the instruction sets of `SETS` that this CPU has."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return [name for name, flag in SETS.items() if flag in flags]


def _logits_with(name: str, folder: Path, photos: Sequence[Photo]) -> Floats:
    with TemporaryDirectory() as scratch:
        output = Path(scratch) / "logits.npy"
        result = subprocess.run(  # noqa: S603 (this module)
            [sys.executable, "-m", __name__, str(folder.resolve()), str(output)],
            input=json.dumps([str(photo.path.resolve()) for photo in photos]),
            env={**os.environ, "ONEDNN_MAX_CPU_ISA": name},
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
            raise TrainingError(f"Evaluating {folder} with {name} failed: {reason}")
        logits: Floats = np.load(output)
    return logits


def _main(folder: str, output: str) -> None:
    # Without these instruction sets there is no bf16; OpenVINO does not see that oneDNN's are off.
    model = model_fn(folder, precision="f32")
    rows = []
    for path in json.load(sys.stdin):
        prediction = predict_fn(input_fn(Path(path).read_bytes(), "image/*"), model)
        if isinstance(prediction, Prediction):
            rows.append(prediction.logits)
    np.save(output, np.array(rows))


if __name__ == "__main__":
    _main(*sys.argv[1:])
