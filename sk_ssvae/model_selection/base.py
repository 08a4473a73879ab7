"""Base class of the splitters.

It splits the labelled (or the unlabelled) rows by a scikit-learn splitter, and adds all
other rows to every training set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.utils import indexable
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.missing import is_missing
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["BaseLabeledSplitter", "Indices", "Split", "check_class_counts"]

Indices: TypeAlias = npt.NDArray[np.intp]
"""Array of row indices."""

Split: TypeAlias = tuple[Indices, Indices]
"""Indices of the training and the test rows."""


class BaseLabeledSplitter:
    """Split the labelled rows; add the unlabelled rows to every training set.

    Subclasses also inherit from the scikit-learn splitter whose parameters they have.
    They implement `_iter_splits` and may override `_select_rows`, `_check_splits` and
    `_make_rng`.
    """

    # Request groups with metadata routing, as scikit-learn's group splitters do.
    __metadata_request__split: ClassVar = {"groups": True}

    _splits_labelled_rows: ClassVar[bool] = True

    n_splits: int
    unlabeled: Any

    def split(
        self, X: Any, y: Any = None, groups: npt.ArrayLike | None = None
    ) -> Iterator[Split]:
        """Generate indices to split data into training and test set.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data. Only the number of rows is used.

        y : array-like of shape (n_samples,)
            Labels, with `unlabeled` for unlabelled rows.

        groups : array-like of shape (n_samples,), default=None
            Group of each row, such as a patient. All rows of a group are either in the
            training set or in the test set. Unlabelled rows of a group in the test set
            are left out of the training set.

        Yields
        ------
        train : ndarray of int
            Indices of the training rows, labelled and unlabelled.
        test : ndarray of int
            Indices of the test rows.

        Raises
        ------
        ValueError
            If `y` is None or invalid, or if there are too few rows, labels or groups
            for such splits.
        """
        X, y, groups = indexable(X, y, groups)
        name = type(self).__name__
        if y is None:
            raise ValueError(
                f"The 'y' parameter should not be None: {name} splits rows according "
                "to their labels."
            )
        labels = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        labelled, known_labels = split_labels(labels, self.unlabeled)
        classes, codes = np.unique(known_labels, return_inverse=True)
        if len(classes) == 0:
            raise ValueError(
                f"{name} needs labelled rows, but y is {self.unlabeled!r} (unlabelled) "
                f"in all {len(labels)} rows."
            )
        if len(classes) == 1:
            raise ValueError(
                f"{name} needs labelled rows of at least 2 classes, but y has labels "
                f"of one class only: {classes.tolist()}."
            )
        rows = self._select_rows(labelled)
        groups = None if groups is None else _check_groups(groups)
        row_groups = None if groups is None else groups[rows]
        row_codes = codes if self._splits_labelled_rows else np.zeros(len(rows))
        self._check_splits(row_codes, classes, row_groups)
        rng = self._make_rng()
        # All splits are drawn first: shuffling the training rows advances `rng` too.
        for train, test in list(self._iter_splits(row_codes, row_groups, rng)):
            test_rows = rows[test]
            is_other = np.ones(len(labels), dtype=bool)
            is_other[rows] = False
            if groups is not None:
                is_other &= ~np.isin(groups, groups[test_rows])
            train_rows = np.concatenate([np.flatnonzero(is_other), rows[train]])
            train_rows.sort()
            yield train_rows if rng is None else rng.permutation(train_rows), test_rows

    def _make_rng(self) -> np.random.RandomState | None:
        """Return the generator that shuffles training rows; None keeps their order."""
        return None

    def _select_rows(self, labelled: Mask) -> Indices:
        """Return the indices of the rows that are split."""
        return np.flatnonzero(labelled)

    def _check_splits(self, codes: Array, classes: Array, groups: Array | None) -> None:
        """Raise ValueError if a test fold would be empty.

        Parameters
        ----------
        codes : ndarray of int of shape (n_rows,)
            Class of each of the rows that are split, as index into `classes`.
        classes : ndarray of shape (n_classes,)
            Classes.
        groups : ndarray of shape (n_rows,) or None
            Group of each of these rows.
        """
        kind = "labelled" if self._splits_labelled_rows else "unlabelled"
        if groups is None and self.n_splits > len(codes):
            raise ValueError(
                f"n_splits={self.n_splits} is greater than the number of {kind} rows, "
                f"{len(codes)}: a test fold would be empty. Use a smaller n_splits."
            )
        n_groups = self.n_splits if groups is None else len(np.unique(groups))
        if self.n_splits > n_groups:
            raise ValueError(
                f"n_splits={self.n_splits} is greater than the number of groups with "
                f"{kind} rows, {n_groups}: a test fold would be empty. Use a smaller "
                "n_splits."
            )

    def _iter_splits(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        """Yield splits of the selected rows, as indices into `codes`.

        Parameters
        ----------
        codes : ndarray of int of shape (n_rows,)
            Class of each of the rows that are split.
        groups : ndarray of shape (n_rows,) or None
            Group of each of these rows.
        rng : RandomState or None
            Result of `_make_rng`.

        Yields
        ------
        train, test : ndarray of int
        """
        raise NotImplementedError  # the splitters implement it


def _check_groups(groups: Any) -> Array:
    """Return groups as an array; raise ValueError if one is missing."""
    checked: Array = column_or_1d(groups)
    missing = is_missing(checked)
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"groups has a missing value in row {row}. Assign a group of its own to "
            "each row that belongs to no group."
        )
    return checked


def check_class_counts(
    splitter: BaseLabeledSplitter, codes: Array, classes: Array, minimum: int
) -> None:
    """Raise ValueError if a class has fewer than `minimum` labelled rows.

    Parameters
    ----------
    splitter : BaseLabeledSplitter
        Splitter, for its name in the message.
    codes : ndarray of int of shape (n_labelled,)
        Class of each labelled row, as index into `classes`.
    classes : ndarray of shape (n_classes,)
        Classes.
    minimum : int
        Number of labelled rows that each class must have.
    """
    counts = np.bincount(codes)
    rarest = int(counts.argmin())
    if counts[rarest] >= minimum:
        return
    remedy = f"Use n_splits={counts[rarest]} or less."
    if counts[rarest] == 1:
        remedy = "Label another row of this class, or mark its row as unlabelled."
    raise ValueError(
        f"{type(splitter).__name__} needs at least {minimum} labelled rows of each "
        f"class, but class {classes[rarest]!s} has {counts[rarest]}. {remedy}"
    )
