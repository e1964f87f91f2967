"""Uploads to the hub, with the hub's own client recorded: what is sent, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import styleloom as sl
from styleloom.core.checkpoint import read_tensors, resolve
from styleloom.hub import push


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Calls of the hub's client."""
    import huggingface_hub

    calls: dict[str, Any] = {}

    def create(self: object, repo: str, **options: Any) -> None:
        calls["created"] = (repo, options)

    def upload(self: object, *, repo_id: str, folder_path: str, **options: Any) -> None:
        calls["files"] = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}
        calls["repo"] = repo_id

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    return calls


def test_a_model_goes_up_with_its_card(sent: dict[str, Any]) -> None:
    assert push("toonfaces-64", "me/faces", private=True) == "hf://me/faces/toonfaces-64.safetensors"
    assert sent["created"] == ("me/faces", dict(private=True, exist_ok=True)) and sent["repo"] == "me/faces"
    assert sent["files"]["toonfaces-64.safetensors"] == resolve("toonfaces-64").read_bytes()
    _, head, body = sent["files"]["README.md"].decode().split("---\n", 2)
    told = yaml.safe_load(head)
    assert told["library_name"] == "styleloom" and told["pipeline_tag"] == "unconditional-image-generation"
    assert told["license"] in ("apache-2.0", "cc-by-4.0") and "stylegan2" in told["tags"]
    assert body.strip().startswith("# toonfaces-64") and 'sl.load("hf://me/faces/toonfaces-64.safetensors")' in body


def test_a_model_without_a_card_gets_one(sent: dict[str, Any], tmp_path: Path) -> None:
    sl.stylegan2.save(sl.load("toonfaces-64", sl.stylegan2.Generator), tmp_path / "mine.safetensors", license="all mine")
    push(tmp_path / "mine.safetensors", "me/mine")
    told = yaml.safe_load(sent["files"]["README.md"].decode().split("---\n")[1])
    assert told["license"] == "other" and told["license_name"] == "all mine"
    count = sum(each.numel() for each in read_tensors(tmp_path / "mine.safetensors")[0].values())
    assert f"kind stylegan2 with {count:,} parameters" in sent["files"]["README.md"].decode()


@pytest.mark.parametrize(
    ("model", "repo", "told"),
    [("toonfaces-64", "faces", "owner/name"), ("no-such", "me/faces", "no model"), ("toonfaces-64", "a/b/c", "owner/name")],
)
def test_what_cannot_be_uploaded_is_refused(sent: dict[str, Any], model: str, repo: str, told: str) -> None:
    with pytest.raises(sl.StyleLoomError, match=told):
        push(model, repo)
    assert not sent


def test_a_hub_that_cannot_be_reached_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def away(self: object, repo: str, **options: Any) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", away)
    with pytest.raises(sl.StyleLoomError, match=r"cannot upload to me/faces: no route$"):
        push("toonfaces-64", "me/faces")
