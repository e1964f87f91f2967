"""Command-line options from Python signatures: names, types, defaults and help are declared once, where they are used."""

from __future__ import annotations

import functools
import inspect
import os
import typing
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from docstring_parser import parse
from rich.markup import escape

from styleloom.core.errors import StyleLoomError, check_choice

if TYPE_CHECKING:
    import torch

    from styleloom.data.output import Output
    from styleloom.jobs import Limits, Outputs
    from styleloom.jobs.outputs import Engine

ALIASES = {
    "out": ("-o", "--outdir"),
    "psi": ("--trunc",),
    "label": ("--class",),
    "recipe": ("--cfg",),
    "mode": ("--way",),
}
"""Other names of options: what users of NVIDIA's StyleGAN code, and of earlier versions, type."""


HEADINGS = {
    "task": "Every training",
    "adversarial": "Every GAN",
    "translation": "Every translation network",
    "one_pass": "Every one-pass method",
    "adain": "AdaIN",
    "image2stylegan": "Inversion",
    "progan": "ProGAN",
    "stylegan": "StyleGAN",
    "stylegan2": "StyleGAN2",
    "pix2pix": "pix2pix",
    "pix2pixhd": "pix2pixHD",
    "cyclegan": "CycleGAN",
    "indomain": "In-domain encoder",
    "super_resolution": "Super-resolution",
}
"""Headings of settings in help, by the module that declares them, where its name does not read well."""


class SlashedPath(type(Path())):  # type: ignore[misc]
    """A path that was written with a slash at its end: a folder, also where none is there yet."""


def _path(given: str | Path) -> Path:
    text = str(given)  # a default is a path already
    return SlashedPath(text) if text.endswith(("/", os.sep)) else Path(text)


@dataclass(frozen=True)
class Common:
    """Options that every verb has.

    Args:
        device: cpu, cuda, cuda:1, mps, or auto for the first of cuda, mps and cpu that is there.
        quiet: print nothing but errors.
        json: print events as JSON instead of text, a line each; the last is the outcome.
        csv: write a table of the items to this file, a row each, with all that was measured of them.
        log_file: add all lines of text to this file, with times.
        config: take options from this file, as YAML or JSON; options of the command line win.
    """

    device: str = "auto"
    quiet: bool = False
    json: bool = False
    csv: Path | None = None
    log_file: Path | None = None
    config: Path | None = None

    def limits(self, max_pixels: int | None = None) -> Limits:
        """The device asked for, and the largest image to read."""
        from styleloom.jobs import Limits

        device = self.torch_device()
        return Limits(device) if max_pixels is None else Limits(device, max_pixels)

    def torch_device(self) -> torch.device:
        """The device asked for.

        Raises:
            StyleLoomError: no such device, or none of that kind here.
        """
        import torch  # a second, which help does not take

        present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
        name = next(kind for kind, there in present.items() if there) if self.device == "auto" else self.device
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise StyleLoomError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:1 or mps") from error
        if not present.get(device.type, False):
            raise StyleLoomError(f"there is no device {name!r} here; use --device cpu, or install a build of torch for it")
        return device


@dataclass(frozen=True)
class EngineOptions:
    """Options on where the work is done.

    Args:
        engine: local, in this process; or ray, on the workers of a Ray cluster (the extra [scale]).
        address: address of the Ray cluster; by default a local one, for this command.
        workers: workers of Ray at most; by default as many as the cluster has CPUs for.
    """

    engine: str = "local"
    address: str = ""
    workers: int = 0

    def chosen(self) -> Engine | None:
        """The engine; None for this process.

        Raises:
            StyleLoomError: an unknown one, or options of another one.
        """
        check_choice("engine", self.engine, ("local", "ray"))
        if self.engine == "local":
            if self.address or self.workers:
                raise StyleLoomError("--address and --workers are of --engine ray; give that too, or leave them out")
            return None
        from styleloom.cluster import RayEngine

        return RayEngine(self.address, self.workers)


@dataclass(frozen=True)
class Existing(EngineOptions):
    """Options on outputs that exist already. What the same command made is done, and is passed over.

    Args:
        overwrite: do everything anew, and replace files that exist.
        skip_existing: keep files that exist, whatever made them.
        resume: go on from where the same command stopped; it does so without being told, too.
        shard: do only a part of the items, such as 3/20: for several machines on one folder. Several processes on one machine
            need no parts; each item is done by one of them.
    """

    overwrite: bool = False
    skip_existing: bool = False
    resume: bool = False
    shard: str = ""

    def outputs(self, out: Path, format: Output | None = None) -> Outputs:
        """Path, format and handling of existing files, as a job takes them.

        Raises:
            StyleLoomError: two that exclude each other.
        """
        if self.overwrite and (self.skip_existing or self.resume):
            other = "--skip-existing" if self.skip_existing else "--resume"
            raise StyleLoomError(f"--overwrite does everything anew and {other} keeps what is there; give one of them")
        from styleloom.data.output import DEFAULT
        from styleloom.jobs import Outputs

        number, slash, count = (self.shard or "1/1").partition("/")
        if not (slash and number.isdecimal() and count.isdecimal()):
            raise StyleLoomError(f"--shard is {self.shard!r}; write the part and how many there are, as 3/20")
        is_folder, shard = isinstance(out, SlashedPath), (int(number), int(count))
        return Outputs(Path(out), format or DEFAULT, self.overwrite, self.skip_existing, is_folder, shard, self.chosen())


