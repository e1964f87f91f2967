"""Models and run states on disk: safetensors for the numbers, JSON for the rest; nothing is ever pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .errors import StyleLoomError
from .files import check_parent, replacing

FORMAT_VERSION = "1"
OLD_KINDS = {"labeller": "labeler"}  # as versions 0.1 and 0.2 wrote them
FOREIGN = (".pkl", ".pt", ".pth", ".model")  # suffixes of other projects' files
M = TypeVar("M", bound=nn.Module)
Translate = Callable[[dict[str, Tensor], dict[str, Any]], tuple[dict[str, Tensor], dict[str, Any]]]


def zoo_names() -> list[str]:
    """Names of the models shipped in the package."""
    return sorted(item.name.removesuffix(".safetensors") for item in _zoo().iterdir() if item.name.endswith(".safetensors"))


def made_for(generator: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Name, kind and config of the models of the zoo that were made for a generator, told by its id."""
    for name in zoo_names():
        kind, config = read_config(name)
        if config.get("generator") == generator:
            yield name, kind, config


def _zoo() -> Path:
    return Path(str(files("styleloom") / "zoo"))


def resolve(name: str | Path) -> Path:
    """The file behind a model's name: a path, then a name in the zoo, then ``hf://owner/repo/file``.

    A file from the Hugging Face hub is downloaded once and found in its cache after that.

    Raises:
        StyleLoomError: nothing of that name, or the hub cannot be reached.
    """
    text = str(name)
    if text.startswith("hf://"):
        return _from_hub(text)
    if Path(text).is_file():
        return Path(text)
    shipped = _zoo() / f"{text}.safetensors"
    if "/" not in text and shipped.is_file():
        return shipped
    raise StyleLoomError(f"no model {text!r}: neither a file nor one of {', '.join(zoo_names())}, nor hf://owner/repo/file")


def model_path(name: str | Path) -> Path:
    """The model file behind a name, as :func:`resolve` finds it; for a file of another project, what it was converted to.

    It is converted once, by :func:`styleloom.convert`, and kept in the cache.

    Raises:
        StyleLoomError: as :func:`resolve`, or a file that is not known.
    """
    path = resolve(name)
    if path.suffix.lower() not in FOREIGN:
        return path
    models = import_module("styleloom.models")  # not before it is needed: it knows all networks, and they know this module
    converted: Path = models.kept_conversion(path)
    return converted


