"""Random choice of rows, where a view or a teacher cannot have all of them."""

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.utils.typing import IntArray

__all__ = ["choose_rows", "choose_sample"]


def choose_sample(codes: IntArray, max_rows: int, seed: int) -> IntArray | None:
    """Choose the rows that views are fitted to, if there are more than `max_rows`.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    max_rows : int
        Size of the sample, unless more than half of it would be labelled.
    seed : int
        Seed for the random choice.

    Returns
    -------
    sample : ndarray of int64 or None
        Sorted indices: all labelled rows, and a random choice of unlabelled rows, at
        least half of `max_rows` if there are as many. None stands for all rows.
    """
    labelled = np.flatnonzero(codes != UNLABELED)
    unlabelled = np.flatnonzero(codes == UNLABELED)
    n_unlabelled = max(max_rows - len(labelled), max_rows // 2)
    if len(unlabelled) <= n_unlabelled:
        return None
    drawn = np.random.RandomState(seed).permutation(unlabelled)[:n_unlabelled]
    return np.sort(np.concatenate([labelled, drawn]))


def choose_rows(
    codes: IntArray, max_rows: int, seed: int, *, balanced: bool
) -> IntArray | None:
    """Choose at most `max_rows` rows, if there are more.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    max_rows : int
        Maximum number of rows. It is exceeded only to keep two labels of each class.
    seed : int
        Seed for the random choice.
    balanced : bool
        Whether the labelled rows are balanced over classes if not all are chosen.
        Otherwise they are a random choice, which keeps the shares of the labels.

    Returns
    -------
    rows : ndarray of int64 or None
        Sorted indices: all labelled rows, or half of `max_rows` of them with at least
        two of each class, and a random choice of unlabelled rows. None stands for all
        rows.
    """
    if len(codes) <= max_rows:
        return None
    order = np.random.RandomState(seed).permutation(len(codes))
    labelled = order[codes[order] != UNLABELED]
    # Rank within the class: sorting by it takes one label of each class in turn.
    rank = np.empty(len(labelled), dtype=np.int64)
    for c in np.unique(codes[labelled]):
        in_class = codes[labelled] == c
        rank[in_class] = np.arange(in_class.sum())
    n_kept = max(max_rows // 2, int((rank < 2).sum()))
    priority = rank if balanced else np.minimum(rank, 2)
    kept = labelled[np.argsort(priority, kind="stable")][:n_kept]
    n_unlabelled = max(max_rows - len(kept), 0)
    unlabelled = order[codes[order] == UNLABELED][:n_unlabelled]
    return np.sort(np.concatenate([kept, unlabelled]))
