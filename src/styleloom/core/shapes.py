"""Kinds and shapes of tensors in signatures: ``Float[Tensor, "n 3 h w"]``.

A name stands for the same number throughout a signature. The tests check shapes by jaxtyping and beartype. Where jaxtyping is not
installed, as for users, nothing is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Shaped
    from typing import Annotated as UInt8
else:
    try:
        from jaxtyping import Bool, Float, Shaped, UInt8
    except ImportError:

        class Shaped:
            """A tensor, whatever its kind and shape."""

            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Float = UInt8 = Shaped

__all__ = ["Bool", "Float", "Shaped", "UInt8"]
