"""NVIDIA's pickles of StyleGAN2, of PyTorch and TensorFlow; and hostile ones, of which nothing runs."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import Oracles

from styleloom.converters.official import convert_official
from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError
from styleloom.papers import stylegan2


@pytest.mark.parametrize("file", ["nv_uncond64/network-nosrc.pkl", "tf_legacy_sg2_64/network-snapshot-000000.pkl"])
@torch.no_grad()
def test_official_networks(oracles: Oracles, tmp_path: Path, file: str) -> None:
    kind, tensors, config = convert_official(oracles / file)
    checkpoint.save_model(tmp_path / "model.safetensors", tensors, kind=kind, config=config, license="test")
    generator = stylegan2.load(tmp_path / "model.safetensors")
    discriminator = stylegan2.load_discriminator(tmp_path / "model.safetensors")
    with np.load(oracles / "nv_uncond64" / "expected_G_ema.npz") as arrays:
        expected = {key: torch.from_numpy(arrays[key]).float() for key in ("z", "img_const", "w_psi05", "logits_on_img_const")}
    image = generator.synthesis(generator.mapping(expected["z"]), noise_mode="const")
    torch.testing.assert_close(image, expected["img_const"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(generator.mapping(expected["z"], truncation_psi=0.5)[:, 0], expected["w_psi05"].view(-1, 32))
    logits = discriminator(expected["img_const"])
    torch.testing.assert_close(logits.flatten(), expected["logits_on_img_const"].flatten(), rtol=1e-4, atol=1e-4)


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Calls(os.system, "touch ran"), r"posix\.system, which no network needs"),
        (Calls(eval, "open('ran', 'w')"), r"builtins\.eval"),
        (Calls(getattr, "text", "upper"), r"builtins\.getattr"),
        (Calls(pickle.loads, pickle.dumps(Calls(os.system, "touch ran"))), r"_pickle\.loads"),
        (Calls(torch.load, "elsewhere"), r"torch\.serialization\.load"),
        (Calls(torch.storage._load_from_bytes, saved(Calls(os.system, "touch ran"))), "damaged or truncated"),
        (Calls(np.empty, 10**12), r"numpy\.empty"),
        (Calls(np.zeros(1).__reduce__()[0], np.ndarray, (10**12,), b"b"), "holds no network that is known"),  # type: ignore[arg-type]
        (np.array([None], dtype=object), "an array of objects"),
        ({"G_ema": 1, "D": 2}, "holds no network that is known"),
    ],
)
def test_hostile_pickles_are_refused_and_nothing_runs(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(StyleLoomError, match=message):
        convert_official(Path("file.pkl"))
    assert not Path("ran").exists()


def test_a_dtype_cannot_be_changed_into_objects(tmp_path: Path) -> None:
    """Numpy's dtype takes fields of objects, and that it has none, from its state: bytes would then be addresses."""
    state = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)

    class Changed:
        def __reduce__(self) -> Any:
            return np.dtype, ("f8", False, True), state

    class Array:
        def __reduce__(self) -> Any:
            made = np.zeros(1).__reduce__()
            return made[0], made[1], (1, (1,), Changed(), False, b"\x01" * 8)

    for content in (Changed(), Array()):
        (tmp_path / "file.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(StyleLoomError, match=r"asks for numpy\.dtype|an array of objects|holds no network"):
            convert_official(tmp_path / "file.pkl")


def test_all_that_is_harmless_is_read(tmp_path: Path) -> None:
    content = {"training_set_kwargs": {"names": set(), "size": np.float32(2), "flags": np.array([True, False])}}
    for protocol in (3, 4):
        (tmp_path / "file.pkl").write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(StyleLoomError, match="holds no network that is known"):
            convert_official(tmp_path / "file.pkl")


def compressed(data: bytes) -> bytes:
    """An archive of torch.save, deflated."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry.filename))
    return packed.getvalue()


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_archives_that_unpack_to_any_size_are_refused(tmp_path: Path) -> None:
    bomb = compressed(saved(torch.zeros(1 << 20).storage()))
    assert len(bomb) < 50_000
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(Calls(torch.storage._load_from_bytes, bomb)))
    with pytest.raises(StyleLoomError, match="asks for a compressed archive to be unpacked"):
        convert_official(tmp_path / "file.pkl")
    (tmp_path / "file.pt").write_bytes(compressed(saved({"g": torch.zeros(1 << 20)})))
    with pytest.raises(StyleLoomError, match="a compressed archive to be unpacked, which no network needs"):
        convert_official(tmp_path / "file.pt")


def test_room_for_objects_that_there_are_none_of_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(b"\x80\x02Nr" + (2**31 - 1).to_bytes(4, "little") + b".")
    with pytest.raises(StyleLoomError, match=r"asks for room for 2,147,483,647 objects in 4 instructions"):
        convert_official(tmp_path / "file.pkl")
    (tmp_path / "file.pkl").write_bytes(b"\x80\x04\x8e" + (2**50).to_bytes(8, "little") + b"x.")  # bytes of a petabyte
    with pytest.raises(StyleLoomError, match="damaged or truncated"):
        convert_official(tmp_path / "file.pkl")


def test_checkpoints_that_ask_for_code_are_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"g_ema": Calls(os.system, "touch ran")}, "file.pt")
    with pytest.raises(StyleLoomError, match=r"it asks for posix\.system"):
        convert_official(Path("file.pt"))
    assert not Path("ran").exists()


@pytest.mark.filterwarnings("ignore:TypedStorage")
def test_a_view_beyond_its_data_is_refused(tmp_path: Path) -> None:
    storage = Calls(torch.storage._load_from_bytes, saved(torch.zeros(4).storage()))
    for size, stride, offset in (
        ((1 << 40,), (1,), 0),
        ((4,), (1 << 40,), 0),
        ((4,), (1,), 2),
        ((4,), (-1,), 0),
        ((1 << 30,), (0,), 0),
        ((4,), (1,), -1),
    ):
        call = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})
        (tmp_path / "file.pkl").write_bytes(pickle.dumps(call))
        with pytest.raises(StyleLoomError, match="a tensor larger than its data"):
            convert_official(tmp_path / "file.pkl")


def test_foreign_and_truncated_files_are_named(oracles: Oracles, tmp_path: Path) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(b"\x89PNG and so on")
    with pytest.raises(StyleLoomError, match="is no pickle"):
        convert_official(path)
    whole = (oracles / "nv_uncond64" / "network-nosrc.pkl").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StyleLoomError, match="damaged or truncated"):
        convert_official(path)
    with pytest.raises(StyleLoomError, match="no such file"):
        convert_official(tmp_path / "none.pkl")
