"""Between what users have and cells: categories, and what is missing.

A cell is a number: a measurement, a count, the code of a category, or NaN where it is
missing.
"""

import math
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from sk_ssvae.data.dataframes import (
    as_rows,
    column_gaps,
    column_types,
    column_values,
    container_kind,
    fill_column,
    is_measured,
    is_missing,
    is_sparse_type,
    make_frame,
    masked_to_nan,
)
from sk_ssvae.utils.typing import Array

__all__ = ["Schema", "infer_schema", "resolve_categorical"]


_CATEGORY = (str, bytes, bool, np.bool_, Real)

EXACT = 2**53
"""Integers up to here are floats."""


@dataclass(frozen=True)
class Schema:
    """What rows looked like in `fit`.

    Attributes
    ----------
    kind : {"array", "sparse", "pandas", "polars"}
        What held them.
    names : list
        Of the columns, for messages and frames: positions where they have no names.
    dtypes : list
        Types of a frame's columns.
    categories : tuple of (list or None)
        The categories of each column, in the order of their codes; None for numbers.
    n_objects : int
        Columns that an array of floats cannot hold.
    """

    kind: str
    names: list[Any]
    dtypes: list[Any]
    categories: tuple[list[Any] | None, ...]
    n_objects: int = 0

    @property
    def sizes(self) -> Array:
        """Number of categories of each column, 0 for numbers."""
        return np.array([0 if c is None else len(c) for c in self.categories])

    @property
    def is_plain(self) -> bool:
        """Whether rows can be read as an array of floats."""
        return self.n_objects == 0 and not any(self.sizes)

    def reads_plainly(self, X: Any) -> bool:
        """Whether these rows can be read so, too: not if a column is of dates.

        Nor if one is sparse, of which scikit-learn would warn that it is no longer.
        """
        kind = container_kind(X)
        types = column_types(X, kind)
        return self.is_plain and all(
            is_measured(dtype, kind) and not is_sparse_type(dtype) for dtype in types
        )

    def cells(self, X: Any, *, warn: bool = True) -> npt.NDArray[np.float64]:
        """Read rows.

        Parameters
        ----------
        X : frame or array-like of shape (n_rows, n_features)
            With the columns of `fit`.
        warn : bool
            Whether to warn of unknown categories.

        Returns
        -------
        cells : ndarray of float64 of shape (n_rows, n_features)
            Unknown categories are missing.

        Raises
        ------
        TypeError
            If a value can be neither a number nor a category; names the column.
        """
        kind = container_kind(X)
        X = as_rows(X)
        if kind == "sparse":
            X, kind = X.toarray(), "array"
        cells = np.empty((X.shape[0], len(self.categories)))
        for j, categories in enumerate(self.categories):
            values = column_values(X, kind, j, exact=categories is not None)
            if categories is None:
                cells[:, j] = _numbers(values, self.names[j])
            else:
                cells[:, j] = self._codes(values, j, categories, warn)
        return cells

    def _codes(
        self, values: Array, j: int, categories: list[Any], warn: bool
    ) -> npt.NDArray[np.float64]:
        missing = is_missing(values)
        code_of = {category: float(i) for i, category in enumerate(categories)}
        codes = np.full(len(values), np.nan)
        if not all(isinstance(v, Hashable) for v in values):
            _categories(values, self.names[j])  # raises
        codes[~missing] = [code_of.get(_plain(v), np.nan) for v in values[~missing]]
        unknown = np.isnan(codes) & ~missing
        if warn and unknown.any():
            new = sorted({str(v) for v in values[unknown]})
            warnings.warn(
                f"Column {self.names[j]!r} has categories that fit has not seen, which "
                f"count as missing: {new[:5]}{' ...' if len(new) > 5 else ''}.",
                UserWarning,
                stacklevel=2,
            )
        return codes

    def restored(self, cells: npt.NDArray[Any], *, exact: bool = True) -> Any:
        """Put cells into what held the rows of `fit`.

        Parameters
        ----------
        cells : ndarray of shape (n_rows, n_features)
            Values in the user's units, and codes; NaN where missing.
        exact : bool
            Whether columns of integers and booleans are rounded to such; otherwise
            they stay floats, as means are.

        Returns
        -------
        X : array, sparse array or frame
        """
        if self.kind == "sparse":
            return sparse.csr_array(self._numbers(cells))
        if self.kind == "array":
            if not any(self.sizes):
                return cells
            columns = [self._values(cells, j) for j in range(cells.shape[1])]
            if any(c.dtype.kind not in "iuf" for c in columns):
                columns = [c.astype(object) for c in columns]
            return np.stack(columns, axis=1)
        parts = [
            (self._values(cells, j), dtype, self.categories[j] is not None)
            for j, dtype in enumerate(self.dtypes)
        ]
        return make_frame(self.kind, parts, self.names, exact=exact)

    def filled(self, X: Any, cells: npt.NDArray[Any]) -> Any:
        """Put cells where a user's rows have none; the others stay as they are.

        Parameters
        ----------
        X : frame, array-like or sparse array of shape (n_rows, n_features)
            Rows with gaps.
        cells : ndarray of shape (n_rows, n_features)
            Values in the user's units, and codes, where there are gaps.

        Returns
        -------
        X : of the same kind
        """
        X = masked_to_nan(X)
        kind = container_kind(X)
        if kind == "sparse":
            whole = X.tocsr(copy=True)
            rows = np.repeat(np.arange(whole.shape[0]), np.diff(whole.indptr))
            missing = np.isnan(whole.data)
            values = self._numbers(cells)
            whole.data[missing] = values[rows[missing], whole.indices[missing]]
            return whole
        if kind == "array":
            return self._filled_array(X, cells)
        frame = X.copy() if kind == "pandas" else X.clone()
        for j in range(len(self.categories)):
            missing = self._gaps(column_values(X, kind, j), j)
            if missing.any():
                values = self._values(cells, j)[missing]
                frame = fill_column(kind, frame, j, missing, values)
        return frame

    def _numbers(self, cells: Array) -> Array:
        """Return cells with categories, which are numbers, in the place of codes."""
        if not any(self.sizes):
            return cells
        columns = [self._values(cells, j) for j in range(cells.shape[1])]
        for name, categories in zip(self.names, self.categories, strict=True):
            texts = [c for c in categories or () if isinstance(c, str | bytes)]
            if texts:
                raise TypeError(
                    f"X is a sparse array, which holds numbers, but column {name!r} "
                    f"has categories such as {texts[0]!r}. Pass a frame, as fit was "
                    "given."
                )
        return np.stack(columns, axis=1).astype(np.float64)

    def _filled_array(self, X: Any, cells: Array) -> Array:
        given = np.asarray(X)
        if given.dtype.kind in "iub":
            return given.copy()
        if given.dtype.kind != "f":
            given = np.asarray(X, dtype=object)
        whole = given.copy()
        for j in range(whole.shape[1]):
            missing = self._gaps(whole[:, j], j)
            whole[missing, j] = self._values(cells, j)[missing]
        return whole

    def _gaps(self, values: Array, j: int) -> npt.NDArray[np.bool_]:
        """Tell which values of a column are missing, as `cells` reads them."""
        if values.dtype.kind == "O" and self.categories[j] is None:
            values = _numbers(values, self.names[j])  # "nan" is a number, too
        return column_gaps(values)

    def _values(self, cells: Array, j: int) -> Array:
        """Make a column of categories or numbers; None where a category is missing."""
        categories = self.categories[j]
        if categories is None:
            return cells[:, j]
        if all(_is_float(c) for c in categories):
            table = np.array([*categories, np.nan])
        else:
            table = np.empty(len(categories) + 1, dtype=object)
            table[:-1] = categories
        codes = np.where(np.isnan(cells[:, j]), len(categories), cells[:, j])
        values: Array = table[codes.astype(int)]
        return values


