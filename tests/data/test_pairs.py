"""Two domains of images: layouts, what is made on the fly, and what is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import skimage.color
import tifffile
import torch
from numpy.random import RandomState

from styleloom.core.errors import StyleLoomError
from styleloom.data import images
from styleloom.data.channels import read_channels
from styleloom.data.datasets import ImageFiles, SquareImages
from styleloom.data.derive import DERIVATIONS, canny, framed, lab_to_rgb, rgb_to_lab, xdog
from styleloom.data.labels import classes, instance_numbers, one_hot
from styleloom.data.pairs import open_domains, toons
from styleloom.drawn import toonfaces


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def fill(name: str, count: int, height: int = 40, width: int = 48, first: int = 0) -> None:
    Path(name).mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        images.write(torch.rand(1, 3, height, width), f"{name}/{index}.png")


def test_side_by_side() -> None:
    fill("pairs", 2, 32, 80)
    domains = open_domains("pairs", aligned=True)
    whole = images.read("pairs/0.png")[0]
    a, b = domains.pair(0, RandomState(0))
    assert torch.equal(a, whole[..., :40]) and torch.equal(b, whole[..., 40:])
    with zipfile.ZipFile("pairs.zip", "w") as archive:
        for index in range(2):
            archive.write(f"pairs/{index}.png", f"deep/{index}.png")
    assert torch.equal(open_domains("pairs.zip", aligned=True).pair(0, RandomState(0))[0], a)
    fill("odd", 1, 32, 81)
    with pytest.raises(StyleLoomError, match=r"0\.png is 81 pixels wide; a pair side by side has an even width"):
        open_domains("odd", aligned=True).pair(0, RandomState(0))


def test_a_pair_is_cut_and_turned_alike() -> None:
    """A and B of one image: whatever square is seen, both show the same of it."""
    Path("pairs").mkdir()
    image = torch.rand(1, 3, 60, 50)
    images.write(torch.cat([image, 1 - image], 3), "pairs/0.png")
    item = open_domains("pairs", aligned=True).example(32, 40)
    for seed in range(8):
        a, b = item(0, RandomState(seed))
        assert a.shape == b.shape == (3, 32, 32)
        torch.testing.assert_close(a, -b, atol=0.05, rtol=0)
    assert len({tuple(item(0, RandomState(seed))[0].flatten()[:4].tolist()) for seed in range(8)}) > 4


def test_two_folders_have_twins() -> None:
    fill("data/A", 3)
    fill("data/B", 3)
    images.write(torch.rand(1, 3, 40, 48), "data/B/0.jpg")
    Path("data/B/0.png").unlink()
    (Path("data/A") / "._0.png").write_bytes(b"a resource fork")
    domains = open_domains("data", aligned=True)
    assert len(domains) == 3
    assert torch.equal(domains.pair(2, RandomState(0))[0], images.read("data/A/2.png")[0])
    assert torch.equal(domains.turned().pair(2, RandomState(0))[1], images.read("data/A/2.png")[0])
    fill("data/A", 2, first=3)
    with pytest.raises(StyleLoomError, match="2 images have no twin in B: 3, 4"):
        open_domains("data", aligned=True)
    fill("other", 5, 40, 50)
    with pytest.raises(StyleLoomError, match="1 is 48 x 40 and 50 x 40 in the two folders; images of a pair have one size"):
        open_domains("data/A", "other", aligned=True).pair(1, RandomState(0))


def test_unaligned_sides_are_sampled_independently() -> None:
    fill("data/trainA", 4)
    fill("data/trainB", 7)
    domains = open_domains("data", aligned=False)
    assert len(domains) == 7 and not domains.aligned
    own = [images.read(f"data/trainB/{index}.png")[0] for index in range(7)]
    seen = set()
    for index in range(7):
        a, b = domains.pair(index, RandomState(index))
        assert torch.equal(b, own[index])  # an epoch shows each of the larger side once
        seen.add(float(a.sum()))
    assert 1 < len(seen) <= 4
    with pytest.raises(
        StyleLoomError, match="holds one domain; give the other one too, or a folder that holds trainA and trainB"
    ):
        open_domains("data/trainA", aligned=False)
    Path("empty").mkdir()
    with pytest.raises(StyleLoomError, match="domain B: no image in empty"):
        open_domains("data/trainA", "empty", aligned=False)


def test_16_bits_and_many_channels(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 24, 5)).astype(np.uint16)
    np.save("deep.npy", deep)
    tifffile.imwrite("deep.tif", deep, photometric="minisblack")
    for name in ("deep.npy", "deep.tif"):
        image = read_channels(name)
        assert image.shape == (1, 5, 20, 24)
        assert torch.equal((image[0] * 65535).round().permute(1, 2, 0).int(), torch.from_numpy(deep.astype(np.int32)))
    Path("A").mkdir()
    Path("B").mkdir()
    for index in range(2):
        np.save(f"A/{index}.npy", deep)
        tifffile.imwrite(f"B/{index}.tif", deep[..., :2], photometric="minisblack", planarconfig="contig")
    domains = open_domains("A", "B", aligned=True)
    assert domains.channels == (5, 2)
    a, b = domains.example(16)(0, RandomState(0))
    assert a.shape == (5, 16, 16) and b.shape == (2, 16, 16)
    np.save("A/1.npy", deep[..., :3])
    with pytest.raises(StyleLoomError, match="image 1 of domain A has 3 channels, and the first one 5"):
        open_domains("A", "B", aligned=True).pair(1, RandomState(0))
    np.save("wrong.npy", np.full((4, 4), 3.0))
    with pytest.raises(StyleLoomError, match="floating-point values outside of 0 to 1"):
        read_channels("wrong.npy")
    Path("bad.npy").write_bytes(b"junk")
    with pytest.raises(StyleLoomError, match=r"cannot read bad\.npy"):
        read_channels("bad.npy")


def test_lab_is_scikit_images() -> None:
    image = torch.rand(1, 3, 8, 9)
    expected = skimage.color.rgb2lab(image[0].permute(1, 2, 0).double().numpy())
    torch.testing.assert_close(rgb_to_lab(image)[0].permute(1, 2, 0).double(), torch.from_numpy(expected), atol=2e-2, rtol=1e-3)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(image)), image, atol=1e-4, rtol=0)


def test_edges_are_where_brightness_changes() -> None:
    image = torch.zeros(3, 32, 32)
    image[:, :, 16:] = 1
    lines = canny(image)
    assert lines.shape == (1, 32, 32) and set(lines.unique().tolist()) == {0.0, 1.0}
    dark = (lines[0] == 0).nonzero()[:, 1]
    assert len(dark) >= 28 and ((dark == 15) | (dark == 16)).all()
    drawn = xdog(image)
    assert drawn[0, 16, 24] > 0.95 and drawn[0, 16, 14] < 0.3  # white stays, and black by the edge is inked


@pytest.mark.parametrize("name", DERIVATIONS)
def test_pairs_of_photographs(name: str, image: torch.Tensor) -> None:
    """Channels are those that are told; the truth finishes to the photograph itself."""
    kind = DERIVATIONS[name]
    a, b = kind.pair(image[0], RandomState(0))
    assert (len(a), len(b)) == (kind.in_channels, kind.out_channels)
    assert a.shape[1:] == image.shape[2:] and a.min() >= 0 and a.max() <= 1 and b.min() >= 0 and b.max() <= 1
    torch.testing.assert_close(kind.finish(image, b[None]), image, atol=2e-3, rtol=0)


def test_label_maps_become_a_channel_a_class() -> None:
    colors = ((0, 0, 0), (255, 0, 0), (0, 128, 255))
    numbers = torch.randint(3, (1, 6, 7))
    image = (torch.tensor(colors)[numbers].permute(0, 3, 1, 2) / 255 + 0.05 * torch.rand(1, 3, 6, 7)).clamp(0, 1)
    assert torch.equal(classes(image, colors), numbers)
    assert torch.equal(one_hot(image, colors).argmax(1), numbers) and one_hot(image, colors).sum() == 42
    Path("table.csv").write_text("sky,0,0,0\nred,255,0,0\n0,128,255\n")
    fill("A", 1)
    fill("B", 1)
    domains = open_domains("A", "B", aligned=True, labels="table.csv")
    assert domains.channels == (3, 3) and domains.labels == colors
    a, _ = domains.example(16, 20)(0, RandomState(0))
    assert set(a.unique().tolist()) == {-1.0, 1.0} and (a.sum(0) == -1).all()
    Path("twice.csv").write_text("0,0,0\n0,0,0\n")
    with pytest.raises(StyleLoomError, match="has a color twice"):
        open_domains("A", "B", aligned=True, labels="twice.csv")
    with pytest.raises(StyleLoomError, match="needs images on both sides"):
        open_domains("A", aligned=True, derive="edges").turned()


def test_instances_come_along() -> None:
    fill("A", 2)
    fill("B", 2)
    fill("I", 2)
    domains = open_domains("A", "B", aligned=True, instances="I")
    _, _, numbers = domains.example(16, 20)(1, RandomState(0))
    assert numbers.shape == (1, 16, 16)
    whole = instance_numbers(images.read("I/1.png")[0])
    assert len(whole.unique()) == len(images.read("I/1.png")[0].flatten(1).T.unique(dim=0))
    assert set(numbers.unique().tolist()) <= set(whole.unique().tolist())  # never mixed
    images.write(torch.rand(1, 3, 8, 9), "I/0.png")
    with pytest.raises(StyleLoomError, match="the map of instances 0 has 9 x 8 px, its image"):
        domains.example(16, 20)(0, RandomState(0))
    Path("I/0.png").unlink()
    with pytest.raises(StyleLoomError, match="images without a map of instances: 0"):
        open_domains("A", "B", aligned=True, instances="I")


def test_cartoon_faces_with_and_without() -> None:
    both = toons("toonfaces:smile=-0.8:0.8", aligned=True, count=4)
    a, b = both.pair(2, RandomState(0))
    changed = toonfaces.render([toonfaces.attributes(2)], 128)[0]
    assert a.shape == changed.shape
    moved = (a - b).abs().sum(0) > 0.1
    assert 0 < moved.float().mean() < 0.2  # a mouth and no more
    apart = toons("toonfaces:glasses=none:round", aligned=False, count=4)
    assert not torch.equal(*(apart.pair(0, RandomState(seed))[1] for seed in (1, 5)))
    for wrong in ("toonfaces:smile", "toonfaces:nose=1:2", "toonfaces:smile=a:b"):
        with pytest.raises(StyleLoomError, match="is no pair of cartoon faces"):
            toons(wrong, aligned=True)
    with pytest.raises(StyleLoomError, match="smile is 3"):
        toons("toonfaces:smile=0:3", aligned=True)


def test_small_images_are_enlarged_to_the_square() -> None:
    (square,) = framed([torch.rand(3, 10, 14)], 16, 0, RandomState(0), flip=False)
    assert square.shape == (3, 16, 16)


def zipped(name: str, folder: str) -> None:
    with zipfile.ZipFile(name, "w") as archive:
        for path in sorted(Path(folder).rglob("*.png")):
            archive.write(path, path.as_posix())


def test_val_and_test_beside_train_are_not_trained_on() -> None:
    for part in ("train", "val", "test"):
        fill(f"facades/{part}", 2, 32, 64)
        for side in "AB":
            fill(f"combined/{side}/{part}", 2)
        for name in ("cat", "dog"):
            fill(f"classes/{part}/{name}", 1, 16, 16)
    assert len(open_domains("facades", aligned=True)) == 2
    assert len(open_domains("combined", aligned=True)) == 2
    assert SquareImages("classes", 16, conditional=True).classes == ["cat", "dog"]
    assert len(ImageFiles("facades/test")) == 2  # to be measured on, when it is asked for
    fill("plain/train", 2)
    fill("plain/other", 1)
    assert len(ImageFiles("plain")) == 3


@pytest.mark.parametrize("names", [("train_label", "train_img"), ("input", "target"), ("source", "target"), ("A", "B")])
def test_two_domains_in_one_folder_or_zip(names: tuple[str, str]) -> None:
    for name in names:
        fill(f"root/{name}", 2, 20, 24)
    zipped("root.zip", "root")
    for root in ("root", "root.zip"):
        domains = open_domains(root, aligned=True)
        a, b = domains.pair(0, RandomState(0))
        assert len(domains) == 2
        assert torch.equal(a, images.read(f"root/{names[0]}/0.png")[0])
        assert torch.equal(b, images.read(f"root/{names[1]}/0.png")[0])


def test_a_zip_of_cyclegans_as_it_is_downloaded() -> None:
    for part, count in (("trainA", 3), ("trainB", 2), ("testA", 1), ("testB", 1)):
        fill(f"horse2zebra/{part}", count)
    zipped("horse2zebra.zip", "horse2zebra")
    domains = open_domains("horse2zebra.zip", aligned=False)
    assert len(domains) == 3
    assert len(open_domains("horse2zebra.zip/horse2zebra/trainB", "horse2zebra/testA", aligned=False)) == 2


def test_two_folders_of_unknown_names_are_not_cut_into_halves() -> None:
    for name in ("maps", "photos"):
        fill(f"root/{name}", 2, 32, 32)
    with pytest.raises(StyleLoomError, match="holds two folders of images with the same names, maps and photos; say which is A"):
        open_domains("root", aligned=True)
    assert len(open_domains("root", aligned=True, layout="aligned")) == 4


def test_labels_of_the_other_side() -> None:
    fill("photos", 2, 16, 16)
    Path("maps").mkdir()
    for index in range(2):
        images.write(torch.tensor([0.0, 1.0]).repeat_interleave(8).expand(1, 3, 16, 16), f"maps/{index}.png")
    Path("colors.csv").write_text("dark,0,0,0\nlight,255,255,255\n")
    domains = open_domains("photos", "maps", aligned=True, labels="colors.csv").turned()
    assert domains.channels == (2, 3)
    x, y = domains.example(16, flip=False)(0, RandomState(0))
    assert torch.equal(x[1], (images.read("maps/0.png")[0, 0] * 2 - 1))
    torch.testing.assert_close((y + 1) / 2, images.read("photos/0.png")[0])


def test_linked_folders_are_read(tmp_path: Path) -> None:
    fill("elsewhere/cat", 2)
    fill("set/dog", 1)
    Path("set/cat").symlink_to(tmp_path / "elsewhere" / "cat")
    Path("set/cat/loop").symlink_to(tmp_path / "set")
    assert SquareImages("set", 16, conditional=True).classes == ["cat", "dog"] and len(ImageFiles("set")) == 3
