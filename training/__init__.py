"""Everything that makes the model: `python -m training COMMAND`. See docs/training.md."""

import sys

# OpenVINO's converter and NNCF would report to their makers that they are used.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
