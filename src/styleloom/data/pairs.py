"""Two domains of images: aligned pairs, of files or made on the fly, and sets that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.random import RandomState
from torch import Tensor

from styleloom.core.errors import StyleLoomError, check_choice
from styleloom.core.files import PathLike
from styleloom.data.labels import instance_numbers, one_hot, read_labels
from styleloom.data.sources import files_below, is_image, open_zip, split_zip
from styleloom.drawn import toonfaces

from .channels import ARRAYS
from .datasets import ImageFiles, Item
from .derive import DERIVATIONS, framed

TOONFACES = "toonfaces:"
TOONS = 2_000  # faces of a domain
TOON_SIZE = 128
LAYOUTS = ("auto", "aligned", "folders", "photos")
FOLDERS = (
    ("trainA", "trainB"), ("A", "B"), ("train_A", "train_B"), ("train_label", "train_img"), ("input", "target"),
    ("source", "target"),
)  # fmt: skip
"""Names of the two domains' folders in others' data sets."""
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Domains:
    """Images of two domains, A and B, by number.

    Attributes:
        count: pairs, or images of the larger domain.
        channels: channels of A and of B.
        pair: image a [A, H, W] and b [B, H, W] in [0, 1], of a number and a random state; of one size where they are aligned.
        aligned: a and b show the same.
        derive: how a is made of b (see :data:`~styleloom.data.derive.DERIVATIONS`), or nothing.
        labels: colors of a's classes, [[r, g, b], ...] of 8-bit numbers, where a is a label map.
        damaged: for each set, the images that could not be read so far.
        names: names of the pairs, in the order of their numbers, where they have any.
        file_channels: file channels of A and of B, as files hold them: of label maps those of their colors.
        exact: the pair of a number, or None where one of its files is damaged; without another pair in its place.
        instances: instances of a number, the instances' numbers [1, H, W], of the size of a and b; None where they are not known.
    """

    count: int
    channels: tuple[int, int]
    pair: Callable[[int, RandomState], Pair]
    aligned: bool = True
    derive: str = ""
    labels: tuple[tuple[int, int, int], ...] = ()
    damaged: Sequence[Mapping[str, str]] = field(default_factory=list)
    names: Sequence[str] = ()
    file_channels: tuple[int, int] = (3, 3)
    exact: Callable[[int], Pair | None] | None = None
    instances: Callable[[int], Tensor] | None = None

    @property
    def has_instances(self) -> bool:
        """Whether examples tell instances apart."""
        return self.instances is not None

    def __len__(self) -> int:
        return self.count

    def example(self, size: int, load_size: int = 0, *, flip: bool = True) -> Item:
        """Make the function of a training example.

        It gives a [A, size, size] and b [B, size, size], in [-1, 1], see :func:`~.derive.framed`, and the numbers of instances
        [1, size, size] where they are known.
        """

        def item(index: int, rng: RandomState) -> tuple[Tensor, ...]:
            a, b = self.pair(index, rng)
            numbers: list[Tensor] = []
            if self.instances is not None:
                given = [self.instances(index), a, b]
                if given[0].shape[1:] != a.shape[1:]:
                    sides = [" x ".join(str(side) for side in each.shape[:0:-1]) for each in (given[0], a)]
                    raise StyleLoomError(
                        f"the map of instances {index} has {sides[0]} px, its image {sides[1]}; give one of its size"
                    )
                nearest = 1 + bool(self.labels)
                of_instances, a, b = framed(given, size, load_size, rng, flip=flip, nearest=nearest)
                numbers = [of_instances]
            elif self.derive:  # a is made after the cut, of what is seen
                (b,) = framed([b], size, load_size, rng, flip=flip)
                a, b = DERIVATIONS[self.derive].pair(b, rng)
            elif self.aligned:
                a, b = framed([a, b], size, load_size, rng, flip=flip, nearest=bool(self.labels))
            else:
                (a,), (b,) = (framed([each], size, load_size, rng, flip=flip) for each in (a, b))
            if self.labels:
                a = one_hot(a[None], self.labels)[0]
            return a.contiguous() * 2 - 1, b.contiguous() * 2 - 1, *numbers

        return item

    def turned(self) -> Domains:
        """The same with A and B exchanged. A table of label colors then is of the other side, which is the input now.

        Raises:
            StyleLoomError: a is made of b, which is no answer of a network.
        """
        if self.derive or self.instances:
            raise StyleLoomError("direction BtoA needs images on both sides; what is made of them on the fly is an input only")

        def pair(index: int, rng: RandomState) -> Pair:
            a, b = self.pair(index, rng)
            return b, a

        channels = (len(self.labels), self.file_channels[0]) if self.labels else self.channels[::-1]
        return replace(self, channels=channels, file_channels=self.file_channels[::-1], pair=pair)


def open_domains(
    data: PathLike | Sequence[PathLike],
    other: PathLike | Sequence[PathLike] | None = None,
    *,
    aligned: bool,
    layout: str = "auto",
    derive: str = "",
    labels: PathLike | None = None,
    instances: PathLike | None = None,
) -> Domains:
    """Two domains of images, in whatever layout they lie.

    Args:
        data: for aligned pairs side-by-side images (A left, B right), or with ``derive`` photographs; otherwise domain A, or a
            folder that holds both as ``trainA`` and ``trainB``, or ``A`` and ``B``. ``toonfaces:smile=-0.8:0.8`` draws cartoon
            faces that differ in an attribute.
        other: domain B; of aligned pairs it has the names of A.
        aligned: a and b show the same; otherwise each side is sampled by itself.
        layout: ``"aligned"`` (side by side), ``"folders"``, ``"photos"`` (with ``derive``) or ``"auto"``.
        derive: make a of photographs, see :data:`~styleloom.data.derive.DERIVATIONS`.
        labels: a table of colors, lines of ``r,g,b`` or ``name,r,g,b``: a is a label map, and becomes a channel a class.
        instances: a folder of maps with the names of A, of another number (or color) for each object.

    Raises:
        StyleLoomError: no images, a side that is empty, files without a twin, or of another size or number of channels.
    """
    check_choice("layout", layout, LAYOUTS)
    several = [data] if isinstance(data, str | Path) else list(data)
    if derive:
        check_choice("derive", derive, DERIVATIONS)
    if derive and (other is not None or not aligned or labels or layout not in ("auto", "photos")):
        raise StyleLoomError("derive makes pairs of photographs; it takes no second folder, no label table and no other layout")
    if layout == "photos" and not derive:
        raise StyleLoomError(f"layout photos makes pairs of photographs; say how with derive: {', '.join(DERIVATIONS)}")
    if str(several[0]).startswith(TOONFACES):
        return toons(str(several[0]), aligned=aligned)
    if derive:
        return derived(several, derive)
    if other is None and len(several) == 1 and layout != "aligned" and (found := _both(Path(several[0]))):
        several, other = [found[0]], found[1]
    table = read_labels(labels) if labels else ()
    if other is not None:
        made = _twins(several, other) if aligned else unaligned(several, other)
    elif layout == "folders" or not aligned:
        wanted = " or ".join(f"{a} and {b}" for a, b in FOLDERS)
        raise StyleLoomError(f"{several[0]} holds one domain; give the other one too, or a folder that holds {wanted}")
    else:
        made = _side_by_side(several, layout == "aligned")
    if table and not aligned:
        raise StyleLoomError("label maps are for aligned pairs; leave the table out")
    if instances is not None:
        if not aligned or other is None:
            raise StyleLoomError("instance maps are for aligned pairs in two folders; leave them out")
        made = replace(made, instances=_instances(instances, several))
    made = replace(made, file_channels=made.channels)
    return replace(made, labels=table, channels=(len(table), made.channels[1])) if table else made


def _instances(source: PathLike, a: Sequence[PathLike]) -> Callable[[int], Tensor]:
    """Each image's numbers of instances, by the number of the pair."""
    maps, one = _domain(source, "instances"), _domain(a, "A")
    number_of = {_stem(name): number for number, (_, name) in enumerate(maps.locations)}
    names = sorted(_stem(name) for _, name in one.locations)
    if lone := [name for name in names if name not in number_of]:
        raise StyleLoomError(
            f"images without a map of instances: {', '.join(lone[:5])}{', ...' if len(lone) > 5 else ''}; add them"
        )

    def numbers(index: int) -> Tensor:
        image = maps.read(number_of[names[index % len(names)]])
        if image is None:
            raise maps.unreadable()
        return instance_numbers(image)

    return numbers


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _both(root: Path) -> tuple[Path, Path] | None:
    """The folders of both domains in one folder or zip, or in the only folder that it holds."""
    archive, inside = split_zip(root)
    if archive is not None and archive.is_file():
        with open_zip(archive) as opened:
            files = [name.replace("\\", "/") for name in opened.namelist()]
        names = [name.removeprefix(inside) for name in files if name.startswith(inside)]
    elif root.is_dir():
        names = files_below(root)
    else:
        return None
    tops = [PurePosixPath(name).parts for name in names if is_image(name, ARRAYS)]
    while tops and all(len(parts) > 2 for parts in tops) and len({parts[0] for parts in tops}) == 1:
        root, tops = root / tops[0][0], [parts[1:] for parts in tops]
    folders = {parts[0] for parts in tops if len(parts) > 1}
    return next(((root / a, root / b) for a, b in FOLDERS if a in folders and b in folders), None)


