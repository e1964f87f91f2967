"""Pickles as NVIDIA's projects write them, made of plain numbers."""

import pickle
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def _module(name: str, **members: Any) -> Iterator[None]:
    """A module that can be pickled from, and its packages, for a while."""
    names = [".".join(name.split(".")[: end + 1]) for end in range(name.count(".") + 1)]
    before = {each: sys.modules.get(each) for each in names}
    for each in names:
        sys.modules[each] = types.ModuleType(each)
    for key, value in members.items():
        setattr(sys.modules[name], key, value)
    try:
        yield
    finally:
        for each, old in before.items():
            if old is None:
                del sys.modules[each]
            else:
                sys.modules[each] = old


class Network:
    """A network of TensorFlow, by its state."""

    def __init__(self, variables: Mapping[str, Any], static_kwargs: dict[str, Any], **components: "Network") -> None:
        self.state = dict(
            version=4,
            name="net",
            static_kwargs=static_kwargs,
            variables=[(name, np.asarray(value, np.float32)) for name, value in variables.items()],
            components=components,
            build_module_src="raise RuntimeError('executed')",
            build_func_name="f",
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.state


def write_tensorflow(path: Path, networks: Any, module: str = "dnnlib.tflib.network") -> None:
    """A pickle of one network or three."""
    Network.__module__, Network.__qualname__ = module, "Network"
    with _module(module, Network=Network):
        path.write_bytes(pickle.dumps(networks))


class Module:
    """A module of stylegan2-ada-pytorch, by its state."""

    def __init__(self, class_name: str, state: dict[str, Any]) -> None:
        self.meta: dict[str, Any] = dict(
            type="class", version=6, module_src="raise RuntimeError('executed')", class_name=class_name, state=state
        )

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


NAMES = {"clamp": "conv_clamp", "group_size": "group_size", "num_channels": "num_channels"}


def as_nvidia(module: Any, class_name: str = "Layer", **extra: Any) -> Module:
    """One of our modules as theirs would be pickled: its tensors, its modules, and attributes under their names."""
    state: dict[str, Any] = {
        "_parameters": {name: value.detach() for name, value in module._parameters.items() if value is not None},
        "_buffers": {name: value for name, value in module._buffers.items() if value is not None},
        "_modules": {name: as_nvidia(child) for name, child in module.named_children()},
    }
    plain = {name: value for name, value in vars(module).items() if isinstance(value, int | float | str | None)}
    state |= {NAMES.get(name, name): value for name, value in plain.items()} | extra
    return Module(class_name, state)


def write_torch(path: Path, content: dict[str, Any]) -> None:
    """A pickle of stylegan2-ada-pytorch."""

    def _reconstruct_persistent_obj(meta: Any) -> Any:
        raise AssertionError("executed")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    with _module("torch_utils.persistence", _reconstruct_persistent_obj=_reconstruct_persistent_obj):
        path.write_bytes(pickle.dumps(content))
