"""Train the model: `python -m training COMMAND`. See docs/training.md."""

import sys

# OpenVINO's converter and NNCF would send usage telemetry.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
