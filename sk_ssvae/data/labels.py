"""Labels as scikit-learn's semi-supervised estimators take them: -1 is unknown."""

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

__all__ = ["encode_classes", "encode_labels", "split_labels"]


def _plain(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels of dtype object as numbers if they are numbers; mixtures are refused."""
    if labels.dtype.kind != "O" or len(labels) == 0:
        return labels
    kinds = {type(v).__name__ for v in labels}
    numbers = [is_number(v) for v in labels]
    if all(numbers):
        return np.array(labels.tolist())
    if any(numbers) or {"str", "bytes"} <= kinds:
        raise ValueError(
            f"y mixes labels of the types {sorted(kinds)}. Use labels of one type, "
            "and the integer -1 for unlabelled rows."
        )
    return labels


def split_labels(
    y: npt.NDArray[Any], unlabeled: Any = UNLABELED
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """Tell labelled from unlabelled rows.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Integers, whole floats, strings, or dtype object; -1 marks an unlabelled row.
    unlabeled : int, str, None, NaN or pandas.NA
        As for `as_label_array`, which has made `y`.

    Returns
    -------
    labelled : ndarray of bool of shape (n_rows,)
        True where the row has a label.
    labels : ndarray of shape (n_labelled,)
        The labels of those rows, as numbers if they are numbers.

    Raises
    ------
    ValueError
        If `y` is boolean, holds the string "-1", has missing values, mixes types or
        is continuous.
    """
    labelled = ~mask_unlabeled(y, unlabeled)
    labels = _plain(y[labelled])
    if labels.dtype.kind == "f":
        # check_classification_targets would also count integers and strings, and warn
        # where few rows have labels and most of them differ.
        if not np.isfinite(labels).all():
            raise ValueError(
                f"y contains {labels[~np.isfinite(labels)][0]}. Mark unlabelled rows "
                "by the integer -1."
            )
        if (labels != np.floor(labels)).any():
            check_classification_targets(labels)
    return labelled, labels


def encode_classes(
    classes: npt.ArrayLike, unlabeled: Any = UNLABELED
) -> npt.NDArray[Any]:
    """Sorted, distinct classes, as given to `partial_fit`.

    Parameters
    ----------
    classes : array-like of shape (n_classes,)
        At least two labels; never the marker.
    unlabeled : int, str, None, NaN or pandas.NA
        What marks unlabelled rows.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The sorted labels.

    Raises
    ------
    ValueError
        If the marker is among them, or fewer than two are left.
    """
    given = np.asarray(classes)
    if given.ndim != 1:
        raise ValueError(f"classes must be one-dimensional, got shape {given.shape}.")
    if is_default_marker(unlabeled):
        given = np.asarray(as_label_array(classes))
    else:
        given = as_label_array(given, unlabeled)
    labelled, labels = split_labels(given, unlabeled)
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
    y: npt.NDArray[Any],
    classes: npt.NDArray[Any] | None = None,
    *,
    owner: str = "The estimator",
    unlabeled: Any = UNLABELED,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Map labels to codes 0 ... n_classes - 1, and -1 to itself.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Labels; -1 marks an unlabelled row.
    classes : ndarray of shape (n_classes,), default=None
        Sorted classes. None takes those that occur in `y`.
    owner : str
        Who asks, for error messages.
    unlabeled : int, str, None, NaN or pandas.NA
        As for `as_label_array`, which has made `y`.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted classes, without -1.
    codes : ndarray of int64 of shape (n_rows,)
        Index into `classes`, or -1.

    Raises
    ------
    ValueError
        If `y` cannot be read as classes, no row is labelled, only one class is
        (both only when `classes` is None), or a label is not among `classes`.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.data.labels import encode_labels
    >>> encode_labels(np.array(["cat", -1, "ant"], dtype=object))
    (array(['ant', 'cat'], dtype=object), array([ 1, -1,  0]))
    """
    labelled, labels = split_labels(y, unlabeled)
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
    codes = np.full(len(y), UNLABELED, dtype=np.int64)
    if len(labels):
        codes[labelled] = np.searchsorted(classes, labels.astype(classes.dtype))
    return classes, codes
