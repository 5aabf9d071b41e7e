"""What serving imports of OpenVINO, in a process of its own."""

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


def test_the_server_loads_no_converter_and_leaves_it_to_who_needs_it() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == ["", "True"], ended.stderr
