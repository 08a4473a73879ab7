"""Type aliases for arrays and parameters."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "EpochCount",
    "FloatArray",
    "IntArray",
    "LikelihoodName",
    "LikelihoodParameter",
    "Mask",
    "ModelName",
]

Array: TypeAlias = npt.NDArray[Any]
"""Array of any dtype."""

FloatArray: TypeAlias = npt.NDArray[np.float32]
"""Array of float32."""

IntArray: TypeAlias = npt.NDArray[np.int64]
"""Array of int64."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""Array of booleans."""

ModelName: TypeAlias = Literal["m2", "m1+m2", "sdgm", "adgm"]
"""Names for the parameter `model`."""

LikelihoodName: TypeAlias = Literal[
    "auto",
    "gaussian",
    "bernoulli",
    "censored_logistic",
    "categorical",
    "poisson",
    "negative_binomial",
]
"""Names for the parameter `likelihood`."""

EpochCount: TypeAlias = Literal["few", "auto", "many"] | int
"""Values of the parameter `max_epochs`."""

LikelihoodParameter: TypeAlias = LikelihoodName | Sequence[tuple[str, Any]]
"""Values of the parameter `likelihood`."""
