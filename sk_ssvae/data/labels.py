"""Labels with a marker for unlabelled rows, and their integer codes."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets

from sk_ssvae.data.markers import (
    UNLABELED,
    as_label_array,
    is_default_marker,
    is_number,
    mask_unlabeled,
)
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["encode_classes", "encode_labels", "split_labels"]


def split_labels(
    y: Array, unlabeled: Any = UNLABELED, *, all_labelled: bool = False
) -> tuple[Mask, Array]:
    """Separate the labelled rows from the unlabelled ones.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Integers, whole floats, strings, or dtype object; -1 marks an unlabelled row.
    unlabeled : int, str, None, NaN or pandas.NA
        The marker that was passed to `as_label_array`, which returned `y`.
    all_labelled : bool, default=False
        Take an array of booleans, which has no room for a marker, as labels of all
        rows.

    Returns
    -------
    labelled : ndarray of bool of shape (n_rows,)
        True where the row has a label.
    labels : ndarray of shape (n_labelled,)
        The labels of those rows; objects that are numbers or booleans as an array of
        these.

    Raises
    ------
    ValueError
        If `y` is an array of booleans and not `all_labelled`, holds the string "-1",
        has missing values, mixes types or is continuous.
    """
    labelled = ~mask_unlabeled(y, unlabeled, all_labelled=all_labelled)
    labels = _numbers_or_strings(y[labelled])
    if labels.dtype.kind == "f":
        # Only here: check_classification_targets would warn of integers and strings if
        # there are few labels, most of which differ.
        if not np.isfinite(labels).all():
            raise ValueError(
                f"y contains {labels[~np.isfinite(labels)][0]}. Mark unlabelled rows "
                "by the integer -1."
            )
        if (labels != np.floor(labels)).any():
            check_classification_targets(labels)
    return labelled, labels


def _numbers_or_strings(labels: Array) -> Array:
    """Return objects that are numbers or booleans as an array; refuse mixtures."""
    if labels.dtype.kind != "O" or len(labels) == 0:
        return labels
    types = {type(v).__name__ for v in labels}
    numbers = [is_number(v) for v in labels]
    booleans = [isinstance(v, bool | np.bool_) for v in labels]
    if all(numbers) or all(booleans):
        return np.array(labels.tolist())
    if any(numbers) or any(booleans) or {"str", "bytes"} <= types:
        raise ValueError(
            f"y mixes labels of the types {sorted(types)}. Use labels of one type, "
            "and the integer -1 for unlabelled rows."
        )
    return labels


def encode_classes(classes: npt.ArrayLike, unlabeled: Any = UNLABELED) -> Array:
    """Return the sorted, distinct classes that were passed to `partial_fit`.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        At least two labels, without the marker.
    unlabeled : int, str, None, NaN or pandas.NA
        Marker of unlabelled rows.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The sorted labels.

    Raises
    ------
    ValueError
        If the marker is among them, or there are fewer than two.
    """
    array = np.asarray(classes)
    if array.ndim != 1:
        raise ValueError(f"classes must be one-dimensional, got shape {array.shape}.")
    if is_default_marker(unlabeled):
        array = np.asarray(as_label_array(classes))
    else:
        array = as_label_array(array, unlabeled)
    labelled, labels = split_labels(array, unlabeled, all_labelled=True)
    if not labelled.all():
        raise ValueError(
            f"classes contains {unlabeled!r}, which marks unlabelled rows and is not "
            f"a class. Pass np.unique(y[y != {unlabeled!r}])."
        )
    distinct = np.unique(labels)
    if len(distinct) < 2:
        raise ValueError(
            f"classes must hold at least 2 classes, got {distinct.tolist()}."
        )
    return distinct


def encode_labels(
    y: Array,
    classes: Array | None = None,
    *,
    owner: str = "The estimator",
    unlabeled: Any = UNLABELED,
    all_labelled: bool = False,
    compact: bool = False,
) -> tuple[Array, IntArray]:
    """Map labels to codes 0 ... n_classes - 1, and the marker to -1.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Labels, as returned by `as_label_array`.
    classes : ndarray of shape (n_classes,), default=None
        Sorted classes. None uses those that occur in `y`.
    owner : str
        Name of the estimator, for error messages.
    unlabeled : int, str, None, NaN or pandas.NA
        The marker that was passed to `as_label_array`, which returned `y`.
    all_labelled : bool, default=False
        Take an array of booleans, which has no room for a marker, as labels of all
        rows.
    compact : bool, default=False
        Return codes of the smallest integer type: a byte for each row with up to 127
        classes.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted classes, without the marker.
    codes : ndarray of int64 of shape (n_rows,)
        Indices into `classes`, -1 for unlabelled rows.

    Raises
    ------
    ValueError
        If labels are of several types or continuous, or a label is not among
        `classes`. If `classes` is None, also if no row is labelled, or all labels are
        of the same class.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.data.labels import encode_labels
    >>> encode_labels(np.array(["cat", -1, "ant"], dtype=object))
    (array(['ant', 'cat'], dtype=object), array([ 1, -1,  0]))
    """
    labelled, labels = split_labels(y, unlabeled, all_labelled=all_labelled)
    if classes is None:
        if len(labels) == 0:
            raise ValueError(
                f"{owner} needs labelled rows, but y is {unlabeled!r} (unlabelled) in "
                f"all {len(y)} rows. Label at least one row of each class."
            )
        classes = np.unique(labels)
        if len(classes) < 2:
            raise ValueError(
                f"{owner} needs labelled rows of at least 2 classes, but the labelled "
                f"rows of y hold one class only: {classes.tolist()}."
            )
    else:
        unknown = sorted(set(labels.tolist()) - set(classes.tolist()), key=str)
        if unknown:
            raise ValueError(
                f"y contains labels that are not among the classes: {unknown}. "
                f"The classes are {classes.tolist()}."
            )
    dtype = np.min_scalar_type(-len(classes) - 1)  # int8 up to 127 classes
    codes = np.full(len(y), UNLABELED, dtype=dtype if compact else np.int64)
    if len(labels):
        codes[labelled] = np.searchsorted(classes, labels.astype(classes.dtype))
    return classes, codes
