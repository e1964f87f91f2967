"""Files of models and runs: bit for bit, and refused when they are not what they should be."""

from pathlib import Path

import pytest
import torch

from styleloom.core.checkpoint import average, read_model, read_state, read_tensors, resolve, save_model, save_state, zoo_names
from styleloom.core.errors import StyleLoomError


def test_an_optimizers_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    x = torch.rand(5, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], max_iter=3)
    for _ in range(3):
        optimizer.step(lambda: _backward(x))
    state = optimizer.state_dict()
    save_state(tmp_path / "run.state", {"optimizer": state, "index": 7, "pair": (1.5, None), "nest": [torch.arange(3), [True]]})
    back = read_state(tmp_path / "run.state")
    assert back["index"] == 7 and back["pair"] == (1.5, None)
    assert torch.equal(back["nest"][0], torch.arange(3)) and back["nest"][1] == [True]
    _same(back["optimizer"], state)


def _backward(x: torch.Tensor) -> torch.Tensor:
    x.grad = None
    loss = ((x - 0.3) ** 4).sum()
    loss.backward()
    return loss


def _same(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(a, dict) and isinstance(b, dict):
        assert list(a) == list(b)
        for key in a:
            _same(a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            _same(one, other)
    elif isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        assert a.dtype == b.dtype and torch.equal(a, b)
    else:
        assert a == b


def test_models(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_model(path, {"w": torch.ones(2)}, kind="features", config={"widths": [1, 2]}, license="MIT")
    tensors, config = read_model(path, "features")
    assert torch.equal(tensors["w"], torch.ones(2)) and config == {"widths": [1, 2]}
    with pytest.raises(StyleLoomError, match="holds 'features', wanted a model of kind 'stylegan2'"):
        read_model(path, "stylegan2")


def test_the_average_of_models(tmp_path: Path) -> None:
    def model(name: str, weight: float, config: dict[str, str], license: str = "MIT", size: int = 2) -> Path:
        tensors = {"w": torch.full([size], weight).half(), "count": torch.tensor(int(weight))}
        save_model(tmp_path / name, tensors, kind="loom", config=config, license=license)
        return tmp_path / name

    first, second = model("1", 1.0, {"generator": "g", "note": "first"}), model("2", 4.0, {"generator": "g", "note": "second"})
    out = tmp_path / "mean.safetensors"
    assert average([first, second, second], out) == 3
    tensors, config = read_model(out, "loom")
    assert config == {"generator": "g", "note": "first"} and tensors["count"] == 1  # what is no weight is the first one's
    assert torch.equal(tensors["w"], torch.full([2], 3.0).half())
    for other, told in (
        (model("3", 1.0, {"generator": "another"}), "differ in generator"),
        (model("4", 1.0, {"generator": "g"}, license="CC BY 4.0"), "differ in license"),
        (model("5", 1.0, {"generator": "g"}, size=3), "differ in shapes"),
        (resolve("vgg19-lite"), "differ in kind"),
    ):
        with pytest.raises(StyleLoomError, match=told):
            average([first, other], tmp_path / "none.safetensors")
    with pytest.raises(StyleLoomError, match="two or more"):
        average([first], tmp_path / "none.safetensors")
    with pytest.raises(StyleLoomError, match=r"called \.safetensors"):
        average([first, second], tmp_path / "none.pth")
    assert not (tmp_path / "none.safetensors").exists()


def test_names_resolve_to_paths_then_to_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vgg19-lite" in zoo_names()
    assert resolve("vgg19-lite").parent.name == "zoo"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg19-lite").write_bytes(b"")
    assert resolve("vgg19-lite") == Path("vgg19-lite")
    with pytest.raises(StyleLoomError, match=r"no model 'vgg99': neither a file nor one of .*vgg19-lite"):
        resolve("vgg99")


def test_the_hub_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StyleLoomError, match="not in the cache and the hub cannot be reached"):
        resolve("hf://timm/vgg19.tv_in1k/model.safetensors")
    with pytest.raises(StyleLoomError, match="write hf://owner/repo/file"):
        resolve("hf://nothing")


@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 100])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(content)
    (tmp_path / "theirs.pkl").write_bytes(b"nothing of ours")
    with pytest.raises(StyleLoomError, match="convert it first: styleloom convert"):
        read_tensors(tmp_path / "theirs.pkl")
    with pytest.raises(StyleLoomError, match=r"theirs.pkl is no pickle"):
        read_model(tmp_path / "theirs.pkl", "features")
    with pytest.raises(StyleLoomError, match="damaged, or not a safetensors file"):
        read_model(tmp_path / "a.safetensors", "features")
    with pytest.raises(StyleLoomError, match="damaged"):
        read_state(tmp_path / "a.safetensors")


def test_a_model_is_no_run(tmp_path: Path) -> None:
    save_model(tmp_path / "a.safetensors", {"w": torch.ones(2)}, kind="features", config={}, license="MIT")
    with pytest.raises(StyleLoomError, match="no saved run"):
        read_state(tmp_path / "a.safetensors")


def test_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    tensors = {f"layer{index}.weight": torch.arange(index + 1.0) for index in (3, 1, 2)}
    files = [tmp_path / f"{index}.safetensors" for index in range(6)]
    for path in files:
        save_model(path, tensors, kind="toy", config=dict(b=1, a=dict(z=[1, 2])), license="unknown")
    assert len({path.read_bytes() for path in files}) == 1
    back, config = read_model(files[0], "toy")
    assert config == dict(b=1, a=dict(z=[1, 2])) and all(torch.equal(back[name], value) for name, value in tensors.items())
