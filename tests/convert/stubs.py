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
