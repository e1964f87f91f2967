"""State dicts: names without the prefixes of wrappers, whatever dictionary lies around them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from styleloom.core.errors import StyleLoomError
from styleloom.core.pth import plain_names, read_state_dict

STATE = {"conv.weight": torch.rand(2, 2), "conv.bias": torch.rand(2)}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
@pytest.mark.parametrize("around", ["", "state_dict", "netG", "G", "model"])
def test_wrappers_are_taken_off(prefix: str, around: str, tmp_path: Path) -> None:
    held: Any = {f"{prefix}{name}": tensor for name, tensor in STATE.items()}
    torch.save({around: held, "epoch": 3} if around else held, tmp_path / "net.pth")
    read = read_state_dict(tmp_path / "net.pth")
    assert read.keys() == STATE.keys() and all(torch.equal(read[name], STATE[name]) for name in STATE)


def test_a_name_that_only_contains_a_prefix_stays() -> None:
    assert list(plain_names({"my.module.weight": 1})) == ["my.module.weight"]


def test_what_holds_no_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"model": {"lr": 3}}, tmp_path / "net.pth")
    with pytest.raises(StyleLoomError, match="holds no state_dict"):
        read_state_dict(tmp_path / "net.pth")
