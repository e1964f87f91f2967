"""``styleloom convert``: networks of other projects, and ours under others' names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from styleloom import models
from styleloom.converters.nvidia import save_as_nvidia
from styleloom.converters.translation import save_as_junyanz
from styleloom.core.checkpoint import FOREIGN
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_parent
from styleloom.jobs.engine import check_apart
from styleloom.nn.translator import Translator

from .options import Common
from .report import Report


class Target(StrEnum):
    """Whose names a file is written with."""

    styleloom = "styleloom"
    nvidia = "nvidia"
    junyanz = "junyanz"


def convert(
    source: Path,
    *,
    out: Path,
    to: Target = Target.styleloom,
    resolution: int | None = None,
    encoder: Path | None = None,
    other: Path | None = None,
    license: str = "unknown",
    common: Common,
) -> None:
    """Convert a network of another project, or one of ours to others' names. Nothing in the file is ever run.

    Read are NVIDIA's .pkl of ProGAN, StyleGAN and StyleGAN2 (PyTorch and TensorFlow), rosinality's checkpoints, style networks of
    pytorch/examples, rrmina and naoto0804, and generators of pytorch-CycleGAN-and-pix2pix and pix2pixHD.

    Args:
        source: the file, a .pkl, .pt, .pth or .model; with --to nvidia a StyleGAN2 of ours, with --to junyanz a translator.
        out: model file to write, a .safetensors; with --to junyanz a folder for latest_net_G.pth and the like.
        to: styleloom, or nvidia: tensors under the names of stylegan2-ada-pytorch; or junyanz: state dicts of
            pytorch-CycleGAN-and-pix2pix (of pix2pixHD for its networks).
        resolution: side to which a growing network of rosinality was trained, where its name does not say.
        encoder: vgg_normalised.pth, for a decoder of AdaIN.
        other: the second generator of a CycleGAN, which goes back.
        license: what the file may be used for, noted in the model.
    """
    report = Report(common)
    check_apart([out], [each for each in (source, encoder, other) if each is not None])
    if to is Target.nvidia:
        if out.suffix != ".safetensors":
            raise StyleLoomError(f"cannot write {out}: tensors go into a .safetensors")
        if source.suffix in FOREIGN:
            raise StyleLoomError(f"{source} is not a model of ours; convert it first, without --to nvidia")
        check_parent(out)
        written = save_as_nvidia(source, out)
        report.say(f"wrote {out}  ({' and '.join(written)}, under the names of stylegan2-ada-pytorch)")
        report.outcome(out=str(out), networks=written)
        return
    if to is Target.junyanz:
        written = save_as_junyanz(models.load(source, Translator), out)
        report.say(f"wrote {', '.join(written)} into {out}")
        report.outcome(out=str(out), networks=written)
        return
    converted = models.convert(source, out, encoder=encoder, other=other, resolution=resolution, license=license)
    report.say(f"wrote {out}  ({converted['kind']}, {converted['numbers']:,} numbers)")
    report.outcome(out=str(out), kind=converted["kind"], config=converted["config"])
