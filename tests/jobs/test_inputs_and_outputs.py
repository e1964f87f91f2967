"""Names of users: what they stand for, what is passed over, and where results go."""

from pathlib import Path

import pytest
import torch

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.core.files import check_folder
from styleloom.data import images
from styleloom.jobs import Finished
from styleloom.jobs.inputs import find_all
from styleloom.jobs.outputs import Outputs, distinct_names, targets_of


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("p.jpg", "p.png", "q.png", "deep/r.png"):
        images.write(torch.rand(1, 3, 8, 8), tmp_path / "in" / name)
    (tmp_path / "in" / "raw.nef").write_bytes(b"raw")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_what_is_passed_over_is_named(photos: Path) -> None:
    found = find_all("in")
    assert found.files == ["in/p.jpg", "in/p.png", "in/q.png"]
    assert set(found.passed_over) == {"in/raw.nef", "in/deep"} and "`recursive`" in found.passed_over["in/deep"]
    deep = find_all("in", recursive=True)
    assert deep.files == ["in/deep/r.png", "in/p.jpg", "in/p.png", "in/q.png"] and set(deep.passed_over) == {"in/raw.nef"}


def test_folders_keep_their_folders_and_names_differ(photos: Path) -> None:
    targets, folder = targets_of(find_all("in", recursive=True).files, "in", Outputs.of("out"))
    assert folder == Path("out")
    assert [str(target) for target in targets] == ["out/deep/r.png", "out/p-jpg.png", "out/p-png.png", "out/q.png"]


def test_names_that_files_share() -> None:
    assert distinct_names(["a/x.png", "b/x.png", "a/y.png"]) == ["a-x", "b-x", "y"]
    assert distinct_names(["x.jpg", "x.png"]) == ["x-jpg", "x-png"]


def test_a_slash_and_a_dot(photos: Path) -> None:
    assert targets_of(["in/q.png"], "in/q.png", Outputs.of("new/"))[0] == [Path("new/q.png")]
    assert targets_of(["in/q.png"], "in/q.png", Outputs.of("one.png"))[0] == [Path("one.png")]
    assert not Outputs.of("results.v2").is_file() and Outputs.of("results.png").is_file() and not Outputs.of("a.png/").is_file()


def test_parts_are_numbered_from_one() -> None:
    with pytest.raises(StyleLoomError, match="shard 4 of 3"):
        Outputs(Path("o"), shard=(4, 3))


def test_outputs_take_text_too() -> None:
    made = Outputs("painted/")  # type: ignore[arg-type]
    assert made.path == Path("painted") and made.is_folder and not Outputs("a.png").is_folder  # type: ignore[arg-type]


def test_an_address_of_a_store_is_a_file_where_it_is_called_like_one(tmp_path: Path) -> None:
    for name in ("a.png", "walk.mp4", "walk.gif", "set.zip"):
        assert Outputs(f"file://{tmp_path}/{name}").path.name == name  # type: ignore[arg-type]
    with pytest.raises(StyleLoomError, match="is an address of a store"):
        check_folder(Path(f"file://{tmp_path}/run"))
    check_folder(tmp_path / "run")


def test_a_shard_of_a_single_output_may_have_nothing_to_do(tmp_path: Path) -> None:
    image = Outputs(tmp_path / "sheet.png", shard=(2, 2))
    *_, last = sl.jobs.generate("toonfaces-64", [1, 2], out=image)
    assert isinstance(last, Finished) and last.done == 0 and not (tmp_path / "sheet.png").exists()
