"""``styleloom zoo``: the models that came with the package."""

from __future__ import annotations

import json

from styleloom.core.checkpoint import read_tensors, resolve, zoo_names
from styleloom.core.errors import check_choice

from .options import Common
from .report import Report


def zoo(name: str | None = None, *, common: Common) -> None:
    """List the models shipped in the package, or print the card of one: its data, license, command and measured quality.

    Args:
        name: model whose card is printed.
    """
    report = Report(common)
    if name is not None:
        check_choice("model", name, zoo_names())
        card = resolve(name).with_suffix(".md").read_text(encoding="utf-8")
        report.say(card.rstrip())
        report.outcome(name=name, card=card)
        return
    models = []
    for model in zoo_names():
        path = resolve(model)
        tensors, metadata = read_tensors(path)
        count = sum(tensor.numel() for tensor in tensors.values())
        styles = json.loads(metadata["config"]).get("styles", [])
        entry = dict(
            kind=metadata["kind"], parameters=count, bytes=path.stat().st_size, license=metadata["license"], styles=styles
        )
        models.append(dict(name=model) | entry)
        report.say(
            f"{model}  {metadata['kind']}, {count:,} parameters, {path.stat().st_size / 1e6:.1f} MB, {metadata['license']}"
        )
        if styles:
            report.say(f"    styles: {', '.join(styles)}")
    report.outcome(models, models=models)
