"""Imports of the server, in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import model_code.serve
print(*sorted({"openvino.tools.ovc", "openvino_telemetry", "torch"} & set(sys.modules)))
from openvino.tools.ovc import convert_model
print(callable(convert_model))
"""


def test_the_converter_is_not_loaded_but_can_be() -> None:
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert completed.stdout.splitlines() == ["", "True"], completed.stderr
