"""``styleloom push``: a model and its card on the Hugging Face hub."""

from __future__ import annotations

from styleloom import hub

from .options import Common
from .report import Report


def push(model: str, repo: str, *, private: bool = False, common: Common) -> None:
    """Upload a model and its card to the Hugging Face hub, for others to load as hf://OWNER/NAME/FILE.

    Args:
        model: a name from "styleloom zoo", or a model file. A card beside it, NAME.md, goes along.
        repo: owner and name of the repository; it is made where there is none.
        private: make a new repository private.
    """
    report = Report(common)
    address = hub.push(model, repo, private=private)
    report.say(f"uploaded {address}")
    report.outcome(address=address)
