"""Hide labels of a labelled data set, for experiments with few labels."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.utils.estimator import check_count
from sk_ssvae.utils.random import RandomState
from sk_ssvae.utils.typing import Array

__all__ = ["mask_labels"]


def mask_labels(
    y: npt.ArrayLike,
    *,
    n_per_class: int | None = None,
    fraction: float | None = None,
    random_state: RandomState = None,
) -> Any:
    """Keep a random subset of the labels of each class and hide all others.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: integers, strings or booleans. Rows with -1 stay unlabelled.

    n_per_class : int, default=None
        Number of labels to keep per class.

    fraction : float, default=None
        Fraction of the labels of each class to keep, in (0, 1]. The number is rounded,
        and is at least one. Exactly one of `n_per_class` and `fraction` must be given.

    random_state : int, RandomState instance or None, default=None
        Controls the choice of the labels. Pass an int for reproducible output.

    Returns
    -------
    y_masked : ndarray or Series of shape (n_samples,)
        Copy of `y` with -1 for hidden labels; a Series of pandas with the index and the
        name of `y` if that is one. The dtype is object if labels are strings or
        booleans, and a signed integer type if they are unsigned.

    Raises
    ------
    TypeError
        If `n_per_class` is not an integer or `fraction` is not a number.

    ValueError
        If not exactly one of `n_per_class` and `fraction` is given, if it is out of
        range, if a class has fewer than `n_per_class` labels, or if there are no
        labels.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import mask_labels
    >>> mask_labels(np.array([0, 0, 0, 1, 1, 1]), n_per_class=1, random_state=0)
    array([-1, -1,  0, -1, -1,  1])
    >>> mask_labels(["a", "a", "b", "b"], fraction=0.5, random_state=0)
    array([-1, 'a', 'b', -1], dtype=object)
    >>> mask_labels([True, False, True, False], n_per_class=1, random_state=0)
    array([True, -1, -1, False], dtype=object)
    """
    if (n_per_class is None) == (fraction is None):
        raise ValueError(
            "Exactly one of n_per_class and fraction must be given, got "
            f"n_per_class={n_per_class!r} and fraction={fraction!r}."
        )
    if n_per_class is not None:
        check_count("n_per_class", n_per_class)
    else:
        _check_fraction(fraction)
    all_labels: Array = column_or_1d(as_label_array(y), warn=True)
    labelled, labels = split_labels(all_labels, all_labelled=True)
    rng = check_random_state(random_state)
    labelled_rows = np.flatnonzero(labelled)
    kept = []
    for label in np.unique(labels):
        rows = labelled_rows[labels == label]
        if n_per_class is not None:
            n_kept = int(n_per_class)
        else:
            assert fraction is not None
            n_kept = max(1, round(float(fraction) * len(rows)))
        if n_kept > len(rows):
            raise ValueError(
                f"n_per_class={n_per_class} is greater than the number of labels of "
                f"class {label!s}, {len(rows)}."
            )
        kept.append(rng.permutation(rows)[:n_kept])
    if not kept:
        raise ValueError(
            f"mask_labels needs labels, but y is -1 (unlabelled) in all "
            f"{len(all_labels)} rows."
        )
    kept_rows = np.concatenate(kept)
    y_masked = np.full(
        len(all_labels), UNLABELED, dtype=_dtype_with_marker(all_labels.dtype)
    )
    y_masked[kept_rows] = all_labels[kept_rows]
    return _with_index_of(y, y_masked)


def _check_fraction(fraction: Any) -> None:
    """Raise an error if `fraction` is not a number in (0, 1]."""
    if not isinstance(fraction, Real) or isinstance(fraction, bool):
        raise TypeError(
            f"fraction must be a number, got {fraction!r} of type "
            f"{type(fraction).__name__}."
        )
    if not 0 < float(fraction) <= 1:
        raise ValueError(f"fraction must be in the range (0, 1], got {fraction!r}.")


def _dtype_with_marker(dtype: np.dtype[Any]) -> Any:
    """Return a dtype that can hold labels of this dtype and -1."""
    if dtype.kind in "USOb":
        return object
    return np.promote_types(dtype, np.int8) if dtype.kind == "u" else dtype


def _with_index_of(y: Any, y_masked: Array) -> Any:
    """Return labels as a Series of pandas, with the index of `y`, if `y` is one."""
    libraries = {c.__module__.partition(".")[0] for c in type(y).__mro__}
    if "pandas" not in libraries or not hasattr(y, "iloc") or np.ndim(y) != 1:
        return y_masked
    import pandas as pd

    return pd.Series(y_masked, index=y.index, name=y.name, dtype=y_masked.dtype)
