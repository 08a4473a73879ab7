"""Numbers within the range of the column types of data frames."""

from numbers import Real
from typing import Any

import numpy as np

from sk_ssvae.utils.typing import Array

__all__ = ["are_numbers", "clip_to_dtype", "round_to_integers"]


def are_numbers(values: Array) -> bool:
    """Return whether all values are numbers."""
    return values.dtype.kind in "iufb" or all(isinstance(v, Real) for v in values)


def clip_to_dtype(values: Array, dtype: Any) -> Array:
    """Clip numbers to the range of a type of floats."""
    name = str(getattr(dtype, "subtype", dtype)).lower().partition("[")[0]
    arrow = {"halffloat": "float16", "float": "float32", "double": "float64"}
    largest = float(np.finfo(arrow.get(name, name)).max)
    return np.asarray(np.clip(values, -largest, largest))


def round_to_integers(values: Array, name: str) -> Array:
    """Round numbers to integers within the range of the type of that name."""
    # numpy has no integers of 128 bits.
    limits = np.iinfo(name.lower().replace("128", "64"))
    # The largest float that is no more than the limit.
    high = np.nextafter(float(limits.max), 0) if limits.bits == 64 else limits.max
    rounded = np.clip(np.round(values), limits.min, high)
    integers: Array = rounded.astype(limits.dtype)
    return integers
