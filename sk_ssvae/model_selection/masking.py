"""Labels hidden on purpose, for experiments."""

from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.utils.random import RandomState

__all__ = ["mask_labels"]


def mask_labels(
    y: npt.ArrayLike,
    *,
    n_per_class: int | None = None,
    fraction: float | None = None,
    random_state: RandomState = None,
) -> npt.NDArray[Any]:
    """Hide all labels but a few, chosen at random within each class.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels: integers or strings. Rows with -1 stay unlabelled.

    n_per_class : int, default=None
        Labels to keep of each class.

    fraction : float, default=None
        Share of the labels to keep, in (0, 1]: of each class its share, rounded, but
        one at least. Give either this or `n_per_class`.

    random_state : int, RandomState instance or None, default=None
        Fixes the choice.

    Returns
    -------
    few : ndarray of shape (n_samples,)
        A copy of `y` with -1 for what is hidden; of dtype object where labels are
        strings, of a signed integer type where they are unsigned.

    Raises
    ------
    ValueError
        If not exactly one of `n_per_class` and `fraction` is given, if it is out of
        range, or if a class has fewer labels than are to be kept.

    TypeError
        If they are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import mask_labels
    >>> mask_labels(np.array([0, 0, 0, 1, 1, 1]), n_per_class=1, random_state=0)
    array([-1, -1,  0, -1, -1,  1])
    >>> mask_labels(["a", "a", "b", "b"], fraction=0.5, random_state=0)
    array([-1, 'a', 'b', -1], dtype=object)
    """
    if (n_per_class is None) == (fraction is None):
        raise ValueError(
            "mask_labels takes either n_per_class or fraction, got "
            f"n_per_class={n_per_class!r} and fraction={fraction!r}."
        )
    _check(n_per_class, fraction)
    given = column_or_1d(as_label_array(y), warn=True)
    labelled, labels = split_labels(given)
    rng = check_random_state(random_state)
    rows = np.flatnonzero(labelled)
    kept = []
    for label in np.unique(labels):
        own = rows[labels == label]
        if n_per_class is not None:
            n_kept = int(n_per_class)
        else:
            assert fraction is not None
            n_kept = max(1, round(float(fraction) * len(own)))
        if n_kept > len(own):
            raise ValueError(
                f"n_per_class={n_per_class} is more than the {len(own)} labels of "
                f"class {label!s}."
            )
        kept.append(rng.permutation(own)[:n_kept])
    if not kept:
        raise ValueError(f"y is -1 (unlabelled) in all {len(given)} rows.")
    chosen = np.concatenate(kept)
    few = np.full(len(given), UNLABELED, dtype=_with_room(given.dtype))
    few[chosen] = given[chosen]
    return few


def _check(n_per_class: Any, fraction: Any) -> None:
    """Refuse what is no number of labels or no share of them."""
    if n_per_class is not None:
        if not isinstance(n_per_class, Integral) or isinstance(n_per_class, bool):
            raise TypeError(
                f"n_per_class must be an integer, got {n_per_class!r} of type "
                f"{type(n_per_class).__name__}."
            )
        if n_per_class < 1:
            raise ValueError(f"n_per_class must be at least 1, got {n_per_class}.")
    if fraction is not None:
        if not isinstance(fraction, Real) or isinstance(fraction, bool):
            raise TypeError(
                f"fraction must be a number, got {fraction!r} of type "
                f"{type(fraction).__name__}."
            )
        if not 0 < float(fraction) <= 1:
            raise ValueError(
                f"fraction must be above 0 and at most 1, got {fraction!r}."
            )


def _with_room(dtype: np.dtype[Any]) -> Any:
    """Give a dtype that has room for -1 beside such labels."""
    if dtype.kind in "USO":
        return object
    return np.promote_types(dtype, np.int8) if dtype.kind == "u" else dtype
