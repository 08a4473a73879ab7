"""What marks unlabelled rows among labels: -1, or what a user says."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.missing import is_missing

__all__ = [
    "UNLABELED",
    "as_label_array",
    "is_default_marker",
    "is_number",
    "mask_unlabeled",
]

UNLABELED = -1

_USE_OBJECT_DTYPE = (
    "To mark unlabelled rows among strings, use an array of dtype object that "
    "holds strings and the integer -1, e.g. np.array(['a', 'b', -1], dtype=object)."
)


class _Hidden:
    """Stands for a label that is not known where -1 is not what says so."""

    def __repr__(self) -> str:
        return "unlabelled"


_HIDDEN = _Hidden()


def _is_missing_marker(unlabeled: Any) -> bool:
    """Whether missing values mark unlabelled rows: None, NaN or pandas.NA."""
    return bool(is_missing(np.array([unlabeled], dtype=object))[0])


def is_default_marker(unlabeled: Any) -> bool:
    """Whether -1 is the marker."""
    return is_number(unlabeled) and unlabeled == UNLABELED


def is_number(value: object) -> bool:
    """Whether it is a real number, booleans apart."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def mask_unlabeled(
    y: npt.NDArray[Any], unlabeled: Any = UNLABELED
) -> npt.NDArray[np.bool_]:
    """Tell which labels are the marker, and refuse what could be mistaken for it."""
    if not is_default_marker(unlabeled):
        hidden = np.zeros(len(y), dtype=bool)
        if y.dtype.kind == "O":
            hidden = np.fromiter((v is _HIDDEN for v in y), bool, len(y))
            _refuse_strange(y, hidden)
        return hidden
    if y.dtype.kind == "b":
        raise ValueError(
            "y is boolean, which has no room for -1: assigning -1 to a boolean array "
            "stores True. Use integers: y.astype(int), with -1 for unlabelled rows."
        )
    if y.dtype.kind in "US":
        minus_one = "-1" if y.dtype.kind == "U" else b"-1"
        if bool((y == minus_one).any()):
            raise ValueError(
                f"y is an array of strings that contains {minus_one!r}. "
                + _USE_OBJECT_DTYPE
            )
        return np.zeros(len(y), dtype=bool)
    if y.dtype.kind in "mMV":
        raise ValueError(
            f"y is an array of {y.dtype}. Use integers or strings as labels."
        )
    if y.dtype.kind != "O":
        return np.asarray(y == UNLABELED)
    for row, value in enumerate(y):
        if isinstance(value, str | bytes) and value in ("-1", b"-1"):
            raise ValueError(
                f"y contains the string {value!r} (row {row}). " + _USE_OBJECT_DTYPE
            )
    hidden = np.fromiter((is_number(v) and v == UNLABELED for v in y), bool, len(y))
    _refuse_strange(y, hidden)
    return hidden


def _refuse_strange(y: npt.NDArray[Any], hidden: npt.NDArray[np.bool_]) -> None:
    """Refuse objects that are neither numbers nor strings."""
    for row, value in enumerate(y):
        if hidden[row] or isinstance(value, str | bytes):
            continue
        if isinstance(value, bool | np.bool_):
            raise ValueError(
                f"y contains the boolean {value} (row {row}), which cannot be told "
                "from the integers 0 and 1. Use integers or strings as labels."
            )
        if not is_number(value):
            raise ValueError(_neither(value, row))


