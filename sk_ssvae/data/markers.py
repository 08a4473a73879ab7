"""The marker of unlabelled rows among labels: -1, or a value that the user chooses."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.missing import is_missing
from sk_ssvae.utils.typing import Array, Mask

__all__ = [
    "UNLABELED",
    "as_label_array",
    "is_default_marker",
    "is_number",
    "mask_unlabeled",
]

UNLABELED = -1
"""The default marker, as in `sklearn.semi_supervised`."""

_USE_OBJECT_DTYPE = (
    "To mark unlabelled rows among strings, use an array of dtype object that "
    "holds strings and the integer -1, e.g. np.array(['a', 'b', -1], dtype=object)."
)


class _Hidden:
    """Replaces the marker in label arrays where the marker is not -1."""

    def __repr__(self) -> str:
        return "unlabelled"


_HIDDEN = _Hidden()


def is_default_marker(unlabeled: Any) -> bool:
    """Return whether the parameter `unlabeled` is -1."""
    return is_number(unlabeled) and unlabeled == UNLABELED


def is_number(value: object) -> bool:
    """Return whether a value is a real number other than a boolean."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def mask_unlabeled(
    y: Array, unlabeled: Any = UNLABELED, *, all_labelled: bool = False
) -> Mask:
    """Return a mask of the unlabelled rows.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Labels, as returned by `as_label_array`.
    unlabeled : int, str, None, NaN or pandas.NA
        The marker.
    all_labelled : bool, default=False
        Take an array of booleans as labels of all rows, for uses that need no marker.

    Returns
    -------
    mask : ndarray of bool of shape (n_rows,)

    Raises
    ------
    ValueError
        If y is an array of booleans, where a marker would have become a label, and not
        `all_labelled`; if the marker is -1 and y holds the string "-1"; or if y holds
        anything but numbers, booleans and strings.
    """
    if y.dtype.kind == "b":
        if all_labelled:
            return np.zeros(len(y), dtype=bool)
        raise ValueError(
            "y is an array of booleans, which has no room for a marker of unlabelled "
            "rows: -1 is stored in it as True, and None as False. Use "
            "y.astype(object), and assign the marker afterwards if any row is "
            "unlabelled, or integers."
        )
    if not is_default_marker(unlabeled):
        hidden = np.zeros(len(y), dtype=bool)
        if y.dtype.kind == "O":
            hidden = np.fromiter((v is _HIDDEN for v in y), bool, len(y))
            _check_label_types(y, hidden)
        return hidden
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
    _check_label_types(y, hidden)
    return hidden


def _check_label_types(y: Array, hidden: Mask) -> None:
    """Refuse labels that are neither numbers, booleans nor strings."""
    for row, value in enumerate(y):
        if not (hidden[row] or isinstance(value, str | bytes | np.bool_ | Real)):
            raise ValueError(_invalid_label(value, row))