def _check_not_twins(files: ImageFiles, data: PathLike) -> None:
    """Raise StyleLoomError where what is to be cut into halves is two folders of images with the same names."""
    stems: dict[str, set[str]] = {}
    for _, name in files.locations:
        folder, _, rest = name.partition("/")
        stems.setdefault(folder if rest else "", set()).add(_stem(rest or name))
    if len(stems) == 2 and "" not in stems:
        (first, ones), (second, others) = stems.items()
        if ones == others:
            raise StyleLoomError(
                f"{data} holds two folders of images with the same names, {first} and {second}; say which is A and which is B: "
                f"{data}/{first} `other` {data}/{second}, or give the layout aligned to cut each image into halves"
            )


def derived(data: Sequence[PathLike], derive: str) -> Domains:
    """Pairs that are made of photographs."""
    images, kind = ImageFiles(data, channels=True), DERIVATIONS[derive]

    def pair(index: int, rng: RandomState) -> Pair:
        number, image = images.find(index, rng)
        if len(image) != 3:
            raise StyleLoomError(f"{images.locations[number][1]} has {len(image)} channels; derive takes RGB photographs")
        return image, image

    return Domains(len(images), (kind.in_channels, kind.out_channels), pair, derive=derive, damaged=[images.damaged])


def _side_by_side(data: Sequence[PathLike], certainly: bool) -> Domains:
    images = ImageFiles(data, channels=True)
    if not certainly:
        _check_not_twins(images, data[0])

    def halves(image: Tensor) -> Pair:
        width = image.shape[2] // 2
        return image[:, :, :width], image[:, :, width : 2 * width]

    def pair(index: int, rng: RandomState) -> Pair:
        number, image = images.find(index, rng)
        if image.shape[2] < 2 or image.shape[2] % 2:
            name = images.locations[number][1]
            raise StyleLoomError(
                f"{name} is {image.shape[2]} pixels wide; a pair side by side has an even width, A left and B right"
            )
        return halves(image)

    first = images[0]
    return Domains(len(images), (len(first), len(first)), _checked(pair, (len(first), len(first))), damaged=[images.damaged])


