"""What OpenVINO does to a process, in a process of its own."""

import subprocess
import sys
from pathlib import Path

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


def test_the_converter_is_not_loaded_but_can_be() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", CONVERTER], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.stdout.splitlines() == ["", "True"], completed.stderr


def test_a_signal_after_another_thread_freed_the_model_is_handled(tiny_model_dir: Path) -> None:
    command = [sys.executable, "-c", SIGNAL, str(tiny_model_dir)]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stdout) == (0, "handled\n"), completed.stderr
