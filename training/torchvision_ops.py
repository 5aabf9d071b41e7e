"""Make `import torchvision` work with a torch build that its compiled operators do not match.

The torchvision wheel on PyPI is compiled against the CUDA build of torch. With a CPU build its
library does not load, and `import torchvision` (hence `import timm`) fails with "operator
torchvision::nms does not exist", because it registers shape functions for operators of that
library. Nothing here uses those operators, so declaring their signatures is enough.
https://github.com/pytorch/vision/blob/main/torchvision/_meta_registrations.py
"""

from importlib.util import find_spec
from pathlib import Path

import torch

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[torch.library.Library] = []  # a declaration is removed with its Library


def declare_missing() -> None:
    """Declare torchvision's operators if its compiled library does not load. Idempotent."""
    spec = find_spec("torchvision")
    if _libraries or spec is None or spec.origin is None:
        return
    try:
        for compiled in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(compiled)  # type: ignore[no-untyped-call]
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for signature in _SIGNATURES:
            library.define(signature)  # type: ignore[no-untyped-call]
        _libraries.append(library)
