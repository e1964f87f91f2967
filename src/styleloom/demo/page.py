"""The page of the demo: the bundled photographs repainted, faces made, inverted and edited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from itertools import pairwise
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import Tensor

from styleloom.core.files import check_folder, replacing
from styleloom.data import images
from styleloom.data.bundled import bundled
from styleloom.drawn import painterly
from styleloom.nn import mtcnn
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import gatys, super_resolution
from styleloom.tasks.painting import descent, method_named, painter

from . import editing, faces, inversion, translation

Watch = Callable[..., Iterable[gatys.GatysStep]]
"""Passes the steps of a loop on, and shows how far it is; see :meth:`styleloom.cli.report.Report.watch`."""


def _left_to_right(content: Tensor) -> list[Tensor]:
    """One soft mask that falls from 1 at the left to 0 at the right: [1, 1, H, W]."""
    height, width = content.shape[-2:]
    fall = torch.sigmoid(torch.linspace(9, -9, width, device=content.device))
    return [fall.expand(1, 1, height, width)]


@dataclass(frozen=True)
class Painting:
    """One image of the demo: who is painted how, and the words beside it."""

    content: str
    styles: tuple[str, ...]
    caption: str
    settings: dict[str, Any] = field(default_factory=dict)
    weights: tuple[float, ...] | None = None
    masks: Callable[[Tensor], list[Tensor]] | None = None
    method: str = "gatys"
    preset: str = "draft"

    @property
    def name(self) -> str:
        """Name of its file, without a suffix."""
        method = [] if self.method == "gatys" else [self.method]
        regions = ["regions"] if self.masks else []
        preset = [] if self.preset == "draft" else [self.preset]
        return "-".join([self.content, *self.styles, *map(str, self.settings.values()), *regions, *method, *preset])


GALLERY = (
    Painting("cat", ("wave",), "woodblock waves"),
    Painting("astronaut", ("swirls",), "swirling strokes"),
    Painting("coffee", ("stained-glass",), "stained glass"),
    Painting("rocket", ("watercolor",), "watercolor"),
    Painting("cat", ("gilded",), "gold leaf"),
    Painting("coffee", ("cubism",), "cubist planes"),
)
QUICK = tuple(
    Painting(content, (style,), caption, preset="quick")
    for content, style, caption in (
        ("astronaut", "watercolor", "watercolor"),
        ("coffee", "mosaic", "mosaic"),
        ("cat", "ink-wash", "ink wash"),
        ("rocket", "swirls", "swirling strokes"),
        ("astronaut", "cubism", "cubist planes"),
        ("coffee", "swirls", "swirling strokes"),
    )
)
CONTROLS = (
    Painting("cat", ("wave", "gilded"), "two styles in equal shares", weights=(0.5, 0.5)),
    Painting("cat", ("wave", "gilded"), "a style a region, by a mask", masks=_left_to_right),
    Painting("cat", ("wave",), "the content's own colors", settings={"keep_color": "luminance"}),
)


PASSES = tuple(
    Painting(content, (style,), f"{style} in one pass", method="ghiasi")
    for content, style in (
        ("cat", "wave"),
        ("coffee", "stained-glass"),
        ("astronaut", "gilded"),
        ("cat", "mosaic"),
        ("coffee", "gilded"),
        ("astronaut", "wave"),
    )
)
METHODS = {
    "gatys": "Gatys: descent on the pixels",
    "johnson": "Johnson: one network a style",
    "dumoulin": "Dumoulin: sixteen styles in one network",
    "ghiasi": "Ghiasi: any style in one network, told by a second one",
    "adain": "AdaIN: any style in one network, told by its statistics",
}
COMPARED = tuple(
    Painting(content, (style,), caption, method=method)
    for content, style in (("cat", "swirls"), ("coffee", "mosaic"))
    for method, caption in METHODS.items()
)
CARDS = (*GALLERY, *QUICK, *COMPARED, *PASSES, *CONTROLS)
STRIPS = (("cat", "dumoulin", ("swirls", "drip", "gilded", "engraving")), ("cat", "ghiasi", ("ink-wash", "marbling")))
ENLARGED = ("cat", (72, 108))  # a photograph, and the height and width that it is reduced to first


def make_page(
    out: Path, device: torch.device, say: Callable[[str], None], watch: Watch, *, size: int = 384, **settings: Any
) -> tuple[float, list[str]]:
    """Repaint the bundled photographs in the bundled styles, on a page to look at.

    Args:
        out: folder for the images and index.html.
        device: where it is computed.
        say: takes lines of text about what is written.
        watch: see :data:`Watch`.
        size: longer side of the images in pixels.
        settings: further ones of Gatys: precision and seed.

    Returns:
        Seconds in all, and names of the images.
    """
    config = gatys.configure("draft", size=size, **settings)
    folder = check_folder(out)
    began = time.perf_counter()
    # Draw the styles, read the photographs.
    styles = {name: painterly.draw(name, size).to(device) for name in painterly.STYLES}
    contents = {name: images.resize_to_fit(bundled(name), size).to(device) for name in sorted({each.content for each in GALLERY})}
    for name, sample in (styles | contents).items():
        images.write(sample, folder / f"{name}.jpg")
    features = load_features(config.features)
    cards: dict[str, str] = {}
    made: dict[str, str] = {}
    inverted: dict[str, str] = {}

    def show(done: bool = False) -> float:
        """Write the page with what there is so far; the seconds that it took."""
        seconds = time.perf_counter() - began
        with replacing(folder / "index.html") as temporary:
            temporary.write_text(_page(folder, cards, made, inverted, config, seconds, device, done), encoding="utf-8")
        return seconds

    # Paint the gallery, a card at a time.
    show()
    say(f"open {folder / 'index.html'} in a browser; it fills as images come")
    for painting in CARDS:
        if painting.method == "gatys":
            chosen = gatys.configure(painting.preset, size=size, **settings | painting.settings)
            image, seconds = _descend(painting, contents, styles, chosen, features, watch)
        else:
            image, seconds = _pass(painting, contents[painting.content], styles)
        images.write(image, folder / f"{painting.name}.png")
        say(f"wrote {folder / painting.name}.png  ({_duration(seconds)})")
        cards[painting.name] = _card(painting, seconds)
        show()
    # One pass between styles, and larger images.
    for content, method, between in STRIPS:
        images.write(_strip(contents[content], method, between, styles), folder / f"strip-{method}.png")
    images.write(_enlarged(device), folder / "enlarged.png")
    show()
    # Generators, translation, inversion and edits.
    made["toonfaces"] = faces.drawn(folder)
    for cast in faces.CASTS:
        made[cast.model] = faces.made(folder, cast, device)
    show()
    made["translated"] = translation.translated(folder, device)
    show()
    for model in inversion.TARGETS:
        inverted[model] = inversion.inverted(folder, model, device)
    show()
    made["edited"] = editing.edited(folder, device)
    seconds = show(done=True)
    say(f"\nopen {folder / 'index.html'} in a browser  ({len(cards)} images in {seconds:.0f} s on {device})")
    return seconds, list(cards)


def _descend(
    painting: Painting,
    contents: dict[str, Tensor],
    styles: dict[str, Tensor],
    config: gatys.GatysConfig,
    features: Features,
    watch: Watch,
) -> tuple[Tensor, float]:
    """An image painted by Gatys, and the seconds that took."""
    image = contents[painting.content]
    mark = time.perf_counter()
    looks, masks = [styles[style] for style in painting.styles], painting.masks(image) if painting.masks else None
    kept = mtcnn.faces_mask if _keeps_faces(painting) else None
    paint = descent(config, looks, painting.weights, masks, content_mask=kept, features=features, device=image.device)
    for step in watch(paint.steps(image), title=painting.name):  # noqa: B007
        pass
    return step.image, time.perf_counter() - mark


def _keeps_faces(painting: Painting) -> bool:
    return painting.preset == "quick" and mtcnn.available()


def _look(method: str, names: Sequence[str], styles: dict[str, Tensor]) -> list[Any]:
    """Styles as a method takes them: images, names, or the network of a style."""
    takes: dict[str, Callable[[str], Any]] = {
        "ghiasi": styles.__getitem__,
        "adain": styles.__getitem__,
        "dumoulin": str,
        "johnson": "johnson-{}".format,
    }
    return [takes[method](name) for name in names]


def _pass(painting: Painting, content: Tensor, styles: dict[str, Tensor]) -> tuple[Tensor, float]:
    """An image painted in one pass, and the seconds that took."""
    looks, config = _look(painting.method, painting.styles, styles), method_named(painting.method).configure()
    paint = painter(painting.method, looks, config, device=content.device)
    paint(content)  # the first pass at a size also plans its convolutions
    mark = time.perf_counter()
    return paint(content), time.perf_counter() - mark


def _strip(content: Tensor, method: str, between: Sequence[str], styles: dict[str, Tensor]) -> Tensor:
    """A photograph in one style, in another, and so on, with mixtures of the two between them."""
    config, device = method_named(method).configure(), content.device
    steps = 3 if len(between) > 2 else 5
    row = []
    for first, second in pairwise(between):
        for step in range(steps - 1):
            weights = [steps - 1 - step, step]
            row.append(painter(method, _look(method, [first, second], styles), config, weights=weights, device=device)(content))
    row.append(painter(method, _look(method, between[-1:], styles), config, device=device)(content))
    return images.grid([torch.cat(row)])


def _enlarged(device: torch.device) -> Tensor:
    """A small photograph as it is, enlarged four times by bicubic interpolation, by the network, and the true one."""
    name, (height, width) = ENLARGED
    photo = bundled(name)[..., : 4 * height, : 4 * width].to(device)
    small = super_resolution.reduced(photo)
    blocks = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    four = [blocks, images.resize(small, photo.shape[-2:]), super_resolution.upscale(small), photo]
    top, left = height // 2, width  # the eyes, near enough to see
    return images.grid([torch.cat(four)[..., top : top + 2 * height, left : left + 2 * width]])


def _card(painting: Painting, seconds: float) -> str:
    sources = "".join(f'<img src="{escape(name)}.jpg" alt="{escape(name)}">' for name in (painting.content, *painting.styles))
    file, caption = f"{escape(painting.name)}.png", escape(painting.caption)
    return (
        f'<figure><a href="{file}"><img src="{file}" alt="{caption}"></a>'
        f'<figcaption><span class="sources">{sources}</span>'
        f"<span><b>{escape(painting.content)}</b>, {caption}<small>{_duration(seconds)}</small>"
        f"<code>{escape(_command(painting))}</code></span>"
        f"</figcaption></figure>"
    )


def _command(painting: Painting) -> str:
    """The command that makes an image like this one."""
    styles = [f"johnson-{style}" if painting.method == "johnson" else style for style in painting.styles]
    options = [] if painting.method == "gatys" else ["--method", painting.method]
    options += [part for name, value in painting.settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    options += ["--weights", ",".join(f"{weight:g}" for weight in painting.weights)] if painting.weights else []
    options += ["--mask", "mask.png"] if painting.masks else []
    options += ["--preset", painting.preset] if painting.method == "gatys" else []
    options += ["--content-mask", "faces"] if _keeps_faces(painting) else []
    named = styles if len(styles) == 1 else [part for style in styles for part in ("--style", style)]
    return " ".join(["styleloom stylize", painting.content, *named, "-o", "out.png", *options])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _page(
    folder: Path,
    cards: dict[str, str],
    made: dict[str, str],
    inverted: dict[str, str],
    config: gatys.GatysConfig,
    seconds: float,
    device: torch.device,
    done: bool,
) -> str:
    """The page; where something is still to come stands a frame that waits for it, and the page looks again by itself."""
    styles = "".join(
        f'<figure><img src="{name}.jpg" alt="{name}"><figcaption>{name}</figcaption></figure>' for name in painterly.STYLES
    )
    rows = "".join(f"<tr><td>{name}</td><td>{escape(str(value))}</td></tr>" for name, value in asdict(config).items())
    return _PAGE.substitute(
        refresh="" if done else '<meta http-equiv="refresh" content="4">',
        gallery="".join(cards.get(painting.name, _WAITING) for painting in GALLERY),
        quick="".join(cards.get(painting.name, _WAITING) for painting in QUICK),
        compared="".join(cards.get(painting.name, _WAITING) for painting in COMPARED),
        passes="".join(cards.get(painting.name, _WAITING) for painting in PASSES),
        strips="".join(
            f'<figure><img src="strip-{method}.png" alt="{escape(content)}"><figcaption>{METHODS[method].split(":")[0]}: '
            f"{escape(content)}, {escape(', '.join(between))}</figcaption></figure>"
            if (folder / f"strip-{method}.png").exists() or done
            else _WAITING
            for content, method, between in STRIPS
        ),
        enlarged=_ENLARGED if (folder / "enlarged.png").exists() or done else _WAITING,
        controls="".join(cards.get(painting.name, _WAITING) for painting in CONTROLS),
        styles=styles,
        drawn=made.get("toonfaces", _WAITING),
        toonfaces=made.get("toonfaces-64", _WAITING),
        portraits=made.get("portraits-128", _WAITING),
        translated=made.get("translated", _WAITING),
        edited=made.get("edited", _WAITING),
        found_toonfaces=inverted.get("toonfaces-64", _WAITING),
        found_portraits=inverted.get("portraits-128", _WAITING),
        settings=rows,
        seconds=f"{seconds:.0f}",
        count=len(cards) if done else f"{len(cards)} of {len(CARDS)}",
        device=device,
    )


_WAITING = '<figure class="waiting">to come</figure>'
_ENLARGED = '<figure><img src="enlarged.png" alt="small, bicubic, network, true"></figure>'
_PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