def as_label_array(y: Any, unlabeled: Any = UNLABELED) -> Any:
    """Convert labels to a form in which numpy and scikit-learn preserve them.

    Parameters
    ----------
    y : array-like
        Labels as the user passed them.
    unlabeled : int, str, None, NaN or pandas.NA
        Marker of unlabelled rows. None, NaN and NA stand for every missing value.

    Returns
    -------
    y : array-like
        Lists of strings and numbers as an array of dtype object (numpy would convert
        the numbers to strings), and so are booleans in lists and in columns of pandas
        and polars, which have room for a marker; arrays of booleans, which have not,
        as such arrays; pandas' extension arrays as numpy arrays (scikit-learn would
        convert integers to floats), numpy's StringDType as dtype object; anything else
        unchanged. Where the marker is not -1, dtype object with a placeholder for the
        marker, which `mask_unlabeled` recognises.

    Raises
    ------
    ValueError
        If values are masked or missing without being the marker, or rows have different
        numbers of values.
    TypeError
        If the marker is a boolean.
    """
    if isinstance(unlabeled, bool | np.bool_):
        raise TypeError(
            f"unlabeled={unlabeled} is a boolean, which cannot be distinguished from "
            "the integers 0 and 1. Use a number, a string or None."
        )
    if _has_no_room(y):
        return np.asarray(y)
    if not is_default_marker(unlabeled):
        return _replace_marker(y, unlabeled)
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        objects = ".astype(object)" if y.dtype.kind == "b" else ""  # else -1 is True
        raise ValueError(
            "y is an array with masked values. Mark unlabelled rows by the integer -1: "
            f"y{objects}.filled(-1)."
        )
    if isinstance(y, list | tuple):
        _refuse_ragged(y)
        is_text = {isinstance(v, str | bytes) for v in y}
        if is_text == {True, False} or any(isinstance(v, bool | np.bool_) for v in y):
            array = np.empty(len(y), dtype=object)
            array[:] = y
            y = array
    elif (
        hasattr(y, "null_count")
        and hasattr(y, "to_list")
        and (y.null_count() or str(y.dtype) == "Boolean")
    ):
        y = np.array(y.to_list(), dtype=object)  # polars converts nulls to NaN
    elif hasattr(y, "dtype") and hasattr(y, "isna") and hasattr(y, "to_numpy"):
        if y.isna().any():
            row = int(np.argmax(np.asarray(y.isna())))
            raise ValueError(
                f"y has a missing value in row {row}. Mark unlabelled rows by the "
                "integer -1 (SSVAEClassifier also takes unlabeled=None)."
            )
        is_boolean = getattr(y.dtype, "kind", "O") == "b"
        y = y.to_numpy(dtype=object) if is_boolean else y.to_numpy()
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


def _has_no_room(y: Any) -> bool:
    """Return whether labels are booleans of a type that stores any marker as one.

    These are arrays of numpy and tensors. Lists and objects hold the marker itself,
    columns of pandas and polars refuse it or change their type.
    """
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        return False
    if isinstance(y, np.ndarray | torch.Tensor):
        return y.dtype in (np.dtype(bool), torch.bool)
    return isinstance(y, bool | np.bool_)


def _refuse_arrays(y: Array) -> None:
    """Refuse arrays as labels, because they cannot be compared."""
    for row, value in enumerate(y if y.dtype.kind == "O" else ()):
        if isinstance(value, np.ndarray):
            raise ValueError(_invalid_label(value, row))


def _invalid_label(value: Any, row: int) -> str:
    return (
        f"y contains {value!r} (row {row}), which is neither a number nor a string. "
        "Mark unlabelled rows by the integer -1."
    )


def _refuse_ragged(y: Sequence[Any]) -> None:
    """Refuse nested lists of different lengths, which numpy cannot convert."""
    lengths = [len(v) if isinstance(v, list | tuple | np.ndarray) else -1 for v in y]
    if len(set(lengths)) > 1:
        row = next(i for i, n in enumerate(lengths) if n != lengths[0])
        raise ValueError(
            f"y must hold one label per row, but has {y[0]!r} in row 0 and {y[row]!r} "
            f"in row {row}."
        )


def _replace_marker(y: Any, unlabeled: Any) -> Any:
    """Return labels of dtype object with `_HIDDEN` in the place of the marker."""
    if isinstance(y, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(y)
        y = y.data.astype(object)
        y[masked] = None
    labels = np.asarray(y.to_list() if hasattr(y, "to_list") else y, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = column_or_1d(labels, warn=True)
    if labels.ndim != 1 or len(labels) == 0:
        return np.asarray(y)  # scikit-learn's validation reports it
    labels = labels.copy()
    missing = is_missing(labels)
    if is_missing(np.array([unlabeled], dtype=object))[0]:
        labels[missing] = _HIDDEN
        return labels
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"y has a missing value in row {row}, but unlabelled rows are marked by "
            f"unlabeled={unlabeled!r}. Set unlabeled=None if missing means unlabelled."
        )
    marked = [not isinstance(v, bool | np.bool_) and v == unlabeled for v in labels]
    labels[np.array(marked, dtype=bool)] = _HIDDEN
    return labels
