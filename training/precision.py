"""In which precision the forward pass computes."""

import torch

from cli.errors import SettingsError


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """A context for the forward pass in `precision`: fp32, bf16 or auto.

    auto is bf16 on GPUs and CPUs with instructions for it: EfficientNet-Lite2's forward pass then
    takes less than half the time on a CPU with AVX-512 BF16. Elsewhere bf16 is emulated and slow.
    Raises `SettingsError` for another name.
    """
    if precision not in ("fp32", "bf16", "auto"):
        raise SettingsError(f"precision is {precision!r}, not fp32, bf16 or auto")
    bf16 = precision == "bf16" or (precision == "auto" and _has_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
