"""Type aliases."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "FloatArray", "IntArray", "Mask"]

Array: TypeAlias = npt.NDArray[Any]
"""An array of any dtype."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
"""An array of float32."""

IntArray: TypeAlias = npt.NDArray[np.int64]
"""An array of int64."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""An array of booleans."""
