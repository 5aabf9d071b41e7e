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
PRECISION = """
from model_code import inference
model = inference.model_fn(inference.DEFAULT_MODEL_DIR)
print(model.latency.result().get_property("INFERENCE_PRECISION_HINT").get_type_name())
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


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize("limit", ["avx2", "AVX2_VNNI", "AVX512_CORE_VNNI"])
def test_a_model_can_be_compiled_without_bf16(variable: str, limit: str) -> None:
    """OpenVINO wants bf16 if the CPU has it, even if oneDNN may not use it."""
    completed = subprocess.run(
        [sys.executable, "-c", PRECISION],
        cwd=ROOT,
        env={**os.environ, variable: limit},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.stdout == "f32\n", completed.stderr
