"""Number formats that networks compute in, where the machine is made for them."""

from __future__ import annotations

import torch

from .errors import StyleLoomError, check_choice

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def precision_on(device: torch.device, name: str) -> torch.dtype:
    """The dtype of ``"fp32"`` or ``"bf16"``.

    Raises:
        StyleLoomError: another name, or bf16 on a processor without instructions for it, where it takes some fifty times as
            long as fp32.
    """
    check_choice("precision", name, PRECISIONS)
    if name == "bf16" and device.type == "cpu" and not bf16_is_fast():
        raise StyleLoomError("this processor has no bf16 instructions and would take fifty times as long; use fp32")
    return PRECISIONS[name]


def bf16_is_fast() -> bool:
    """Whether this CPU multiplies bf16 numbers itself."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
