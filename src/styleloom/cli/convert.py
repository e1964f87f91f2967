"""``styleloom convert``: models of other projects become StyleLoom's."""

from __future__ import annotations

from pathlib import Path

from styleloom.blocks.checkpoint import save_model
from styleloom.blocks.errors import StyleLoomError
from styleloom.convert.nvidia import convert_stylegan2
from styleloom.convert.styles import convert_style

from .options import Common
from .report import Report


def convert(source: Path, *, out: Path, encoder: Path | None = None, licence: str = "unknown", common: Common) -> None:
    """Convert a network of another project: pytorch/examples, rrmina, naoto0804's AdaIN decoder, NVIDIA's StyleGAN2.

    Args:
        source: the file, a .pth; or a .pkl of NVIDIA.
        out: model file to write, a .safetensors.
        encoder: vgg_normalised.pth, for a decoder of AdaIN.
        licence: what the file may be used for, noted in the model.
    """
    if out.suffix != ".safetensors":
        raise StyleLoomError(f"cannot write {out}: a model file is called .safetensors")
    report = Report(common)
    kind, tensors, config = convert_stylegan2(source) if source.suffix == ".pkl" else convert_style(source, encoder)
    save_model(out, tensors, kind=kind, config=config, licence=licence)
    report.say(f"wrote {out}  ({kind}, {sum(tensor.numel() for tensor in tensors.values()):,} numbers)")
    report.outcome(out=str(out), kind=kind, config=config)
