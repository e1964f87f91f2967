"""Models on the Hugging Face hub: ``load("hf://owner/repo/file.safetensors")`` reads one, :func:`push` puts one there."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from styleloom import __version__
from styleloom.core import checkpoint
from styleloom.core.errors import StyleLoomError

REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
KNOWN_LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "openrail", "bsd-3-clause")
TASKS = {
    **dict.fromkeys(("stylegan2", "stylegan", "progan"), "unconditional-image-generation"),
    **dict.fromkeys(
        ("pix2pix", "pix2pixhd", "cyclegan", "johnson", "dumoulin", "ghiasi", "adain", "super-resolution"), "image-to-image"
    ),
}


def push(model: str | Path, repo: str, *, private: bool = False, token: str | None = None) -> str:
    """Upload a model file and its card to the Hugging Face hub; the repository is made where there is none.

    Args:
        model: a name of the zoo, or a model file. A card beside it (``NAME.md``) goes along, else one is written.
        repo: owner and name of the repository, such as "me/my-styles".
        private: make a new repository private.
        token: access token; by default the one of ``hf auth login``.

    Returns:
        The model's address, for :func:`styleloom.load`.

    Raises:
        StyleLoomError: no such model, no name of a repository, or the hub refused or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    if not REPO.fullmatch(repo):
        raise StyleLoomError(f"{repo!r} is no repository on the hub; write owner/name")
    path = checkpoint.model_path(model)
    card = card_of(path, f"hf://{repo}/{path.name}")
    api = HfApi(token=token, library_name="styleloom", library_version=__version__)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(path, Path(folder) / path.name)
        (Path(folder) / "README.md").write_text(card, encoding="utf-8")
        try:
            api.create_repo(repo, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Add {path.stem}")
        except LocalTokenNotFoundError as error:
            raise StyleLoomError("no access token for the hub; run: hf auth login") from error
        except (HfHubHTTPError, OSError) as error:
            raise StyleLoomError(f"cannot upload to {repo}: {str(error).splitlines()[0]}") from error
    return f"hf://{repo}/{path.name}"


def card_of(path: Path, address: str) -> str:
    """The model card of a file: what the hub wants to know of it, and its own card or a short one."""
    kind = checkpoint.read_config(path)[0]
    license = checkpoint.license_of(path)
    first = license.split(";")[0].strip().lower().replace(" ", "-")
    lines = ["---", "library_name: styleloom", "tags:", "- styleloom", f"- {kind}"]
    lines += [f"pipeline_tag: {TASKS[kind]}"] if kind in TASKS else []
    known = first in KNOWN_LICENSES
    lines += [f"license: {first}"] if known else ["license: other", f'license_name: "{license}"']
    beside = path.with_suffix(".md")
    count = sum(tensor.numel() for tensor in checkpoint.read_tensors(path)[0].values())
    short = f"# {path.stem}\n\nA model of kind {kind} with {count:,} parameters.\n"
    body = beside.read_text(encoding="utf-8") if beside.exists() else short
    use = f'\n## Use\n```python\nimport styleloom as sl\n\nmodel = sl.load("{address}")\n```\n'
    return "\n".join([*lines, "---", "", body.rstrip(), use])
