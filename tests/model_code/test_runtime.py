"""What OpenVINO does to a process, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONVERTER = """
import sys
import model_code.serve
print(*sorted({"openvino.tools.ovc", "openvino_telemetry", "torch"} & set(sys.modules)))
from openvino.tools.ovc import convert_model
print(callable(convert_model))
"""
SIGNAL = """
import signal, sys, threading
from model_code import inference
models = [inference.model_fn(sys.argv[1])]
[thread.join() for thread in threading.enumerate() if thread.name == "compile"]
last_user = threading.Thread(target=models.clear)
last_user.start()
last_user.join()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""
PREDICT = """
import sys
from model_code import inference
model = inference.model_fn(inference.DEFAULT_MODEL_DIR)
assert model.latency.result().get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
image = inference.input_fn(open(sys.argv[1], "rb").read(), "image/png")
print(*inference.predict_fn(image, model).logits.tolist())
"""


def test_the_converter_is_not_loaded_but_can_be() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", CONVERTER], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.stdout.splitlines() == ["", "True"], completed.stderr


def test_a_signal_after_another_thread_freed_the_model_is_handled(tiny_model_dir: Path) -> None:
    command = [sys.executable, "-c", SIGNAL, str(tiny_model_dir)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stdout) == (0, "handled\n"), completed.stderr


def logits(instruction_set: str) -> list[float]:
    completed = subprocess.run(
        [sys.executable, "-c", PREDICT, str(ROOT / "docs" / "samples" / "dalmatian.png")],
        cwd=ROOT,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instruction_set},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return [float(logit) for logit in completed.stdout.split()]


@pytest.mark.parametrize("older", ["AVX2", "AVX512_CORE", "AVX512_CORE_VNNI"])
def test_older_instruction_sets_give_the_same_logits(older: str) -> None:
    """By default OpenVINO uses bf16 on CPUs that have it, and fails if oneDNN may not use it."""
    # The order of additions differs, which rounds some activations to a neighbour.
    assert logits(older) == pytest.approx(logits("DEFAULT"), abs=0.2)