def _twins(a: Sequence[PathLike], b: PathLike | Sequence[PathLike]) -> Domains:
    """Two folders with the same names, but for suffixes."""
    one, two = _domain(a, "A"), _domain(b, "B")
    numbers: list[dict[str, int]] = []
    for side, files in (("A", one), ("B", two)):
        stems = [_stem(name) for _, name in files.locations]
        if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
            raise StyleLoomError(f"domain {side} has several images called {twice}; rename them")
        numbers.append({stem: number for number, stem in enumerate(stems)})
    for side, lone in (
        ("B", sorted(numbers[0].keys() - numbers[1].keys())),
        ("A", sorted(numbers[1].keys() - numbers[0].keys())),
    ):
        if lone:
            raise StyleLoomError(
                f"{len(lone)} images have no twin in {side}: {', '.join(lone[:5])}{', ...' if len(lone) > 5 else ''}"
            )
    names = sorted(numbers[0])
    channels = (len(one[0]), len(two[0]))
    good = list(range(len(names)))

    def exact(index: int) -> Pair | None:
        a, b = one.read(numbers[0][names[index]]), two.read(numbers[1][names[index]])
        if a is None or b is None:
            return None
        if a.shape[1:] != b.shape[1:]:
            sizes = " and ".join(f"{image.shape[2]} x {image.shape[1]}" for image in (a, b))
            raise StyleLoomError(f"{names[index]} is {sizes} in the two folders; images of a pair have one size")
        return a, b

    def pair(index: int, rng: RandomState) -> Pair:
        left, chosen = list(good), index % len(names)
        while True:
            images = exact(chosen)
            if images is not None:
                return images
            left.remove(chosen)
            if not left:
                raise one.unreadable() if one.damaged else two.unreadable()
            chosen = left[rng.randint(len(left))]

    return Domains(len(names), channels, _checked(pair, channels), damaged=[one.damaged, two.damaged], names=names, exact=exact)