def _is_float(value: Any) -> bool:
    """Whether a float holds it as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return abs(float(value)) < EXACT


def _plain(value: Any) -> Any:
    """Python's own value, which compares as numpy's does."""
    return value.item() if isinstance(value, np.generic) else value


def _numbers(values: Array, name: Any) -> npt.NDArray[np.float64]:
    """Read a column as floats."""
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    missing = is_missing(values)
    numbers = np.full(len(values), np.nan)
    try:
        numbers[~missing] = [float(v) for v in values[~missing]]
    except (TypeError, ValueError):
        bad = next(v for v in values[~missing] if not _reads_as_number(v))
        raise TypeError(
            f"Column {name!r} has {bad!r} of type {type(bad).__name__}, where fit saw "
            "numbers (argument must be a string or a number). Name the column in "
            "categorical_features, or convert it."
        ) from None
    return numbers


def _reads_as_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _categories(values: Array, name: Any) -> list[Any]:
    """Sorted distinct values that are not missing."""
    found = {_plain(v) for v in values[~is_missing(values)] if _hashable(v, name)}
    endless = [v for v in found if isinstance(v, float) and math.isinf(v)]
    if endless:
        raise ValueError(
            f"Column {name!r} contains {endless[0]}, which is no category. Convert it, "
            "for instance to strings, or make it missing: NaN."
        )
    try:
        return sorted(found)
    except TypeError:  # of several types
        return sorted(found, key=lambda v: (type(v).__name__, str(v)))


def _refuse_mixture(values: Array, name: Any) -> None:
    """Refuse objects of which some are numbers and some are not: 1 is not "1"."""
    present = values[~is_missing(values)]
    kinds = {_kind(v) for v in present if isinstance(v, _CATEGORY)}
    if len(kinds) > 1:
        types = sorted({type(_plain(v)).__name__ for v in present})
        raise TypeError(
            f"Column {name!r} mixes values of the types {types}. Convert it to one "
            "type, for instance to strings, or to a categorical type."
        )


def _kind(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "boolean"
    return "number" if isinstance(value, Real) else type(value).__name__


def _hashable(value: Any, name: Any) -> bool:
    if not isinstance(value, _CATEGORY):
        raise TypeError(
            f"Column {name!r} has {value!r} of type {type(value).__name__}. A category "
            "must be a string, a number or a boolean (argument must be a string or a "
            "number). Convert the column, dates for instance to days since one of them."
        )
    return True


def _is_text(values: Array) -> bool:
    """Whether objects are to be taken for categories: not all of them are numbers."""
    return not all(
        isinstance(v, Real) and not isinstance(v, bool)
        for v in values[~is_missing(values)]
    )


def resolve_categorical(
    categorical_features: Any, n_features: int, names: Sequence[Any] | None
) -> npt.NDArray[np.bool_]:
    """Which columns a user names as categorical.

    Parameters
    ----------
    categorical_features : None, "from_dtype", or array-like
        A mask, positions, or names, as HistGradientBoostingClassifier takes them.
    n_features : int
        Number of columns.
    names : sequence of str or None
        Names of the columns, if they have any.

    Returns
    -------
    mask : ndarray of bool of shape (n_features,)
        Without those that "from_dtype" finds.

    Raises
    ------
    ValueError
        If it names no column of the rows.
    """
    mask = np.zeros(n_features, dtype=bool)
    if categorical_features is None or (
        isinstance(categorical_features, str) and categorical_features == "from_dtype"
    ):
        return mask
    given = np.asarray(categorical_features)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "biuUO"):
        raise ValueError(
            "categorical_features must be 'from_dtype', None, a mask, positions or "
            f"names of columns, got {categorical_features!r}."
        )
    if given.size == 0:
        return mask
    if given.dtype.kind == "b":
        if len(given) != n_features:
            raise ValueError(
                f"categorical_features is a mask of {len(given)} columns, but X has "
                f"{n_features}."
            )
        return given
    if given.dtype.kind in "iu":
        if given.min() < 0 or given.max() >= n_features:
            raise ValueError(
                "categorical_features has positions outside 0 ... "
                f"{n_features - 1}: {given.tolist()}."
            )
        mask[given] = True
        return mask
    known = [] if names is None else list(names)
    strange = [name for name in given.tolist() if name not in known]
    if strange:
        raise ValueError(
            f"categorical_features names columns that X has not: {strange}."
            + ("" if known else " Its columns have no names: give a data frame.")
        )
    mask[[known.index(name) for name in given.tolist()]] = True
    return mask


def infer_schema(
    X: Any, categorical: npt.NDArray[np.bool_], *, from_dtype: bool, used: Any = None
) -> Schema:
    """Note what rows look like, and their categories.

    Parameters
    ----------
    X : array-like, sparse array or frame of shape (n_rows, n_features)
        Rows.
    categorical : ndarray of bool of shape (n_features,)
        Columns that are categorical whatever they hold.
    from_dtype : bool
        Whether a frame's columns of categories, strings and such objects are, too.
    used : ndarray of bool of shape (n_rows,), default=None
        The rows whose categories count; all by default.

    Returns
    -------
    table : Table

    Raises
    ------
    ValueError
        If a category is infinite.
    TypeError
        If a category is neither string nor number nor boolean, or a column of objects
        has several of these kinds.
    """
    kind = container_kind(X)
    dtypes = column_types(X, kind)
    n_features = X.shape[1] if hasattr(X, "shape") else np.shape(X)[1]
    names = list(X.columns) if dtypes else list(range(n_features))
    if kind == "array" and categorical.any():
        X = np.asarray(X, dtype=object)
    categories: list[list[Any] | None] = [None] * n_features
    n_objects = 0
    # Weights of the wrong length are refused later.
    rows = slice(None) if used is None or len(used) != X.shape[0] else used
    for j in range(n_features):
        measured = not dtypes or is_measured(dtypes[j], kind)
        if measured and not categorical[j]:
            continue
        values = column_values(
            X.toarray() if kind == "sparse" else X, kind, j, exact=True
        )
        n_objects += not measured
        declared = bool(dtypes) and _is_declared(dtypes[j])
        if categorical[j] or (from_dtype and (declared or _is_text(values))):
            if not declared:
                _refuse_mixture(values, names[j])
            categories[j] = _categories(values[rows], names[j])
    return Schema(kind, names, dtypes, tuple(categories), n_objects)


def _is_declared(dtype: Any) -> bool:
    """Whether a column's type says that it holds categories."""
    return "category" in str(dtype) or str(dtype).startswith(("Categorical", "Enum"))
