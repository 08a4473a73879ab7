"""Columns between cells and the user's units: numbers, and decoded categories."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.data.categories import decode_categories
from sk_ssvae.data.missing import find_missing
from sk_ssvae.data.numeric_text import is_missing_number
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["DecodedColumns", "read_numbers"]


@dataclass(frozen=True, eq=False)
class DecodedColumns:
    """Cells in the user's units, decoded column by column.

    Attributes
    ----------
    cells : ndarray of shape (n_rows, n_features)
        Numbers in the user's units, and codes of categories; NaN where missing.
    names : list
        Names of the columns, or positions in an array.
    dtypes : list
        Types of the columns of a data frame in `fit`; empty for arrays.
    categories : tuple of (list or None)
        Categories of each column; None for numbers.
    """

    cells: Array
    names: list[Any]
    dtypes: list[Any]
    categories: tuple[list[Any] | None, ...]

    @property
    def any_categorical(self) -> bool:
        """Whether a column has categories."""
        return any(self.categories)

    def is_categorical(self, j: int) -> bool:
        """Return whether the values of a column are categories."""
        return self.categories[j] is not None

    def values(self, j: int) -> Array:
        """Return the values of a column: numbers or categories."""
        categories = self.categories[j]
        if categories is None:
            return self.cells[:, j]
        return decode_categories(self.cells[:, j], categories)

    def numbers(self) -> Array:
        """Return all columns as one array of numbers.

        Raises
        ------
        TypeError
            If a column has categories that are strings.
        """
        if not self.any_categorical:
            return self.cells
        for name, categories in zip(self.names, self.categories, strict=True):
            texts = [c for c in categories or () if isinstance(c, str | bytes)]
            if texts:
                raise TypeError(
                    f"X is a sparse array, which holds numbers, but column {name!r} "
                    f"has categories such as {texts[0]!r}. Pass a data frame, as in "
                    "fit."
                )
        columns = [self.values(j) for j in range(len(self.names))]
        return np.stack(columns, axis=1).astype(np.float64)

    def find_missing(self, j: int, values: Array) -> Mask:
        """Return which values of column `j` of new rows are missing.

        As in reading, words such as "?" are missing numbers.
        """
        if values.dtype.kind == "O" and not self.is_categorical(j):
            values = read_numbers(values, self.names[j])
        return find_missing(values)


def read_numbers(values: Array, name: Any) -> npt.NDArray[np.float64]:
    """Read a column as floats.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Numbers, booleans, or objects that `float` converts.
    name : object
        Name of the column, for error messages.

    Returns
    -------
    numbers : ndarray of float64 of shape (n_rows,)
        NaN where values are missing, or words that stand for a missing value.

    Raises
    ------
    TypeError
        If a value is not a number.
    """
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    missing = is_missing_number(values)
    numbers = np.full(len(values), np.nan)
    try:
        numbers[~missing] = [float(v) for v in values[~missing]]
    except (TypeError, ValueError):
        bad = next(v for v in values[~missing] if not _is_number(v))
        raise TypeError(
            f"Column {name!r} has {bad!r} of type {type(bad).__name__}, but held "
            "numbers in fit (argument must be a string or a number). Name the column "
            "in categorical_features, or convert it."
        ) from None
    return numbers


def _is_number(value: Any) -> bool:
    """Return whether `float` converts a value."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