def _from_hub(address: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    owner, _, rest = address.removeprefix("hf://").partition("/")
    repo, _, filename = rest.partition("/")
    if not (owner and repo and filename):
        raise StyleLoomError(f"{address} is no file on the hub; write hf://owner/repo/file.safetensors")
    try:
        return Path(hf_hub_download(f"{owner}/{repo}", filename))
    except LocalEntryNotFoundError as error:
        raise StyleLoomError(
            f"{address} is not in the cache and the hub cannot be reached; go online once, or give a path"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise StyleLoomError(f"cannot download {address}: {str(error).splitlines()[0]}") from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        StyleLoomError: the file is missing, damaged or of another format.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}, _metadata(file)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file, read from its header alone.

    Raises:
        StyleLoomError: the file is missing, damaged or of another format.
    """
    with _opened(path) as file:
        return _metadata(file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        if path.suffix.lower() in FOREIGN:
            told = f"{path} is a file of another project; convert it first: styleloom convert {path} -o {path.stem}.safetensors"
            raise StyleLoomError(told) from error
        raise StyleLoomError(f"cannot read {path}: damaged, or not a safetensors file ({error})") from error


def _metadata(file: Any) -> dict[str, str]:
    """Metadata under today's names; files of versions 0.1 and 0.2 have British spellings."""
    metadata: dict[str, str] = file.metadata() or {}
    if "licence" in metadata:
        metadata["license"] = metadata.pop("licence")
    if "kind" in metadata:
        metadata["kind"] = OLD_KINDS.get(metadata["kind"], metadata["kind"])
    return metadata


def license_of(name: str | Path) -> str:
    """The license stored in a model file, or "unknown".

    Raises:
        StyleLoomError: no such file, or a damaged one.
    """
    return read_metadata(model_path(name)).get("license") or "unknown"


def save_model(path: Path, tensors: Mapping[str, Tensor], *, kind: str, config: Mapping[str, Any], license: str) -> None:
    """Write a model file: tensors, and metadata from which the module can be rebuilt."""
    metadata = dict(kind=kind, config=json.dumps(config), format_version=FORMAT_VERSION, license=license)
    _write(path, dict(tensors), metadata)


def read_model(name: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the config of a model file that :func:`save_model` wrote.

    Raises:
        StyleLoomError: no such model, one of another kind, or one of a newer format.
    """
    path = model_path(name)
    tensors, metadata = read_tensors(path)
    return tensors, model_config(path, metadata, kind)


@contextmanager
def rebuilding(name: str | Path) -> Iterator[None]:
    """Tell in one line where the tensors or the config of a model file do not make the network that they should.

    The random numbers that layers draw before their weights are loaded are not taken from the caller's.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, MemoryError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise StyleLoomError(f"{name} is damaged: its tensors are not those that its config asks for ({reason})") from error


def rebuilt(name: str | Path, kind: str, make: Callable[[dict[str, Any]], M], translate: Translate | None = None) -> M:
    """The network of a model file, in fp32 and frozen.

    Args:
        name: a name in the zoo, a path or ``hf://owner/repo/file``.
        kind: kind that the file must be of.
        make: a config to the network.
        translate: the file's tensors and config to those that the network has now.

    Raises:
        StyleLoomError: no such model, one of another kind, or a damaged one.
    """
    tensors, config = read_model(name, kind)
    with rebuilding(name):
        tensors, config = translate(tensors, config) if translate else (tensors, config)
        network = make(config)
        if missing := sorted(network.state_dict().keys() - tensors.keys()):
            raise KeyError(f"it lacks {missing[0]}")  # torch itself passes over some of batch norm's
        network.load_state_dict(tensors)
    return network.float().eval().requires_grad_(False)


def average(models: Sequence[str | Path], out: str | Path) -> int:
    """Write the mean of several models' weights ("model soup", Wortsman et al. 2022).

    Of trainings that began with the same weights, it is often better than any one of them.

    Args:
        models: names in the zoo, paths or ``hf://owner/repo/file``, two or more. What is no weight is the first one's: its
            config, and whole numbers.
        out: a ``.safetensors``.

    Returns:
        How many numbers there are.

    Raises:
        StyleLoomError: fewer than two models, ones of other kinds, sizes, generators or licenses, or another suffix.
    """
    out = Path(out)
    if len(models) < 2:
        raise StyleLoomError(f"{len(models)} model to average; give two or more")
    check_model_path(out)
    read = [(path, *read_tensors(path)) for path in map(model_path, models)]
    (_, tensors, metadata), *others = read
    first, *natures = [_nature(*each) for each in read]
    for name, nature in zip(models[1:], natures, strict=True):
        differ = [what for what, value in nature.items() if value != first[what]]
        if differ:
            raise StyleLoomError(f"{models[0]} and {name} differ in {differ[0]}; average trainings that began with one model")
    mean = {}
    for key, value in tensors.items():
        more = [their[key] for _, their, _ in others]
        differs = value.is_floating_point() and not all(torch.equal(value, other) for other in more)
        mean[key] = torch.stack([value, *more]).double().mean(0).to(value.dtype) if differs else value
    _write(out, mean, metadata)
    return sum(value.numel() for value in mean.values())


def _nature(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, Any]:
    kind = metadata.get("kind")
    if kind is None:
        raise StyleLoomError(f"{path} is no StyleLoom model; convert it first")
    shapes = {key: value.shape for key, value in tensors.items()}
    generator = model_config(path, metadata, kind).get("generator")
    return {"kind": kind, "generator": generator, "shapes": shapes, "license": metadata.get("license")}


def check_model_path(out: Path) -> None:
    """Raise StyleLoomError unless a model can be written there by its suffix and folder; call it before the work."""
    if out.suffix != ".safetensors":
        raise StyleLoomError(f"cannot write {out}: a model file is called .safetensors")
    check_parent(out)


def read_config(name: str | Path) -> tuple[str, dict[str, Any]]:
    """The kind and the config of a model file, without its tensors.

    Raises:
        StyleLoomError: no such model, or a file that is none.
    """
    path = model_path(name)
    metadata = read_metadata(path)
    kind = metadata.get("kind", "")
    return kind, model_config(path, metadata, kind) if kind else {}


def model_config(path: Path, metadata: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The config in a model file's metadata, or StyleLoomError when that is of another kind or a newer format."""
    if metadata.get("kind") != kind:
        raise StyleLoomError(f"{path} holds {metadata.get('kind', 'no StyleLoom model')!r}, wanted a model of kind {kind!r}")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise StyleLoomError(f"{path} has format {metadata.get('format_version')}, this version reads {FORMAT_VERSION}; update")
    config: dict[str, Any] = json.loads(metadata["config"])
    return config


def save_state(path: Path, state: Any) -> None:
    """Write a nest of dicts, lists, tensors and plain values, such as an optimizer's ``state_dict()``, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    skeleton = _take_apart(state, tensors)
    _write(path, tensors, {"state": json.dumps(skeleton)})


def read_state(path: Path) -> Any:
    """Read a state that :func:`save_state` wrote, bit for bit.

    Raises:
        StyleLoomError: the file is missing, damaged or no state.
    """
    tensors, metadata = read_tensors(path)
    if "state" not in metadata:
        raise StyleLoomError(f"{path} is no saved run")
    return _put_together(json.loads(metadata["state"]), tensors)


def fingerprint(settings: Any, tensors: Sequence[Tensor]) -> str:
    """A digest of all that a run depends on, to know its state by: plain values, and tensors on any device."""
    digest = hashlib.sha256(json.dumps(settings).encode())
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def read_run(path: Path, job: str) -> dict[str, Any]:
    """A saved state whose ``"job"`` is the :func:`fingerprint` given.

    Raises:
        StyleLoomError: as :func:`read_state`, or the state is that of another run.
    """
    try:
        saved: dict[str, Any] = read_state(path)
    except StyleLoomError as error:
        raise StyleLoomError(f"{error}; remove it to begin anew") from error
    if saved.get("job") != job:
        raise StyleLoomError(f"{path} belongs to a run with other images or settings; use the same ones, or remove the file")
    return saved


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with replacing(path) as temporary:
        try:
            save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, temporary, metadata=metadata)
            _sort_header(temporary)
        except SafetensorError as error:  # it wraps the operating system's own errors
            raise StyleLoomError(f"cannot write {path}: {error}") from error


def _sort_header(path: Path) -> None:
    """Put the header's names in order, which safetensors leaves to chance: the same contents are the same bytes."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        ordered = {"__metadata__": dict(sorted(header.pop("__metadata__", {}).items()))} | dict(sorted(header.items()))
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # a header that says the same in more bytes stays as it is
            file.seek(8)
            file.write(text.ljust(length))


def _take_apart(node: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON for a nest; tensors go to ``tensors`` and leave their number behind."""
    if isinstance(node, Tensor):
        tensors[str(len(tensors))] = node.clone()  # views of one buffer would be refused
        return ["tensor", len(tensors) - 1]
    if isinstance(node, dict):
        return ["dict", [[key, _take_apart(value, tensors)] for key, value in node.items()]]
    if isinstance(node, list | tuple):
        return [type(node).__name__, [_take_apart(value, tensors) for value in node]]
    return ["value", node]


def _put_together(node: Any, tensors: dict[str, Tensor]) -> Any:
    kind, content = node
    if kind == "tensor":
        # Into memory that is aligned as usual, which a file's is not: the order in which a processor sums depends on it.
        return tensors[str(content)].clone()
    if kind == "dict":
        return {key: _put_together(value, tensors) for key, value in content}
    if kind in ("list", "tuple"):
        items = [_put_together(value, tensors) for value in content]
        return tuple(items) if kind == "tuple" else items
    return content
