"""``styleloom convert``: networks of other projects, and ours under others' names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from styleloom import models
from styleloom.converters.nvidia import save_as_nvidia
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent

from .options import Common
from .report import Report


class Target(StrEnum):
    """Whose names a file is written with."""

    styleloom = "styleloom"
    nvidia = "nvidia"


def convert(
    source: Path,
    *,
    out: Path,
    to: Target = Target.styleloom,
    resolution: int | None = None,
    encoder: Path | None = None,
    licence: str = "unknown",
    common: Common,
) -> None:
    """Convert a network of another project, or one of ours to NVIDIA's names. Nothing in the file is ever run.

    Read are NVIDIA's .pkl of ProGAN, StyleGAN and StyleGAN2 (PyTorch and TensorFlow), rosinality's checkpoints, and style
    networks of pytorch/examples, rrmina and naoto0804.

    Args:
        source: the file, a .pkl, .pt, .pth or .model; with --to nvidia a StyleGAN2 of ours.
        out: model file to write, a .safetensors.
        to: styleloom, or nvidia: tensors under the names of stylegan2-ada-pytorch.
        resolution: side to which a growing network of rosinality was trained, where its name does not say.
        encoder: vgg_normalised.pth, for a decoder of AdaIN.
        licence: what the file may be used for, noted in the model.
    """
    report = Report(common)
    if to is Target.nvidia:
        if out.suffix != ".safetensors":
            raise StyleLoomError(f"cannot write {out}: tensors go into a .safetensors")
        if source.suffix in (".pkl", ".pt", ".pth", ".model"):
            raise StyleLoomError(f"{source} is not a model of ours; convert it first, without --to nvidia")
        check_parent(out)
        written = save_as_nvidia(source, out)
        report.say(f"wrote {out}  ({' and '.join(written)}, under the names of stylegan2-ada-pytorch)")
        report.outcome(out=str(out), networks=written)
        return
    converted = models.convert(source, out, encoder=encoder, resolution=resolution, licence=licence)
    report.say(f"wrote {out}  ({converted['kind']}, {converted['numbers']:,} numbers)")
    report.outcome(out=str(out), kind=converted["kind"], config=converted["config"])
