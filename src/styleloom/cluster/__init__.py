"""Jobs on several machines: ``--engine ray``, on Ray Data.

A job of ``jobs/`` is spread as it is: its work, with the networks that it holds, goes to each worker once; items go out in small
blocks, and events come back. Needs the extra ``scale``.
"""

from .ray_engine import RayEngine

__all__ = ["RayEngine"]
