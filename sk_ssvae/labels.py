"""Labels as scikit-learn's semi-supervised estimators take them: -1 is unknown."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets

from sk_ssvae.markers import (
    UNLABELED,
    as_label_array,
    is_default_marker,
    is_number,
    mask_unlabeled,
)

__all__ = ["encode_classes", "encode_labels", "prior_of_classes", "split_labels"]

SMALLEST_SHARE = 1e-4


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
    >>> from sk_ssvae.labels import encode_labels
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


def prior_of_classes(
    class_prior: str | npt.ArrayLike,
    classes: npt.NDArray[Any],
    codes: npt.NDArray[np.int64],
    weight: npt.NDArray[Any] | None = None,
    guess: npt.NDArray[Any] | None = None,
) -> npt.NDArray[np.float64]:
    """Work out p(y).

    Parameters
    ----------
    class_prior : {"auto", "uniform", "empirical", "estimate"} or array-like
        The shares of the labels and guesses if there are guesses, else the same for all
        classes; the same for all classes; the shares of the labelled rows, which
        "estimate" is, too, where there is nothing to estimate by; or given, of shape
        (n_classes,).
    classes : ndarray of shape (n_classes,)
        The labels.
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows, for "empirical" and "auto".
    guess : ndarray of shape (n_rows, n_classes), default=None
        Probabilities of the classes of unlabelled rows, for "auto"; zeros where
        unknown.

    Returns
    -------
    prior : ndarray of float64 of shape (n_classes,)
        Positive, with sum 1.

    Raises
    ------
    ValueError
        If a class has no labelled row to count, or the array is not a distribution
        over the classes that is positive everywhere.
    """
    n_classes = len(classes)
    uniform = np.full(n_classes, 1 / n_classes)
    if isinstance(class_prior, str) and class_prior == "auto" and guess is not None:
        belief = np.eye(n_classes + 1)[codes][:, :n_classes]  # no class for -1
        belief += np.where((codes == UNLABELED)[:, None], guess, 0)
        mass = belief.sum(axis=0) if weight is None else weight @ belief
        # A class that nobody guesses is rare, not impossible.
        mass = np.maximum(mass / mass.sum(), SMALLEST_SHARE)
        return np.asarray(mass / mass.sum())
    if isinstance(class_prior, str) and class_prior in ("auto", "uniform"):
        return uniform
    if isinstance(class_prior, str):
        labelled = codes != UNLABELED
        counts = np.bincount(
            codes[labelled],
            weights=None if weight is None else weight[labelled],
            minlength=n_classes,
        )
        if not counts.all():
            raise ValueError(
                f"class_prior={class_prior!r} needs a labelled row of every class, but "
                f"there is none of {classes[counts == 0].tolist()}. Give the prior as "
                "an array."
            )
        shares: npt.NDArray[np.float64] = counts / counts.sum()
        return shares
    try:
        prior = np.asarray(class_prior, dtype=np.float64)
    except (TypeError, ValueError):
        prior = np.empty(0)
    if (
        prior.shape != (n_classes,)
        or not ((prior > 0) & (prior <= 1)).all()
        or not np.isclose(prior.sum(), 1)
    ):
        raise ValueError(
            f"class_prior must hold {n_classes} positive numbers with sum 1, one for "
            f"each of the classes {classes.tolist()}; got {class_prior!r}."
        )
    normalised: npt.NDArray[np.float64] = prior / prior.sum()
    return normalised
