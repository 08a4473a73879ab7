"""Type aliases for arrays."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Array", "FloatArray", "IntArray", "Mask"]

Array: TypeAlias = npt.NDArray[Any]
"""Array of any dtype."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
"""Array of float32."""

IntArray: TypeAlias = npt.NDArray[np.int64]
"""Array of int64."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""Array of booleans."""
