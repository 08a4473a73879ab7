"""Labels as scikit-learn's semi-supervised estimators take them: -1 is unknown."""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets

__all__ = [
    "UNLABELED",
    "as_label_array",
    "encode_classes",
    "encode_labels",
    "prior_of_classes",
    "split_labels",
]

UNLABELED = -1
SMALLEST_SHARE = 1e-4

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
    return bool(_is_missing(np.array([unlabeled], dtype=object))[0])


def _is_missing(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell None, NaN, pandas.NA and NaT from labels."""

    def missing(value: Any) -> bool:
        try:
            return value is None or bool(value != value)
        except TypeError:  # pandas.NA
            return True

    return np.fromiter((missing(v) for v in values), bool, len(values))


def _is_default(unlabeled: Any) -> bool:
    return _is_number(unlabeled) and unlabeled == UNLABELED


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def _mask_unlabeled(
    y: npt.NDArray[Any], unlabeled: Any = UNLABELED
) -> npt.NDArray[np.bool_]:
    """Tell which labels are the marker, and refuse what could be mistaken for it."""
    if not _is_default(unlabeled):
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
    if y.dtype.kind != "O":
        return np.asarray(y == UNLABELED)
    for row, value in enumerate(y):
        if isinstance(value, str | bytes) and value in ("-1", b"-1"):
            raise ValueError(
                f"y contains the string {value!r} (row {row}). " + _USE_OBJECT_DTYPE
            )
    hidden = np.fromiter((_is_number(v) and v == UNLABELED for v in y), bool, len(y))
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
        if not _is_number(value):
            raise ValueError(
                f"y contains {value!r} (row {row}), which is neither a number nor a "
                "string. Mark unlabelled rows by the integer -1."
            )


def _plain(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Labels of dtype object as numbers if they are numbers; mixtures are refused."""
    if labels.dtype.kind != "O" or len(labels) == 0:
        return labels
    kinds = {type(v).__name__ for v in labels}
    numbers = [_is_number(v) for v in labels]
    if all(numbers):
        return np.array(labels.tolist())
    if any(numbers) or {"str", "bytes"} <= kinds:
        raise ValueError(
            f"y mixes labels of the types {sorted(kinds)}. Use labels of one type, "
            "and the integer -1 for unlabelled rows."
        )
    return labels


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
        turn integers into floats); anything else as it is. Where the marker is not -1,
        dtype object with a stand-in for it.

    Raises
    ------
    ValueError
        If values are masked or missing.
    """
    if not _is_default(unlabeled):
        return _with_stand_in(y, unlabeled)
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError(
            "y is an array with masked values. Mark unlabelled rows by the integer -1: "
            "y.filled(-1)."
        )
    dtype = getattr(y, "dtype", None)
    if isinstance(y, list | tuple):
        kinds = {isinstance(v, str | bytes) for v in y}
        if kinds == {True, False}:
            array = np.empty(len(y), dtype=object)
            array[:] = y
            y = array
    elif dtype is not None and hasattr(y, "isna") and hasattr(y, "to_numpy"):
        if y.isna().any():
            row = int(np.argmax(np.asarray(y.isna())))
            raise ValueError(
                f"y has a missing value in row {row}. Mark unlabelled rows by the "
                "integer -1 (SSVAEClassifier also takes unlabeled=None)."
            )
        y = y.to_numpy()
    if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "fO":
        missing = np.fromiter((v is None or v != v for v in y), bool, len(y))
        if missing.any():
            row = int(np.argmax(missing))
            raise ValueError(
                f"Input y contains NaN or None (row {row}: {y[row]!r}). Mark "
                "unlabelled rows by the integer -1 (SSVAEClassifier also takes "
                "unlabeled=None)."
            )
    return y


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
    if labels.ndim != 1 or len(labels) == 0:
        return np.asarray(y)  # which gets the usual message
    labels = labels.copy()
    missing = _is_missing(labels)
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
    labelled = ~_mask_unlabeled(y, unlabeled)
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
    if not _is_default(unlabeled):
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
    class_prior : {"auto", "uniform", "empirical"} or array-like (n_classes,)
        The shares of the labels and guesses if there are guesses, else the same for all
        classes; the same for all classes; the shares of the labelled rows; or given.
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
        If "empirical" finds no row of a class, or the array is not a distribution
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
                "class_prior='empirical' needs a labelled row of every class, but "
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
