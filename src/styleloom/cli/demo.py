"""``styleloom demo``: the bundled photographs repainted, on a page to look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import torch
from torch import Tensor

from styleloom import painterly
from styleloom.blocks import images
from styleloom.convert.vgg import load_features
from styleloom.papers import adain, gatys
from styleloom.samples import sample

from .options import Common, check_folder
from .report import Report


def _left_to_right(content: Tensor) -> list[Tensor]:
    """One soft mask that falls from 1 at the left to 0 at the right: [1, 1, H, W]."""
    height, width = content.shape[-2:]
    fall = torch.sigmoid(torch.linspace(9, -9, width, device=content.device))
    return [fall.expand(1, 1, height, width)]


@dataclass(frozen=True)
class Painting:
    """One picture of the demo: who is painted how, and the words beside it."""

    content: str
    styles: tuple[str, ...]
    caption: str
    settings: dict[str, Any] = field(default_factory=dict)
    weights: tuple[float, ...] | None = None
    masks: Callable[[Tensor], list[Tensor]] | None = None

    @property
    def name(self) -> str:
        return "-".join([self.content, *self.styles, *(str(value) for value in self.settings.values())]) + (
            "-regions" if self.masks else ""
        )


GALLERY = (
    Painting("cat", ("wave",), "woodblock waves"),
    Painting("astronaut", ("swirls",), "swirling strokes"),
    Painting("coffee", ("stained-glass",), "stained glass"),
    Painting("rocket", ("watercolor",), "watercolour"),
    Painting("cat", ("gilded",), "gold leaf"),
    Painting("coffee", ("cubism",), "cubist planes"),
)
CONTROLS = (
    Painting("cat", ("wave", "gilded"), "two styles in equal shares", weights=(0.5, 0.5)),
    Painting("cat", ("wave", "gilded"), "a style a region, by a mask", masks=_left_to_right),
    Painting("cat", ("wave",), "the content's own colours", settings={"keep_color": "luminance"}),
)


PASSES = tuple(
    Painting(content, (style,), "AdaIN")
    for content, style in (
        ("cat", "wave"),
        ("coffee", "stained-glass"),
        ("astronaut", "gilded"),
        ("cat", "mosaic"),
        ("coffee", "gilded"),
        ("astronaut", "wave"),
    )
)
STRIP = ("cat", "ink-wash", "marbling")  # a photograph, from one style to another


def demo(*, out: Path = Path("styleloom-demo"), size: int = 384, precision: str = "fp32", seed: int = 0, common: Common) -> None:
    """Repaint the bundled photographs in the bundled styles, on a page to look at.

    Args:
        out: folder for the pictures and index.html.
        size: longer side of the pictures in pixels.
        precision: fp32, or bf16 where the processor is fast at it.
        seed: of whatever is random.
    """
    report, device = Report(common), common.torch_device()
    config = gatys.configure("draft", size=size, precision=precision, seed=seed)
    folder = check_folder(out)
    began = time.perf_counter()
    styles = {name: painterly.draw(name, size) for name in painterly.STYLES}
    contents = {name: images.fit(sample(name), size) for name in sorted({painting.content for painting in GALLERY})}
    for name, picture in (styles | contents).items():
        images.write(picture, folder / f"{name}.jpg")
    features = load_features(config.features)
    cards: dict[str, str] = {}
    for painting in (*GALLERY, *CONTROLS):
        picture = contents[painting.content].to(device)
        loop = gatys.steps(
            picture,
            [styles[style].to(device) for style in painting.styles],
            replace(config, **painting.settings),
            weights=painting.weights,
            masks=painting.masks(picture) if painting.masks else None,
            features=features,
        )
        for step in report.watch(loop, title=painting.name):  # noqa: B007
            pass
        images.write(step.image, folder / f"{painting.name}.png")
        report.say(f"wrote {folder / painting.name}.png  ({step.seconds:.1f} s)")
        cards[painting.name] = _card(painting, step.seconds)
    model = adain.load()
    for painting in PASSES:
        picture = contents[painting.content].to(device)
        look = [styles[style].to(device) for style in painting.styles]
        adain.stylize(picture, look, model=model)  # the first call at a size also plans its convolutions
        mark = time.perf_counter()
        image = adain.stylize(picture, look, model=model)
        seconds = time.perf_counter() - mark
        name = f"{painting.name}-adain"
        images.write(image, folder / f"{name}.png")
        report.say(f"wrote {folder / name}.png  ({seconds:.2f} s)")
        cards[name] = _card(painting, seconds, name)
    content, first, second = STRIP
    pair = [styles[first].to(device), styles[second].to(device)]
    strip = torch.cat(
        [adain.stylize(contents[content].to(device), pair, weights=[4 - step, step], model=model) for step in range(5)]
    )
    images.write(images.grid([strip]), folder / "strip.png")
    seconds = time.perf_counter() - began
    page = _page(cards, config, seconds, device)
    (folder / "index.html").write_text(page, encoding="utf-8")
    report.say(f"\nopen {folder / 'index.html'} in a browser  ({len(cards)} pictures in {seconds:.0f} s on {device})")
    report.outcome(page=str(folder / "index.html"), seconds=round(seconds, 1), pictures=list(cards))


def _card(painting: Painting, seconds: float, name: str | None = None) -> str:
    sources = "".join(f'<img src="{escape(name)}.jpg" alt="{escape(name)}">' for name in (painting.content, *painting.styles))
    return (
        f'<figure><img class="painted" src="{escape(name or painting.name)}.png" alt="{escape(painting.caption)}">'
        f'<figcaption><span class="sources">{sources}</span>'
        f"<span><b>{escape(painting.content)}</b>, {escape(painting.caption)}<small>{_duration(seconds)}</small></span>"
        f"</figcaption></figure>"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _page(cards: dict[str, str], config: gatys.Config, seconds: float, device: torch.device) -> str:
    styles = "".join(
        f'<figure><img src="{name}.jpg" alt="{name}"><figcaption>{name}</figcaption></figure>' for name in painterly.STYLES
    )
    rows = "".join(f"<tr><td>{name}</td><td>{escape(str(value))}</td></tr>" for name, value in asdict(config).items())
    return _PAGE.substitute(
        gallery="".join(cards[painting.name] for painting in GALLERY),
        passes="".join(cards[f"{painting.name}-adain"] for painting in PASSES),
        strip=f"{STRIP[0]}, from {STRIP[1]} to {STRIP[2]}",
        controls="".join(cards[painting.name] for painting in CONTROLS),
        styles=styles,
        settings=rows,
        seconds=f"{seconds:.0f}",
        count=len(cards),
        device=device,
    )


_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>StyleLoom demo</title>
<style>
:root { color-scheme: light dark; --ink: #22201c; --soft: #6d675d; --ground: #f6f2ea; --card: #fffdf8; --line: #e2dbcd; }
@media (prefers-color-scheme: dark) { :root { --ink: #ece6da; --soft: #a39c8f; --ground: #171512; --card: #211e1a; --line: #37322b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 3rem 1.5rem 5rem; background: var(--ground); color: var(--ink);
       font: 16px/1.55 Georgia, "Times New Roman", serif; }
h1 { font-size: 2.6rem; margin: 0; letter-spacing: -.01em; } h2 { font-size: 1.4rem; margin: 3rem 0 .3rem; }
p { max-width: 44rem; color: var(--soft); margin: .3rem 0 1.2rem; }
.grid { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
img { display: block; width: 100%; } .painted { aspect-ratio: 4 / 3; object-fit: cover; }
figcaption { display: flex; gap: .8rem; align-items: center; padding: .7rem .9rem; }
small { display: block; color: var(--soft); }
.sources { display: flex; gap: .3rem; flex: none; } .sources img { width: 46px; height: 46px; object-fit: cover; border-radius: 3px; }
.styles { grid-template-columns: repeat(auto-fill, minmax(130px, 1fr)); gap: .8rem; }
.styles figcaption { padding: .35rem .6rem; font-size: .85rem; color: var(--soft); }
table { border-collapse: collapse; font-size: .9rem; } td { border-bottom: 1px solid var(--line); padding: .2rem 1.4rem .2rem 0; }
details { margin-top: 3rem; } summary { cursor: pointer; }
</style>
<h1>StyleLoom</h1>
<p>$count pictures in $seconds seconds on $device, with nothing but what ships with StyleLoom.</p>
<h2>A photograph, a style</h2>
<p>Repainted by descending on the pixels (Gatys, Ecker and Bethge 2016). Beside each picture: what it shows and how it was to be painted.</p>
<div class="grid">$gallery</div>
<h2>In one pass</h2>
<p>Any style at all, in a fraction of a second: AdaIN (Huang and Belongie 2017) gives the features of the photograph the mean and
the spread of those of the style, and one decoder turns them into a picture.</p>
<div class="grid">$passes</div>
<h2>Between two styles</h2>
<p>Shares of two styles, in the same one pass: $strip.</p>
<figure><img src="strip.png" alt="$strip"></figure>
<h2>Control</h2>
<p>Several styles in any shares, a style for each region of a mask, or the colours of the photograph with the brush of the style.</p>
<div class="grid">$controls</div>
<h2>Sixteen styles, drawn by code</h2>
<p>They come with the package; any picture of yours does as well: <code>styleloom stylize photo.jpg painting.jpg -o out.png</code></p>
<div class="grid styles">$styles</div>
<details><summary>Settings</summary><table>$settings</table></details>
</html>
""")
