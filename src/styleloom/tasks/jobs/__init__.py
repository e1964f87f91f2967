"""Many files in, events out: ``for event in styleloom.jobs.stylize("photos/", style, out="painted/"): ...``."""

from .engine import Event, Finished, Item, ItemDone, ItemFailed, Job, Progressed, Started, run
from .generate import evaluate, generate
from .invert import invert
from .prepare import prepare
from .stylize import stylize, upscale
from .translate import translate

__all__ = [
    "Event", "Finished", "Item", "ItemDone", "ItemFailed", "Job", "Progressed", "Started", "evaluate", "generate", "invert",
    "prepare", "run", "stylize", "translate", "upscale",
]  # fmt: skip
