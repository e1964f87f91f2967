"""StyleLoom's nodes for ComfyUI: a link to this folder in ``custom_nodes/`` is all that it takes."""

from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
