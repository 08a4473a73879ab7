"""Data sets of the accuracy panel in which half of the classes are rare.

The classes of a balanced set are divided into a first and a second half, in their
order. Rows of the second half are drawn at random, so many that the first half has the
desired share of all rows. In "optdigits_80_20" the ten classes are kept: each of the
first five has about 16 % of the rows, each of the others 4 %. In
"optdigits_halves_80_20" the two halves are the classes, which have 80 % and 20 %. These
two are exchanged in the splits with odd seeds: some methods assign rows that no label
reaches to the first class, which should be neither always the largest nor the smallest.
"""

from typing import NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

__all__ = ["IMBALANCED", "Imbalance", "exchange_classes", "without_most_of_half"]


class Imbalance(NamedTuple):
    """How an imbalanced set is made.

    Attributes
    ----------
    dataset : str
        The set that rows are drawn from.
    majority : int
        Share of the first half of the classes, in %.
    two_classes : bool
        Whether the halves are the classes.
    """

    dataset: str
    majority: int
    two_classes: bool


IMBALANCED = {
    f"{name}{'_halves' if two_classes else ''}_{share}_{100 - share}": Imbalance(
        name, share, two_classes
    )
    for name in ("optdigits", "pendigits", "satimage")
    for two_classes in (False, True)
    for share in (90, 80, 70)
}
"""Imbalanced sets by name."""


def without_most_of_half(X, y, kind):
    """Remove rows of the second half of the classes.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    y : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1.
    kind : Imbalance
        Share of the first half, and which classes to return.

    Returns
    -------
    X : ndarray of shape (n_kept, n_features)
    y : ndarray of int64 of shape (n_kept,)
        Classes, or 0 and 1 for the halves.
    """
    second = y >= (y.max() + 1) // 2
    first, others = np.flatnonzero(~second), np.flatnonzero(second)
    n_kept = round(len(first) * (100 - kind.majority) / kind.majority)
    if n_kept < len(others):
        others, _ = train_test_split(
            others, train_size=n_kept, stratify=y[others], random_state=0
        )
    rows = np.sort(np.concatenate([first, others]))
    return X[rows], (second if kind.two_classes else y)[rows].astype(np.int64)


def exchange_classes(y):
    """Exchange the classes 0 and 1.

    Parameters
    ----------
    y : ndarray of int64 of shape (n_rows,)
        Classes 0 and 1, or -1 for unlabelled rows.

    Returns
    -------
    y : ndarray of int64 of shape (n_rows,)
    """
    return np.where(y < 0, y, 1 - y)
