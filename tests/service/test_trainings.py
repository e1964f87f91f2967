"""Trainings that clients start: one at a time, stopped and gone on with, used by the verbs, and each client's own."""

import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import styleloom as sl
from styleloom.core.errors import StyleLoomError
from styleloom.data.images import encoded
from styleloom.drawn import toonfaces
from styleloom.service.request import Request, Runs
from styleloom.service.settings import ServiceSettings
from styleloom.service.trainings import GO, STOP, Progress, Trainings
from styleloom.service.verbs import VERBS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(8):
            archive.writestr(f"{number}.png", encoded(toonfaces.render(toonfaces.attributes(number), 16).view(3, 16, 16)))
    return path


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    made = Trainings(ServiceSettings(folder=tmp_path / "service", max_jobs=2))
    yield made
    made.close()


def until(trainings: Trainings, id: str, reached: Callable[[Progress], bool], seconds: float = 90) -> Progress:
    """Look until a training is so far."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        trainings.look()
        progress = trainings.progress("me", id)
        if reached(progress):
            return progress
        time.sleep(0.1)
    raise AssertionError(f"it is {progress.state}: {progress}")


def test_a_training_is_stopped_goes_on_and_is_used(trainings: Trainings, data: Path, tmp_path: Path) -> None:
    options = dict(resolution=16, kimg=0.5)
    training = trainings.start("me", "generator", dict(images=data), options)
    second = trainings.start("me", "generator", dict(images=data), options)
    with pytest.raises(StyleLoomError, match="as many as may"):
        trainings.start("me", "generator", dict(images=data), options)
    begun = until(trainings, training.id, lambda each: len(each.steps) > 1)
    assert begun.state == "running" and set(begun.curves) >= {"G", "D"} and begun.rate > 0
    assert trainings.progress("me", second.id).state == "waiting"  # one at a time
    trainings.wish("me", second.id, STOP)
    trainings.wish("me", training.id, STOP)
    stopped = until(trainings, training.id, lambda each: each.state == "stopped")
    assert stopped.has_model
    trainings.wish("me", training.id, GO)
    done = until(trainings, training.id, lambda each: each.state in ("done", "failed"))
    assert done.state == "done" and done.sheet is not None and done.steps[-1] > stopped.steps[-1]
    # The other verbs have it by its id.
    (tmp_path / "job" / "results").mkdir(parents=True)
    runs = Runs(trainings.folder, "me")
    request = Request(tmp_path / "job", {}, dict(model=f"run:{training.id}", seeds=[1]), sl.jobs.Limits(), 1, runs=runs)
    for _ in VERBS["generate"](request):
        pass
    assert sl.read(tmp_path / "job" / "results" / "result.png").shape == (1, 3, 16, 16)
    trainings.remove("me", training.id)
    assert [each.id for each in trainings.of("me")] == [second.id]


def test_a_training_wished_for_anew_while_it_saves_goes_on(
    trainings: Trainings, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    training = trainings.start("me", "generator", dict(images=data), dict(resolution=16, kimg=0.1))
    monkeypatch.setattr(trainings, "_spawn", lambda each: begun.append(each.id))
    trainings.process = SimpleNamespace(poll=lambda: 0)  # type: ignore[assignment]  # it has saved, and ended well
    trainings.running, trainings.stopping = training.id, time.monotonic()
    trainings.look()
    assert begun == [training.id] and trainings.progress("me", training.id).state == "waiting"


def test_a_translation_takes_the_epochs_that_are_asked_for(trainings: Trainings, data: Path) -> None:
    training = trainings.start("me", "pairs", dict(images=data), dict(epochs=2))
    given = dict(zip(training.arguments[2::2], training.arguments[3::2], strict=True))
    assert (given["--epochs"], given["--decay-epochs"]) == ("2", "0")


def test_what_cannot_be_trained_is_told_in_a_line(trainings: Trainings, data: Path, tmp_path: Path) -> None:
    empty, broken = tmp_path / "empty.zip", tmp_path / "broken.zip"
    for path, name in ((empty, "notes.txt"), (broken, "broken.png")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "nothing")
    training = trainings.start("me", "generator", dict(images=broken), dict(resolution=16, kimg=0.1))
    failed = until(trainings, training.id, lambda each: each.state == "failed")
    assert failed.training.error and "\n" not in failed.training.error and str(trainings.folder) not in failed.training.error
    for kind, files, options, told in (
        ("generator", {}, {}, "wants a file as 'images'"),
        ("generator", dict(images=empty), {}, "holds no image"),
        ("nonsense", dict(images=data), {}, "unknown kind"),
        ("generator", dict(images=data), dict(out=1), "unknown option"),
        ("generator", dict(images=data), dict(resolution=4096), "resolution"),
    ):
        with pytest.raises(StyleLoomError, match=told):
            trainings.start("me", kind, files, options)


def test_trainings_are_their_clients_alone(trainings: Trainings, data: Path) -> None:
    training = trainings.start("me", "generator", dict(images=data), dict(resolution=16, kimg=0.1))
    assert trainings.of("you") == []
    for act in (
        lambda: trainings.progress("you", training.id),
        lambda: trainings.wish("you", training.id, STOP),
        lambda: trainings.remove("you", training.id),
        lambda: trainings.progress("me", "../elsewhere"),
    ):
        with pytest.raises(StyleLoomError, match="no such training"):
            act()
