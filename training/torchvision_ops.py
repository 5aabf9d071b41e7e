"""Make `import torchvision` work beside a torch that its compiled operators were not built for.

The torchvision wheel on PyPI is compiled against the CUDA build of torch. Beside a CPU build its
library does not load, and `import torchvision` (so `import timm`) then dies of "operator
torchvision::nms does not exist": it registers shape functions for operators that only the library
defines. Nothing here uses those operators; declaring their signatures is enough. Beside a torch
that matches, the library loads and nothing is declared.
https://github.com/pytorch/vision/blob/main/torchvision/_meta_registrations.py
"""

from importlib.util import find_spec
from pathlib import Path

import torch

_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[torch.library.Library] = []  # a declaration lives as long as its Library


def declare_missing() -> None:
    """Declare torchvision's operators where its compiled library cannot load. Idempotent."""
    spec = find_spec("torchvision")
    if _declared or spec is None or spec.origin is None:
        return
    try:
        for compiled in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(compiled)  # type: ignore[no-untyped-call]
    except OSError:
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for signature in _SIGNATURES:
            library.define(signature)  # type: ignore[no-untyped-call]
        _declared.append(library)
