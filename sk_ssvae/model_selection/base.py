"""Some rows dealt to test folds by a splitter of scikit-learn; all others train."""

from collections.abc import Iterator
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.utils import indexable
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.missing import is_missing
from sk_ssvae.utils.typing import Array

__all__ = ["Array", "BaseLabeledSplitter", "Split", "check_counts"]

Indices: TypeAlias = npt.NDArray[np.intp]
Split: TypeAlias = tuple[Indices, Indices]


class BaseLabeledSplitter:
    """Deals some rows by a splitter of scikit-learn, and lets all others train."""

    # With metadata routing, splitters that take groups ask for them.
    __metadata_request__split: ClassVar = {"groups": True}

    n_splits: int
    unlabeled: Any

    def split(
        self, X: Any, y: Any = None, groups: npt.ArrayLike | None = None
    ) -> Iterator[Split]:
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows. Only their number counts.

        y : array-like of shape (n_samples,)
            Labels, with `unlabeled` for unlabelled rows.

        groups : array-like of shape (n_samples,), default=None
            Groups, such as patients, of which no row may be in training while another
            is under test. Unlabelled rows of a group under test do not train either.

        Yields
        ------
        train : ndarray of int
            Rows to train on, labelled or not.
        test : ndarray of int
            Rows to test on.

        Raises
        ------
        ValueError
            If no such split is possible.
        """
        X, y, groups = indexable(X, y, groups)
        if y is None:
            raise ValueError(
                f"The 'y' parameter should not be None: {type(self).__name__} deals "
                "rows according to their labels."
            )
        labels = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        labelled, known = split_labels(labels, self.unlabeled)
        classes, codes = np.unique(known, return_inverse=True)
        if len(classes) == 0:
            raise ValueError(
                f"{type(self).__name__} needs labelled rows, but y is "
                f"{self.unlabeled!r} (unlabelled) in all {len(labels)} rows."
            )
        if len(classes) == 1:
            raise ValueError(
                f"{type(self).__name__} needs labelled rows of at least 2 classes, but "
                f"the labelled rows of y hold one class only: {classes.tolist()}."
            )
        dealt = self._dealt(labelled)
        members = None if groups is None else _groups(groups)
        inside = None if members is None else members[dealt]
        y_dealt = codes if self._deals_labelled else np.zeros(len(dealt))
        self._check(y_dealt, classes, inside)
        rng = self._generator()
        # All are dealt before rows are put in order, which draws from `rng`, too.
        for train, test in list(self._deal(y_dealt, inside, rng)):
            tested = dealt[test]
            others = np.ones(len(labels), dtype=bool)
            others[dealt] = False
            if members is not None:
                others &= ~np.isin(members, members[tested])
            trained = np.sort(np.concatenate([np.flatnonzero(others), dealt[train]]))
            yield trained if rng is None else rng.permutation(trained), tested

    _deals_labelled = True

    def _generator(self) -> np.random.RandomState | None:
        """Return what rows are put in a random order by; None leaves them in order."""
        return None

    def _dealt(self, labelled: npt.NDArray[np.bool_]) -> Indices:
        """Rows that the test folds are made of."""
        return np.flatnonzero(labelled)

    def _check(self, codes: Array, classes: Array, groups: Array | None) -> None:
        """Refuse what would leave a fold empty."""
        kind = "labelled" if self._deals_labelled else "unlabelled"
        if groups is None and self.n_splits > len(codes):
            raise ValueError(
                f"n_splits={self.n_splits} is more than the number of {kind} rows, "
                f"{len(codes)}: a test fold would be empty. Use a smaller n_splits."
            )
        n_groups = self.n_splits if groups is None else len(np.unique(groups))
        if self.n_splits > n_groups:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the number of groups that hold "
                f"{kind} rows, {n_groups}: a test fold would be empty. Use a smaller "
                "n_splits."
            )

    def _deal(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        """Positions among the rows to deal, for training and for the test."""
        raise NotImplementedError


def _groups(groups: Any) -> Array:
    """Check that every row has a group."""
    members: Array = column_or_1d(groups)
    missing = is_missing(members)
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(
            f"groups has a missing value in row {row}. Give rows that belong to no "
            "group a group of their own."
        )
    return members


def check_counts(splitter: Any, codes: Array, classes: Array, needed: int) -> None:
    """Refuse classes with too few labelled rows to train and to test."""
    counts = np.bincount(codes)
    fewest = int(counts.argmin())
    if counts[fewest] >= needed:
        return
    remedy = f"Use n_splits={counts[fewest]} or fewer."
    if counts[fewest] == 1:
        remedy = "Label another row of it, or mark this one as unlabelled."
    raise ValueError(
        f"{type(splitter).__name__} needs at least {needed} labelled rows of each "
        f"class, but class {classes[fewest]!s} has {counts[fewest]}. {remedy}"
    )
