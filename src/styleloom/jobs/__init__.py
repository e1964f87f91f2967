"""Many files in, events out: ``for event in styleloom.jobs.stylize("photos/", style, out="painted/"): ...``."""

from .align import align
from .edit import PasteOptions, cross, edit, express
from .engine import Job, run
from .events import Event, Finished, Item, ItemDone, ItemFailed, Noted, Progressed, Started
from .generate import evaluate, generate
from .inpaint import inpaint
from .invert import invert
from .morph import morph
from .outputs import Limits, Outputs
from .prepare import prepare
from .sources import LoadOptions
from .stylize import stylize, upscale
from .translate import translate

__all__ = [
    "Event",
    "Finished",
    "Item",
    "ItemDone",
    "ItemFailed",
    "Job",
    "Limits",
    "LoadOptions",
    "Noted",
    "Outputs",
    "PasteOptions",
    "Progressed",
    "Started",
    "align",
    "cross",
    "edit",
    "evaluate",
    "express",
    "generate",
    "inpaint",
    "invert",
    "morph",
    "prepare",
    "run",
    "stylize",
    "translate",
    "upscale",
]  # fmt: skip
