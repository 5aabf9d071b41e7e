"""OpenVINO, as `ov`, without its converter of models, which serving never needs.

The package imports the converter where it can, and that takes 50 ms and 5 MB of every endpoint.
"""

import sys

_CONVERTER = "openvino.tools.ovc"

sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]
import openvino as ov  # noqa: E402

if sys.modules[_CONVERTER] is None:
    del sys.modules[_CONVERTER]  # whoever does convert can still import it

__all__ = ["ov"]
