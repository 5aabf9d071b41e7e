"""What runs inside the SageMaker endpoint's container: from the bytes of a picture to scores."""

import sys

# OpenVINO imports it where it is installed, for a converter of models that is not used here: that
# takes a sixth of a second and 6 MB. The container goes without it altogether.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