def as_label_array(y: Any, unlabeled: Any = UNLABELED) -> Any:
    """Make an array of labels that keeps them apart, where numpy would not.

    Parameters
    ----------
    y : array-like
        Labels as a user gives them.
    unlabeled : int, str, None, NaN or pandas.NA
        What marks unlabelled rows. None, NaN and NA are every missing value.

    Returns
    -------
    y : array-like
        Lists of strings and numbers as an array of dtype object (numpy would turn the
        numbers into strings), pandas' own dtypes as numpy arrays (scikit-learn would
        turn integers into floats), numpy's StringDType as dtype object; anything else
        as it is. Where the marker is not -1, dtype object with a stand-in for it.

    Raises
    ------
    ValueError
        If values are masked or missing, or rows have different numbers of them.
    """
    if not is_default_marker(unlabeled):
        return _with_stand_in(y, unlabeled)
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError(
            "y is an array with masked values. Mark unlabelled rows by the integer -1: "
            "y.filled(-1)."
        )
    dtype = getattr(y, "dtype", None)
    if isinstance(y, list | tuple):
        _refuse_ragged(y)
        kinds = {isinstance(v, str | bytes) for v in y}
        if kinds == {True, False}:
            array = np.empty(len(y), dtype=object)
            array[:] = y
            y = array
    elif hasattr(y, "null_count") and hasattr(y, "to_list") and y.null_count():
        y = np.array(y.to_list(), dtype=object)  # polars' own has NaN for null
    elif dtype is not None and hasattr(y, "isna") and hasattr(y, "to_numpy"):
        if y.isna().any():
            row = int(np.argmax(np.asarray(y.isna())))
            raise ValueError(
                f"y has a missing value in row {row}. Mark unlabelled rows by the "
                "integer -1 (SSVAEClassifier also takes unlabeled=None)."
            )
        y = y.to_numpy()
    if isinstance(y, np.ndarray) and y.dtype.kind == "T":  # unknown to scikit-learn
        y = y.astype(object)
    if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "fO":
        _refuse_arrays(y)
        missing = is_missing(y)
        if missing.any():
            row = int(np.argmax(missing))
            raise ValueError(
                f"Input y contains NaN or None (row {row}: {y[row]!r}). Mark "
                "unlabelled rows by the integer -1 (SSVAEClassifier also takes "
                "unlabeled=None)."
            )
    return y


def _refuse_arrays(y: npt.NDArray[Any]) -> None:
    """Refuse arrays in an array, which cannot be compared."""
    for row, value in enumerate(y if y.dtype.kind == "O" else ()):
        if isinstance(value, np.ndarray):
            raise ValueError(_neither(value, row))


def _neither(value: Any, row: int) -> str:
    return (
        f"y contains {value!r} (row {row}), which is neither a number nor a string. "
        "Mark unlabelled rows by the integer -1."
    )


def _refuse_ragged(y: Sequence[Any]) -> None:
    """Refuse lists in a list that differ in length, of which numpy makes no array."""
    lengths = [len(v) if isinstance(v, list | tuple | np.ndarray) else -1 for v in y]
    if len(set(lengths)) > 1:
        row = next(i for i, n in enumerate(lengths) if n != lengths[0])
        raise ValueError(
            f"y must hold one label a row, but has {y[0]!r} in row 0 and {y[row]!r} in "
            f"row {row}."
        )


def _with_stand_in(y: Any, unlabeled: Any) -> Any:
    """Labels of dtype object, with `_HIDDEN` in the place of a marker."""
    if isinstance(unlabeled, bool | np.bool_):
        raise TypeError(
            f"unlabeled={unlabeled} is a boolean, which cannot be told from the "
            "integers 0 and 1. Use a number, a string or None."
        )
    if isinstance(y, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(y)
        y = y.data.astype(object)
        y[masked] = None
    given = y.to_list() if hasattr(y, "to_list") else y
    labels = np.asarray(given, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    if labels.ndim != 1 or len(labels) == 0:
        return np.asarray(y)  # which gets the usual message
    labels = labels.copy()
    missing = is_missing(labels)
    if _is_missing_marker(unlabeled):
        labels[missing] = _HIDDEN
        return labels
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"y has a missing value in row {row}, but unlabelled rows are marked by "
            f"unlabeled={unlabeled!r}. Set unlabeled=None if missing means unlabelled."
        )
    marked = [type(v) is not bool and v == unlabeled for v in labels]
    labels[np.array(marked, dtype=bool)] = _HIDDEN
    return labels
