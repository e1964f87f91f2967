"""``styleloom zoo``: the models that came with the package."""

from __future__ import annotations

import json

from styleloom.core.checkpoint import read_tensors, resolve, zoo_names

from .options import Common
from .report import Report


def zoo(*, common: Common) -> None:
    """List the models shipped in the package."""
    report = Report(common)
    models = []
    for name in zoo_names():
        path = resolve(name)
        tensors, metadata = read_tensors(path)
        count = sum(tensor.numel() for tensor in tensors.values())
        styles = json.loads(metadata["config"]).get("styles", [])
        entry = dict(
            kind=metadata["kind"], parameters=count, bytes=path.stat().st_size, license=metadata["license"], styles=styles
        )
        models.append(dict(name=name) | entry)
        report.say(f"{name}  {metadata['kind']}, {count:,} parameters, {path.stat().st_size / 1e6:.1f} MB, {metadata['license']}")
        if styles:
            report.say(f"    styles: {', '.join(styles)}")
    report.outcome(models=models)
