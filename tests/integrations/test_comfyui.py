"""The nodes for ComfyUI: as its contract wants them, and equal to the library."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import styleloom as sl

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
TYPES = {"IMAGE", "MASK", "FLOAT", "INT", "STRING", "BOOLEAN"}


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    """The pack, loaded as ComfyUI loads a folder of ``custom_nodes``: by its path, under a name of no package."""
    spec = importlib.util.spec_from_file_location(
        "custom_nodes_styleloom", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def defaults(node: Any) -> dict[str, Any]:
    """What a fresh node of the page would send for each input that is no link."""
    values: dict[str, Any] = {}
    for name, (kind, *options) in node.INPUT_TYPES()["required"].items():
        if isinstance(kind, list):
            values[name] = kind[0]
        elif kind not in ("IMAGE", "MASK"):
            values[name] = options[0]["default"]
    return values


def test_each_node_keeps_the_contract(pack: ModuleType) -> None:
    assert set(pack.NODE_CLASS_MAPPINGS) == set(pack.NODE_DISPLAY_NAME_MAPPINGS)
    for node in pack.NODE_CLASS_MAPPINGS.values():
        inputs = node.INPUT_TYPES()
        assert set(inputs) <= {"required", "optional", "hidden"} and "required" in inputs
        for kind, *options in [each for part in inputs.values() for each in part.values()]:
            assert (isinstance(kind, list) and kind and all(isinstance(each, str) for each in kind)) or kind in TYPES
            if kind in ("FLOAT", "INT"):
                assert options[0]["min"] <= options[0]["default"] <= options[0]["max"]
        assert isinstance(node.RETURN_TYPES, tuple) and len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
        assert isinstance(node.CATEGORY, str) and isinstance(node.DESCRIPTION, str)
        names = set(inspect.signature(getattr(node, node.FUNCTION)).parameters) - {"self"}
        assert names == set(inputs["required"]) | set(inputs.get("optional", {}))
        for name in inputs.get("optional", {}):
            parameter = inspect.signature(getattr(node, node.FUNCTION)).parameters[name]
            assert parameter.default is not inspect.Parameter.empty


def test_nodes_give_what_the_library_gives(pack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = pack.NODE_CLASS_MAPPINGS
    photo = sl.bundled("cat")[..., :96, :128]
    image = photo.movedim(1, -1)
    # A batch of two with a mask, in a style of its own, and in a bundled one.
    mask = torch.zeros(1, 96, 128)
    mask[..., :64] = 1
    options = defaults(nodes["StyleLoomStylize"])
    (painted,) = nodes["StyleLoomStylize"]().paint(image.expand(2, -1, -1, -1), **options, mask=mask)
    wanted = sl.stylize(photo, options["bundled"], "ghiasi")
    assert painted.shape == (2, 96, 128, 3) and painted.min() >= 0 and painted.max() <= 1
    torch.testing.assert_close(painted[0, :, :60], wanted[0].movedim(0, -1)[:, :60])
    torch.testing.assert_close(painted[1, :, 70:], image[0, :, 70:])
    style = torch.rand(1, 80, 80, 4)  # with transparency, which is left out
    (other,) = nodes["StyleLoomStylize"]().paint(image, **options, style=style)
    (quick,) = nodes["StyleLoomStylize"]().paint(image, **options | dict(method="quick", strength=0.5))
    wanted = torch.lerp(photo, sl.stylize(photo, options["bundled"], preset="quick"), 0.5)
    torch.testing.assert_close(quick, wanted.movedim(1, -1))
    small = sl.gatys.configure("draft", size=72, first_size=72, first_steps=1)
    monkeypatch.setitem(sl.gatys.PRESETS, "draft", small)  # of another size than the image
    (gatys,) = nodes["StyleLoomStylize"]().paint(image, **options | dict(method="gatys"))
    assert gatys.shape == image.shape
    torch.testing.assert_close(other.movedim(-1, 1), sl.stylize(photo, style[..., :3].movedim(-1, 1), "ghiasi"))
    (made,) = nodes["StyleLoomGenerate"]().generate("toonfaces-64", 3, 2, 0.7)
    torch.testing.assert_close(made.movedim(-1, 1), sl.load("toonfaces-64").generate([3, 4], truncation_psi=0.7).clamp(0, 1))
    (translated,) = nodes["StyleLoomTranslate"]().translate(torch.rand(1, 128, 128, 3), "edges2portrait", True)
    assert translated.shape == (1, 128, 128, 3)


def test_a_face_is_edited_in_its_photograph(pack: ModuleType) -> None:
    photo = sl.bundled("astronaut")[..., :256, 96:352]
    (edited,) = pack.NODE_CLASS_MAPPINGS["StyleLoomEditFace"]().edit(photo.movedim(1, -1), "smile", 2.0, 2)
    changed = (edited.movedim(-1, 1) - photo).abs().amax((0, 1))
    assert edited.shape == (1, 256, 256, 3) and changed.max() > 0.03
    assert changed[:4].max() < 2 / 255  # what is outside of the face stays
