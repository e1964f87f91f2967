"""Description of each verb in OpenAPI: files, options with their types, answers."""

from __future__ import annotations

import json
import types
from dataclasses import MISSING, fields
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from styleloom.jobs.edit import PASTES
from styleloom.tasks import alignment
from styleloom.tasks.translation import STATISTICS

from .problems import MEDIA_TYPE
from .request import models_of
from .verbs import CONFIGS, EXAMPLES, FILES, MANY, MOVING, OPTIONS

TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "the image itself, where it was ready in time", "content": {"image/png": {}}},
    202: {"description": "a job to follow", "content": {"application/json": {}}},
    **{code: {"description": text, "content": {MEDIA_TYPE: {}}} for code, text in (
        (400, "no such request"), (401, "no token"), (403, "from another site"), (409, "an Idempotency-Key of another job"),
        (413, "too large"), (415, "no form"), (422, "the input is refused"), (429, "too many jobs of this client"),
        (503, "the queue is full"),
    )},
}  # fmt: skip
_NUMBERS = {"type": "array", "items": {"type": "number"}}
KNOWN: dict[str, dict[str, Any]] = {
    "style_name": {"type": "array", "items": {"type": "string"}, "maxItems": 4},
    "weights": _NUMBERS,
    "seeds": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": 256},
    "changes": {"type": "object", "additionalProperties": {"type": "number"}, "description": "strengths by direction"},
    "box": _NUMBERS | {"minItems": 4, "maxItems": 4, "description": "left, top, right, bottom of the square, in pixels"},
    "landmarks": _NUMBERS | {"minItems": 10, "maxItems": 10, "description": "x, y of eyes, nose and corners of the mouth"},
    "truncation_psi": {"type": "number", "default": 0.7},
    "strength": {"type": "number", "default": 1.0},
    "smooth": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.7},
    "paste": {"type": "string", "enum": list(PASTES), "default": "difference"},
    "align": {"type": "string", "enum": list(alignment.MODES), "default": "auto"},
    "format": {"type": "string", "enum": list(MOVING), "default": "gif"},
    "layers": {"type": "string", "description": "coarse, middle, fine, all, or numbers as 0-3", "default": "coarse"},
    "to": {"type": "string", "enum": ["A", "B"], "default": "B"},
    "statistics": {"type": "string", "enum": list(STATISTICS), "default": "saved"},
    **{name: {"type": "boolean", "default": False} for name in ("drawing", "separate", "keep_faces")},
    **{name: {"type": "integer", "minimum": 0} for name in ("seed", "size", "tile", "frames", "num_steps", "content", "style")},
}
"""Options that are the same in each verb that has them."""


def body(verb: str) -> dict[str, Any]:
    """A verb's request body."""
    files = {
        name: {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "description": _kinds(verb, name),
        }
        for name in FILES[verb]
    }
    options = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"type": "object", "additionalProperties": False, "properties": options_of(verb)},
        "example": json.dumps(EXAMPLES[verb]),
    }
    needed = [name for name, is_needed in FILES[verb].items() if is_needed]
    schema = {"type": "object", "properties": files | {"options": options}, "required": needed}
    return {"requestBody": {"required": bool(needed), "content": {"multipart/form-data": {"schema": schema}}}}


def _kinds(verb: str, field: str) -> str:
    if MANY.get(verb) != field:
        return "an image"
    return "an image, a zip of images, or a video" if verb == "stylize" else "an image, or a zip of images"


def options_of(verb: str) -> dict[str, dict[str, Any]]:
    """Schemas of a verb's options by name."""
    settings = {name: schema for config in CONFIGS.get(verb, ()) for name, schema in _fields_of(config).items()}
    schemas = {name: KNOWN.get(name) or settings.get(name) or {"type": "string"} for name in OPTIONS[verb]}
    if "model" in schemas:
        schemas["model"] = {"type": "string", "description": f"{', '.join(models_of(verb))}, or run:ID of a training"}
    return schemas


def _fields_of(config: type) -> dict[str, dict[str, Any]]:
    """Schemas of a settings class, of the fields whose types JSON has."""
    schemas: dict[str, dict[str, Any]] = {}
    for name, hint in get_type_hints(config).items():
        kinds = [_schema(each) for each in _plain(hint)]
        if known := [kind for kind in kinds if kind]:
            schemas[name] = known[0]
    for field in fields(config):
        if field.name in schemas and field.default is not MISSING and isinstance(field.default, bool | int | float | str):
            schemas[field.name]["default"] = field.default
    return schemas


def _schema(kind: Any) -> dict[str, Any]:
    """Schema of a type; of a tuple an array. Empty where JSON has no such type."""
    if get_origin(kind) is tuple:
        (item,) = _plain(get_args(kind)[0])
        return {"type": "array", "items": _schema(item)}
    return {"type": TYPES[kind]} if kind in TYPES else {}


def _plain(hint: Any) -> list[Any]:
    """The types of an annotation, without what is said beside them."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        return [each for part in get_args(hint) for each in _plain(part)]
    return [hint]