def command(app: typer.Typer, function: Callable[..., None]) -> None:
    """Add a verb to the program.

    A parameter annotated with a dataclass becomes one option a field and arrives as an instance. One annotated with
    ``Annotated[dict[str, Any], SomeDataclass, ...]`` arrives as a dict of the fields that the user gave; an instance of one tells
    other defaults. Tuples are written with commas. Help comes from the ``Args:`` of docstrings.
    """
    # An option for each parameter, and for each field of those that are settings.
    hints = typing.get_type_hints(function, include_extras=True)
    documented = _documented(function)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    splitters: dict[str, Callable[[str], Any]] = {}
    partial = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        sources = [hint] if is_dataclass(hint) else [item for item in typing.get_args(hint)[1:] if is_dataclass(item)]
        if sources:
            names: list[str] = []
            groups[parameter.name] = (typing.cast(type, sources[0]), names)
            whole = sources[0] is hint
            if not whole:
                partial.append(parameter.name)
            for source in sources:
                kind_of_source = source if isinstance(source, type) else type(source)
                for field, kind, text in _fields(kind_of_source):
                    if field.name in names:  # of several dataclasses, the first to have it tells of it
                        continue
                    names.append(field.name)
                    default = field.default if whole else None
                    shown = getattr(source, field.name, field.default)
                    panel = _panel(sources, field.name) if not whole else None
                    parameters.append(
                        _option(field.name, kind, default, text, splitters, optional=not whole, shown=shown, panel=panel)
                    )
        elif parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            argument = typer.Argument(help=documented[parameter.name], show_default=False)
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[hint, argument]))
        else:
            parameters.append(_option(parameter.name, hint, parameter.default, documented[parameter.name], splitters))

    # The function that typer calls: options back into settings.
    @functools.wraps(function)
    def run(**values: Any) -> None:
        values = {name: splitters[name](value) if name in splitters else value for name, value in values.items()}
        for group, (source, names) in groups.items():
            given = {name: values.pop(name) for name in names}
            if group in partial:
                values[group] = {name: value for name, value in given.items() if value is not None}
            else:
                values[group] = source(**given)
        function(**values)

    # Arguments first, in their order, then options.
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    description = parse(inspect.getdoc(function) or "")
    paragraphs = [*(description.short_description or "").split("\n\n"), *(description.long_description or "").split("\n\n")]
    text = escape("\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs))
    app.command(name=function.__name__.replace("_", "-"), help=text)(run)


def _fields(source: type) -> Iterator[tuple[Field[Any], Any, str]]:
    hints = typing.get_type_hints(source)
    documented = _documented(source)
    for field in fields(source):
        yield field, hints[field.name], documented[field.name]


def _panel(sources: list[Any], name: str) -> str:
    """The heading of a setting in help: the paper, or the loop, whose dataclass declares it."""
    kinds = [source if isinstance(source, type) else type(source) for source in sources]
    owners = {
        next(each for each in reversed(kind.__mro__) if name in getattr(each, "__annotations__", {}))
        for kind in kinds
        if name in {field.name for field in fields(kind)}
    }
    if len(owners) > 1:
        return "Several methods"
    _, room, *modules = owners.pop().__module__.split(".")
    home = modules[0] if room == "papers" else modules[-1]
    return HEADINGS.get(home, home.replace("_", " ").capitalize())


def _documented(item: Any) -> dict[str, str]:
    """Descriptions of parameters in docstrings; a dataclass inherits those of its bases."""
    bases = getattr(item, "__mro__", [item])[1:-1]
    inherited = {name: text for base in reversed(bases) for name, text in _documented(base).items()}
    own = parse(inspect.getdoc(item) or "").params
    return inherited | {
        name.strip(): escape(" ".join((entry.description or "").replace("``", "").split()))
        for entry in own
        for name in entry.arg_name.split(",")
    }


def _option(
    name: str,
    kind: Any,
    default: Any,
    text: str,
    splitters: dict[str, Callable[[str], Any]],
    optional: bool = False,
    shown: Any = None,
    panel: str | None = None,
) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    metavar = None
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        splitters[name] = functools.partial(_split, flag=flag, element=element, default=None if optional else default)
        shown = ",".join(f"{item:g}" if isinstance(item, float) else str(item) for item in shown) if shown else None
        kind, default, metavar = str | None, None, f"{element.__name__.upper()},..."
    if optional:
        kind = kind | None if kind is not (str | None) else kind
        text = f"{text} [dim](by default {shown})[/dim]" if shown is not None else text
    flags = [f"{flag}/--no-{name.replace('_', '-')}"] if kind == (bool | None) else [flag]
    flags += ALIASES.get(name, ())
    required = default is inspect.Parameter.empty or default is MISSING
    slash: Any = dict(parser=_path) if name == "out" and kind is Path else {}
    metavar = "PATH" if slash else metavar
    declared = typer.Option(
        *flags,
        help=text,
        **slash,
        metavar=metavar,
        show_default=not optional and default not in (None, False, ()),
        rich_help_panel=panel,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, declared], **({} if required else {"default": default})
    )


def _split(text: str | None, flag: str, element: Callable[[str], Any], default: Any) -> tuple[Any, ...] | None:
    if text is None:
        return default
    try:
        return tuple(element(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise StyleLoomError(f"{flag} {text!r} is no list of numbers; write them with commas, as 0.3,0.7") from error
