"""Options from a file, standard input and output, tables and logs."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import styleloom
from styleloom.data import images

from .program import outcome, run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    images.write(torch.rand(1, 3, 40, 48), "a.png")
    images.write(torch.rand(1, 3, 40, 48), "b.png")
    return tmp_path


def test_options_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(
        "method: adain\nstyle: [b.png, a.png]\nweights: [0.25, 0.75]\nalpha: 0.5\njson: true\nquiet: false\n"
    )
    assert run("stylize", "a.png", "--config", "job.yaml", "-o", "x.png") == 0
    told = outcome(capsys)
    assert told["method"] == "adain" and told["versions"]["styleloom"] == styleloom.__version__
    assert told["command"][:2] == ["styleloom", "stylize"] and "--alpha=0.5" in told["command"]
    styles = ("--style", "b.png", "--style", "a.png", "--weights", "0.25,0.75")
    assert run("stylize", "a.png", *styles, "--method", "adain", "--alpha", "0.5", "-o", "y.png") == 0
    assert Path("x.png").read_bytes() == Path("y.png").read_bytes()
    # What the command line says wins; a file may be JSON.
    Path("job.json").write_text(json.dumps(dict(content=["a.png"], style="b.png", method="gatys", alpha=0.5)))
    assert run("stylize", "--config=job.json", "--method", "adain", "-o", "z.png") == 0
    assert run("stylize", "a.png", "b.png", "--method", "adain", "--alpha", "0.5", "-o", "w.png") == 0
    assert Path("z.png").read_bytes() == Path("w.png").read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methd: adain\n", "job.yaml: stylize has no option 'methd'; it has content, out, style"),
        ("- adain\n", "job.yaml holds no table of options"),
        ("a: [\n", "cannot read job.yaml: "),
        ("style: {a: 1}\n", "job.yaml: style is a table"),
    ],
)
def test_files_of_options_that_cannot_be(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("job.yaml").write_text(text)
    assert run("stylize", "a.png", "--config", "job.yaml", "-o", "x.png") == 2
    assert message in capsys.readouterr().err and not Path("x.png").exists()
    assert run("stylize", "a.png", "--config", "none.yaml", "-o", "x.png") == 2
    assert "cannot read none.yaml: No such file" in capsys.readouterr().err


def styleloom_run(*arguments: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-m", "styleloom", *arguments], input=data, capture_output=True)


def test_standard_input_and_output() -> None:
    options = ("b.png", "--method", "adain")
    done = styleloom_run("stylize", "-", *options, "-o", "-", data=Path("a.png").read_bytes())
    assert done.returncode == 0, done.stderr
    assert run("stylize", "a.png", *options, "-o", "x.png") == 0
    found, wanted = (np.asarray(Image.open(file)) for file in (io.BytesIO(done.stdout), "x.png"))
    assert np.array_equal(found, wanted)
    done = styleloom_run("stylize", "-", *options, "-o", "-")
    assert done.returncode == 2 and b"nothing came" in done.stderr and not done.stdout


def test_standard_output_takes_one_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stylize", "a.png", "b.png", "--method", "adain", "-o", "-", "--json") == 2
    assert "--json and -o - both write to standard output" in capsys.readouterr().err


def test_tables_and_logs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.png").write_bytes(b"none")
    command = ("stylize", "a.png", "b.png", "c.png", "--style", "b.png", "--method", "adain", "-o", "out/")
    assert run(*command, "--csv", "table.csv", "--log-file", "log.txt", "--quiet") == 3
    with Path("table.csv").open(newline="") as file:
        rows = {row["item"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"a.png", "b.png", "c.png"} and rows["a.png"]["size"] == "48 x 40"
    assert rows["a.png"]["out"] == "out/a.png" and rows["c.png"]["failed"].startswith("cannot read c.png")
    lines = Path("log.txt").read_text().splitlines()
    assert "styleloom stylize a.png" in lines[0] and any("wrote out/a.png" in line for line in lines)
    assert any("failed: c.png" in line for line in lines)
    assert run(*command, "--csv", "none/table.csv") == 2
    assert "there is no folder none" in capsys.readouterr().err


def test_two_folders_are_compared_as_sets(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.RandomState(0)
    for name, level in (("made", 0.3), ("real", 0.6)):
        Path(name).mkdir()
        for index in range(50):
            images.write(torch.from_numpy(rng.rand(1, 3, 24, 24) * level).float(), f"{name}/{index}.png")
    assert run("evaluate", "made", "real", "--json") == 0
    apart = outcome(capsys)
    assert set(apart["figures"]) == {"fd", "kid", "precision", "recall"} and apart["images"] == apart["made"] == 50
    assert run("evaluate", "made", "made", "--metrics", "fd", "--json") == 0
    assert outcome(capsys)["figures"]["fd"][0] < 1e-3 * apart["figures"]["fd"][0]
    assert run("evaluate", "made", "real", "--metrics", "ppl") == 2
    assert "ppl is measured in a generator's latent space" in capsys.readouterr().err
    assert run("evaluate", "toonfaces-64", "real", "--resolution", "32") == 2
    assert "--resolution is for folders of made images" in capsys.readouterr().err
