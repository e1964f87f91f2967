"""The public names: there, documented with shapes, and cheap to import."""

import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import styleloom
from styleloom import cli

NAMES = [
    "METHODS", "STYLES", "Features", "Generator", "Hardware", "Latents", "Run", "StyleLoomError", "Translator",
    "adain", "average", "bundled", "convert", "cross", "cyclegan", "directions", "draw", "dumoulin", "edit", "eigenbasis",
    "evaluate", "export", "express", "gatys",
    "ghiasi", "image2stylegan", "indomain", "inpaint", "invert", "jobs", "johnson", "learned_optimizer", "load",
    "load_features", "load_latents", "local_edit", "match_color", "mix", "morph", "open_domains", "pix2pix", "pix2pixhd",
    "progan", "pti", "push", "read", "resize", "resize_to_fit", "save_latents", "stylegan", "stylegan2", "stylize",
    "stylize_video",    "super_resolution", "toonfaces", "translate", "upscale", "write",
]  # fmt: skip
PUBLIC: list[tuple[str, Any]] = [(name, getattr(styleloom, name)) for name in NAMES]
PUBLIC += [
    (f"gatys.{name}", getattr(styleloom.gatys, name))
    for name in ("GatysConfig", "GatysStep", "configure", "painter", "steps", "stylize")
]
PUBLIC += [
    (f"super_resolution.{name}", getattr(styleloom.super_resolution, name)) for name in ("UpscalerRecipe", "load", "train")
]
PUBLIC += [
    (f"{kind}.{name}", getattr(getattr(styleloom, kind), name))
    for kind in ("progan", "stylegan", "stylegan2")
    for name in ("Generator", "load", "load_discriminator", "networks", "save", "train")
]
RECIPES = dict(
    progan="ProGANRecipe", stylegan="StyleGANRecipe", stylegan2="StyleGAN2Recipe", pix2pix="Pix2PixRecipe",
    cyclegan="CycleGANRecipe", pix2pixhd="Pix2PixHDRecipe", johnson="JohnsonRecipe", dumoulin="DumoulinRecipe",
    adain="AdaINRecipe", ghiasi="GhiasiRecipe",
)  # fmt: skip
PUBLIC += [(f"{kind}.{name}", getattr(getattr(styleloom, kind), name)) for kind, name in RECIPES.items()]
CONFIGS = dict(johnson="JohnsonConfig", dumoulin="DumoulinConfig", adain="AdaINConfig", ghiasi="GhiasiConfig")
PUBLIC += [(f"{kind}.{name}", getattr(getattr(styleloom, kind), name)) for kind, name in CONFIGS.items()]
PUBLIC += [
    (f"{kind}.{name}", getattr(getattr(styleloom, kind), name))
    for kind in ("pix2pix", "cyclegan", "pix2pixhd")
    for name in ("load", "save", "train")
]
PUBLIC += [(f"toonfaces.{name}", getattr(styleloom.drawn.toonfaces, name)) for name in ("Attributes", "attributes", "render")]
PUBLIC += [
    (f"{module.__name__.split('.')[-1]}.{name}", getattr(module, name))
    for module, names in (
        (styleloom.image2stylegan, ("InversionConfig", "InversionStep", "Objective", "configure", "steps")),
        (styleloom.indomain, ("Encoder", "EncoderRecipe", "load", "save", "train")),
        (styleloom.tasks.inversion, ("Inversion", "Tools", "steps", "tools_of")),
        (styleloom.tasks.tools, ("prepare", "seconds_to_prepare")),
        (styleloom.directions, ("Direction", "conditional", "effects", "ganspace", "interfacegan", "least_squares", "sefa")),
        (styleloom.local_edit, ("Target", "copy_paste", "crossover", "inpainting", "local_style", "outpainting", "scribble")),
        (styleloom.pti, ("PTIConfig", "save", "steps", "tune", "tuned_by")),
        (styleloom.learned_optimizer, ("Learned", "Loom", "OptimizerRecipe", "Schedule", "factory", "load", "save", "train")),
    )
    for name in names
]
PUBLIC += [
    (f"{module.__name__.split('.')[-1]}.{name}", getattr(module, name))
    for module in (styleloom.johnson, styleloom.dumoulin, styleloom.adain, styleloom.ghiasi)
    for name in ("configure", "load", "painter", "stylize", "train")
]


def test_no_public_name_disappears() -> None:
    assert sorted(styleloom.__all__) == sorted(NAMES)


@pytest.mark.parametrize(("name", "item"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_docstrings(name: str, item: Any) -> None:
    if isinstance(item, dict):
        return
    text = inspect.getdoc(item) or ""
    assert len(text) > 40, f"{name} has no docstring"
    if not callable(item):
        return
    target = item.__init__ if inspect.isclass(item) else item
    takes = {parameter for parameter in inspect.signature(target).parameters if parameter not in ("self", "args", "kwargs")}
    if not inspect.isclass(item):
        missing = [parameter for parameter in takes if parameter not in text]
        assert not missing, f"{name} does not document {missing}"
        if "Tensor" in str(inspect.signature(item)):
            assert re.search(r"\[.*\bH\b.*\bW\b.*\]|\[1, 3, size, size\]|num_ws, w_dim\]|\[N, 3, R, R\]", text), (
                f"{name} states no shape"
            )


def test_public_parameters_have_a_type() -> None:
    """``Any`` says nothing; only settings by name are handed on unseen."""
    for name, item in PUBLIC:
        if not inspect.isfunction(item):
            continue
        for parameter in inspect.signature(item).parameters.values():
            if parameter.kind is not parameter.VAR_KEYWORD:
                assert parameter.annotation not in ("Any", Any), f"{name}: {parameter.name}"


def test_import_touches_neither_the_network_nor_heavy_packages() -> None:
    code = (
        "import sys, styleloom;"
        "heavy = [m for m in ('skimage.data', 'huggingface_hub', 'typer', 'rich', 'matplotlib') if m in sys.modules];"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["train", "--help"]])
def test_help_does_not_load_torch(arguments: list[str]) -> None:
    program = f"import sys\nfrom styleloom.cli import main\ntry:\n    main({arguments})\nexcept SystemExit as end:\n"
    program += "    assert not end.code\nassert not {'torch', 'numpy'} & {*sys.modules}, 'loaded'\n"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_every_verb_has_its_file() -> None:
    """A verb whose file has no function of its name would be listed in help and fail when it is used."""
    verbs = [*cli.VERBS.items(), *(pair for _, group in cli.GROUPS.values() for pair in group.items())]
    for name, file in verbs:
        assert callable(getattr(importlib.import_module(f"styleloom.cli.{file}"), name))


def test_it_runs_from_its_folder() -> None:
    """Also where it was never installed, so that nobody knows its version."""
    code = (
        "import importlib.metadata as m\n"
        "def none(name): raise m.PackageNotFoundError(name)\n"
        "m.version = none\n"
        "import styleloom\n"
        "print(styleloom.__version__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0+unknown"