def unaligned(a: PathLike | Sequence[PathLike], b: PathLike | Sequence[PathLike]) -> Domains:
    """Two sets of images, each sampled by itself: a in the order of an epoch, b at random, as CycleGAN has it."""
    one, two = _domain(a, "A"), _domain(b, "B")
    swapped = len(two) > len(one)
    channels = (len(one[0]), len(two[0]))

    def pair(index: int, rng: RandomState) -> Pair:
        if swapped:
            return one.find(rng.randint(len(one)), rng)[1], two.find(index, rng)[1]
        return one.find(index, rng)[1], two.find(rng.randint(len(two)), rng)[1]

    return Domains(max(len(one), len(two)), channels, _checked(pair, channels), aligned=False, damaged=[one.damaged, two.damaged])


def _domain(sources: PathLike | Sequence[PathLike], side: str) -> ImageFiles:
    try:
        return ImageFiles(sources, channels=True)
    except StyleLoomError as error:
        raise StyleLoomError(f"domain {side}: {error}") from error


def _checked(pair: Callable[[int, RandomState], Pair], channels: tuple[int, int]) -> Callable[[int, RandomState], Pair]:
    """The same, whose images all have the first one's number of channels."""

    def checked(index: int, rng: RandomState) -> Pair:
        images = pair(index, rng)
        for side, image, wanted in zip("AB", images, channels, strict=True):
            if len(image) != wanted:
                raise StyleLoomError(f"image {index} of domain {side} has {len(image)} channels, and the first one {wanted}")
        return images

    return checked


def toons(text: str, *, aligned: bool, count: int = TOONS, first: int = 0) -> Domains:
    """Cartoon faces without and with an attribute, of which the true counterfactual is known.

    Args:
        text: ``toonfaces:smile=-0.8:0.8``, an attribute and its values in A and in B.
        aligned: the same faces in both domains; otherwise other ones.
        count: faces of a domain.
        first: seed of the first one.

    Raises:
        StyleLoomError: another form, or no such attribute or value.
    """
    low, high = toon_values(text)
    kept: dict[tuple[int, bool], Tensor] = {}

    def face(seed: int, changed: bool) -> Tensor:
        if (seed, changed) not in kept:
            drawn = toonfaces.render(replace(toonfaces.attributes(seed), **(high if changed else low)), TOON_SIZE)[0]
            kept[seed, changed] = (drawn * 255).round().byte()
        return kept[seed, changed].float() / 255

    def pair(index: int, rng: RandomState) -> Pair:
        seed = first + index % count
        return face(seed, False), face(seed if aligned else first + count + rng.randint(count), True)

    return Domains(count, (3, 3), pair, aligned=aligned)


def toon_values(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attribute and its two values in ``toonfaces:smile=-0.8:0.8``."""
    name, _, values = text.removeprefix(TOONFACES).partition("=")
    name, (low, _, high) = name.strip(), values.partition(":")
    if name in toonfaces.CHOICES and low and high:
        pair: tuple[Any, Any] = (low, high)
    elif name in toonfaces.RANGES:
        try:
            pair = float(low), float(high)
        except ValueError:
            pair = ("", "")
    else:
        pair = ("", "")
    if "" in pair:
        raise StyleLoomError(
            f"{text!r} is no pair of cartoon faces; write toonfaces:smile=-0.8:0.8, with an attribute of toonfaces"
        )
    for value in pair:
        replace(toonfaces.attributes(0), **{name: value})  # which refuses others
    return {name: pair[0]}, {name: pair[1]}
