"""Compare a model's results on the instruction sets of CPUs, by switching off those of this one.

CPUs differ in how they add products of 8-bit integers (int8_ranges.py). Each set is tried in a
process of its own, because oneDNN reads its environment once.
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
from typing import NamedTuple

import numpy as np

from model_code.images import InputImage
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

    `other_breed` is the number of photos with another likeliest breed. Logits of the first look
    differ by at most `max_difference`, and by `mean_difference` on average. Those of a photo that
    only one of both looks at again differ by more.
    """

    top1: float
    other_breed: int
    max_difference: float
    mean_difference: float


def compare(folder: Path, photos: Sequence[Photo], targets: Ints) -> dict[str, dict[str, float]]:
    """Return the `Agreement` of the artifact in `folder` with itself on each set of this CPU.

    `targets` [N] are the breeds of the photos. Raises TrainingError if a process fails. Other
    systems than Linux on x86 have no such sets.
    """
    if not available():
        return {}
    here = _outputs(folder, photos, None)
    agreements = {}
    for name in available():
        other = _outputs(folder, photos, name)
        difference = np.abs(other.first_look - here.first_look)
        agreements[name] = asdict(
            Agreement(
                round(top_k(other.result, targets, 1), 4),
                int((other.result.argmax(axis=1) != here.result.argmax(axis=1)).sum()),
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


class _Outputs(NamedTuple):
    """Logits [N, breeds] of the first look and of the result."""

    first_look: Floats
    result: Floats


def _outputs(folder: Path, photos: Sequence[Photo], instruction_set: str | None) -> _Outputs:
    """Run the artifact in a process with this instruction set, or with all of this CPU's."""
    environment = {**os.environ}
    if instruction_set is not None:
        environment["ONEDNN_MAX_CPU_ISA"] = instruction_set
    with TemporaryDirectory() as scratch:
        output = Path(scratch) / "logits.npy"
        result = subprocess.run(  # noqa: S603 (this module)
            [sys.executable, "-m", __name__, str(folder.resolve()), str(output)],
            input=json.dumps([str(photo.path.resolve()) for photo in photos]),
            env=environment,
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            reason = (result.stderr.strip().splitlines() or ["no output"])[-1]
            on = f" with {instruction_set}" if instruction_set else ""
            raise TrainingError(f"Evaluating {folder}{on} failed: {reason}")
        return _Outputs(*np.load(output))


def _main(folder: str, output: str) -> None:
    model = model_fn(folder)
    rows = []
    for path in json.load(sys.stdin):
        image = input_fn(Path(path).read_bytes(), "image/*")
        prediction = predict_fn(image, model)
        if isinstance(image, InputImage) and isinstance(prediction, Prediction):
            first_look = model.infer(image.pixels(model.artifact.input))
            rows.append((first_look.logits, prediction.logits))
    np.save(output, np.array(rows).transpose(1, 0, 2))


if __name__ == "__main__":
    _main(*sys.argv[1:])
