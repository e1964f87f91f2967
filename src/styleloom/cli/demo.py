"""``styleloom demo``: the bundled photographs repainted, on a page to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
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
from styleloom.nn.vgg import Features
from styleloom.nn.vgg_files import load_features
from styleloom.papers import gatys, super_resolution
from styleloom.tasks.painting import method_named, painter

from . import demo_editing, demo_faces, demo_inversion, demo_translation
from .options import Common
from .report import Report


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

    @property
    def name(self) -> str:
        method = [] if self.method == "gatys" else [self.method]
        regions = ["regions"] if self.masks else []
        return "-".join([self.content, *self.styles, *(str(value) for value in self.settings.values()), *regions, *method])


GALLERY = (
    Painting("cat", ("wave",), "woodblock waves"),
    Painting("astronaut", ("swirls",), "swirling strokes"),
    Painting("coffee", ("stained-glass",), "stained glass"),
    Painting("rocket", ("watercolor",), "watercolor"),
    Painting("cat", ("gilded",), "gold leaf"),
    Painting("coffee", ("cubism",), "cubist planes"),
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
STRIPS = (("cat", "dumoulin", ("swirls", "drip", "gilded", "engraving")), ("cat", "ghiasi", ("ink-wash", "marbling")))
ENLARGED = ("cat", (72, 108))  # a photograph, and the height and width that it is reduced to first


def demo(*, out: Path = Path("styleloom-demo"), size: int = 384, precision: str = "fp32", seed: int = 0, common: Common) -> None:
    """Repaint the bundled photographs in the bundled styles, on a page to look at.

    Args:
        out: folder for the images and index.html.
        size: longer side of the images in pixels.
        precision: fp32, or bf16 where the processor is fast at it.
        seed: of whatever is random.
    """
    report, device = Report(common), common.torch_device()
    config = gatys.configure("draft", size=size, precision=precision, seed=seed)
    folder = check_folder(out)
    began = time.perf_counter()
    styles = {name: painterly.draw(name, size).to(device) for name in painterly.STYLES}
    contents = {name: images.resize_to_fit(bundled(name), size).to(device) for name in sorted({each.content for each in GALLERY})}
    for name, sample in (styles | contents).items():
        images.write(sample, folder / f"{name}.jpg")
    features = load_features(config.features)
    cards: dict[str, str] = {}
    faces: dict[str, str] = {}
    inverted: dict[str, str] = {}

    def show(done: bool = False) -> float:
        """Write the page with what there is so far; the seconds that it took."""
        seconds = time.perf_counter() - began
        with replacing(folder / "index.html") as temporary:
            temporary.write_text(_page(folder, cards, faces, inverted, config, seconds, device, done), encoding="utf-8")
        return seconds

    show()
    report.say(f"open {folder / 'index.html'} in a browser; it fills as images come")
    for painting in (*GALLERY, *COMPARED, *PASSES, *CONTROLS):
        if painting.method == "gatys":
            image, seconds = _descend(painting, contents, styles, config, features, report)
        else:
            image, seconds = _pass(painting, contents[painting.content], styles)
        images.write(image, folder / f"{painting.name}.png")
        report.say(f"wrote {folder / painting.name}.png  ({_duration(seconds)})")
        cards[painting.name] = _card(painting, seconds)
        show()
    for content, method, between in STRIPS:
        images.write(_strip(contents[content], method, between, styles), folder / f"strip-{method}.png")
    images.write(_enlarged(device), folder / "enlarged.png")
    show()
    faces["toonfaces"] = demo_faces.drawn(folder)
    for cast in demo_faces.CASTS:
        faces[cast.model] = demo_faces.made(folder, cast, device)
    show()
    faces["translated"] = demo_translation.translated(folder, device)
    show()
    for model in demo_inversion.TARGETS:
        inverted[model] = demo_inversion.inverted(folder, model, device)
    show()
    faces["edited"] = demo_editing.edited(folder, device)
    seconds = show(done=True)
    report.say(f"\nopen {folder / 'index.html'} in a browser  ({len(cards)} images in {seconds:.0f} s on {device})")
    report.outcome(page=str(folder / "index.html"), seconds=round(seconds, 1), images=list(cards))


def _descend(
    painting: Painting,
    contents: dict[str, Tensor],
    styles: dict[str, Tensor],
    config: gatys.GatysConfig,
    features: Features,
    report: Report,
) -> tuple[Tensor, float]:
    """An image painted by Gatys, and the seconds that took."""
    image = contents[painting.content]
    loop = gatys.steps(
        image,
        [styles[style] for style in painting.styles],
        replace(config, **painting.settings),
        weights=painting.weights,
        masks=painting.masks(image) if painting.masks else None,
        features=features,
    )
    for step in report.watch(loop, title=painting.name):  # noqa: B007
        pass
    return step.image, step.seconds


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
    paint = painter(painting.method, _look(painting.method, painting.styles, styles), method_named(painting.method).configure())
    paint(content)  # the first pass at a size also plans its convolutions
    mark = time.perf_counter()
    return paint(content), time.perf_counter() - mark


def _strip(content: Tensor, method: str, between: Sequence[str], styles: dict[str, Tensor]) -> Tensor:
    """A photograph in one style, in another, and so on, with mixtures of the two between them."""
    config = method_named(method).configure()
    steps = 3 if len(between) > 2 else 5
    row = []
    for first, second in pairwise(between):
        for step in range(steps - 1):
            weights = [steps - 1 - step, step]
            row.append(painter(method, _look(method, [first, second], styles), config, weights=weights)(content))
    row.append(painter(method, _look(method, between[-1:], styles), config)(content))
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
    return (
        f'<figure><a href="{escape(painting.name)}.png"><img src="{escape(painting.name)}.png" alt="{escape(painting.caption)}"></a>'
        f'<figcaption><span class="sources">{sources}</span>'
        f"<span><b>{escape(painting.content)}</b>, {escape(painting.caption)}<small>{_duration(seconds)}</small>"
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
    named = styles if len(styles) == 1 else [part for style in styles for part in ("--style", style)]
    return " ".join(["styleloom stylize", painting.content, *named, "-o", "out.png", *options])


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _page(
    folder: Path,
    cards: dict[str, str],
    faces: dict[str, str],
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
        drawn=faces.get("toonfaces", _WAITING),
        toonfaces=faces.get("toonfaces-64", _WAITING),
        portraits=faces.get("portraits-128", _WAITING),
        translated=faces.get("translated", _WAITING),
        edited=faces.get("edited", _WAITING),
        found_toonfaces=inverted.get("toonfaces-64", _WAITING),
        found_portraits=inverted.get("portraits-128", _WAITING),
        settings=rows,
        seconds=f"{seconds:.0f}",
        count=len(cards) if done else f"{len(cards)} of {len((*GALLERY, *COMPARED, *PASSES, *CONTROLS))}",
        device=device,
    )


_WAITING = '<figure class="waiting">to come</figure>'
_ENLARGED = '<figure><img src="enlarged.png" alt="small, bicubic, network, true"></figure>'
_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
$refresh
<title>StyleLoom demo</title>
<style>
:root { color-scheme: light dark; --ink: #22201c; --soft: #6d675d; --ground: #f6f2ea; --card: #fffdf8; --line: #e2dbcd; }
@media (prefers-color-scheme: dark) { :root { --ink: #ece6da; --soft: #a39c8f; --ground: #171512; --card: #211e1a; --line: #37322b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 3rem 1.5rem 5rem; background: var(--ground); color: var(--ink);
       font: 16px/1.55 Georgia, "Times New Roman", serif; }
h1 { font-size: 2.6rem; margin: 0; letter-spacing: -.01em; } h2 { font-size: 1.4rem; margin: 3rem 0 .3rem; }
p { max-width: 44rem; color: var(--soft); margin: .3rem 0 1.2rem; }
.grid { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); align-items: start; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
img { display: block; width: 100%; height: auto; } code { overflow-wrap: anywhere; font-size: .85em; }
figcaption code { display: block; margin-top: .25rem; color: var(--soft); }
figcaption { display: flex; gap: .8rem; align-items: center; padding: .7rem .9rem; }
small { display: block; color: var(--soft); }
.sources { display: flex; gap: .3rem; flex: none; } .sources img { width: 46px; height: 46px; object-fit: cover; border-radius: 3px; }
.five { grid-template-columns: repeat(auto-fill, minmax(min(190px, 100%), 1fr)); } .five figcaption { flex-wrap: wrap; }
.strips figure { margin-bottom: 1rem; }
.faces { grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); align-items: start; }
.wide { grid-column: 1 / -1; } .row { display: flex; align-items: center; } .row span { flex: 0 0 min(9.5rem, 30%); padding-left: .9rem;
       font-size: .85rem; color: var(--soft); } .row img { flex: 1; min-width: 0; } svg { display: block; width: 100%; }
.waiting { min-height: 9rem; display: grid; place-items: center; color: var(--soft); border-style: dashed; }
.styles { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: .8rem; }
.styles figcaption { padding: .35rem .6rem; font-size: .85rem; color: var(--soft); }
table { border-collapse: collapse; font-size: .9rem; } td { border-bottom: 1px solid var(--line); padding: .2rem 1.4rem .2rem 0; }
details { margin-top: 3rem; } summary { cursor: pointer; }
</style>
<h1>StyleLoom</h1>
<p>$count images in $seconds seconds on $device, with nothing but what ships with StyleLoom.</p>
<h2>A photograph, a style</h2>
<p>Repainted by descending on the pixels (Gatys, Ecker and Bethge 2016). Beside each image: what it shows and how it was to be painted.</p>
<div class="grid">$gallery</div>
<h2>In one pass</h2>
<p>Any style at all, in a fraction of a second: one network looks at the style and tells another how to paint (Ghiasi et al. 2017).</p>
<div class="grid">$passes</div>
<h2>Five methods</h2>
<p>The same photograph and style by each of them, and how long that took.</p>
<div class="grid five">$compared</div>
<h2>Between styles</h2>
<p>Mixtures in any shares, in the same one pass.</p>
<div class="strips">$strips</div>
<h2>Four times larger</h2>
<p>The second half of Johnson's paper. From left to right: the small image, bicubic interpolation, the network, the true photograph.</p>
$enlarged
<h2>Control</h2>
<p>Several styles in any shares, a style for each region of a mask, or the colors of the photograph with the brush of the style.</p>
<div class="grid">$controls</div>
<h2>Faces whose every attribute is known</h2>
<p>A data set without end, drawn by code: a seed is a face, and twenty-two attributes can be read, changed and drawn again.
<code>styleloom data toonfaces -o toonfaces.zip --count 50000</code></p>
<div class="grid faces">$drawn</div>
<h2>Made by a generator: cartoon faces</h2>
<p>A StyleGAN2 (Karras et al. 2020) that learned from them, on a CPU.
<code>styleloom generate toonfaces-64 --seeds 0-31 --psi 0.7 -o faces.png</code></p>
<div class="grid faces">$toonfaces</div>
<h2>Made by a generator: people who are not</h2>
<p>The same, trained on portraits of people who do not exist.
<code>styleloom generate portraits-128 --seeds 0-31 --psi 0.7 -o faces.png</code></p>
<div class="grid faces">$portraits</div>
<h2>One image into another</h2>
<p>Two networks that learned from pairs of images (pix2pix, Isola et al. 2017): one draws a portrait from lines, one colors what is gray.
<code>styleloom translate edges2portrait drawing.png -o portrait.png --drawing</code></p>
<div class="grid faces">$translated</div>
<h2>Found again in twenty steps</h2>
<p>Which latents make this face? Descend on them until the image is right, as Gatys descends on pixels (Image2StyleGAN, Abdal et
al. 2019). The optimizer that does it best is a network that was trained on such descents. The gate, of an earlier kind, was trained a step at a
time, and multiplies the steps of Adam at 0.01. None of these faces was trained on.
<code>styleloom invert toonfaces-64 faces/ -o found --num-steps 20</code></p>
<div class="grid faces">$found_toonfaces</div>
<p>The same with portraits. (Synthetic people, artflow.ai, CC BY 4.0.)</p>
<div class="grid faces">$found_portraits</div>
<h2>Edit a photograph</h2>
<p>Find the face, find its latents, move them along a direction, and put back into the photograph what changed. Or fill a hole, or go from face
to face. <code>styleloom edit portraits-128 me.jpg -o smiling.png --direction smile=2</code></p>
<div class="grid faces">$edited</div>
<h2>Sixteen styles, drawn by code</h2>
<p>They come with the package; any image of yours does as well: <code>styleloom stylize photo.jpg painting.jpg -o out.png</code></p>
<div class="grid styles">$styles</div>
<details><summary>Settings</summary><table>$settings</table></details>
</html>
""")
