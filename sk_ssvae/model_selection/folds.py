"""K-fold cross-validation over the labelled or the unlabelled rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.model_selection.base import (
    BaseLabeledSplitter,
    Indices,
    Split,
    check_class_counts,
)
from sk_ssvae.utils.random import RandomState
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["LabeledKFold", "LabeledStratifiedKFold", "UnlabeledKFold"]


class _BaseLabeledKFold(BaseLabeledSplitter):
    """Base class of the k-fold splitters."""

    shuffle: bool
    random_state: RandomState

    def _fold_parameters(self) -> dict[str, Any]:
        return {
            "n_splits": self.n_splits,
            "shuffle": self.shuffle,
            "random_state": self.random_state,
        }


class LabeledKFold(_BaseLabeledKFold, KFold):
    """K-fold cross-validator for partially labelled data.

    Splits the labelled rows into k folds, each of which is the test set once.
    Unlabelled rows are in every training set, except, with `groups`, those of the
    groups in the test set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Must be at least 2 and at most the number of labelled rows,
        which gives leave-one-out cross-validation.

    shuffle : bool, default=False
        Whether to shuffle the labelled rows before splitting them. If the rows are
        sorted by class and not shuffled, a training set can lack the labels of a class:
        see `LabeledStratifiedKFold`.

    random_state : int, RandomState instance or None, default=None
        Controls the order of the labelled rows when `shuffle` is True. Pass an int for
        reproducible splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    See Also
    --------
    LabeledStratifiedKFold : Folds that preserve the proportions of the classes.
    UnlabeledKFold : Folds of the unlabelled rows.
    sklearn.model_selection.KFold : K-fold cross-validator for labelled data.

    Notes
    -----
    With `groups`, the labelled rows are split by
    :class:`~sklearn.model_selection.GroupKFold`. If all rows are labelled, the folds
    are those of the scikit-learn splitters.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import LabeledKFold
    >>> y = np.array([0, 1, -1, -1, 0, 1])
    >>> for train, test in LabeledKFold(n_splits=2).split(np.zeros((6, 1)), y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 3] [4 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: RandomState = None,
        unlabeled: Any = UNLABELED,
    ) -> None:
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.unlabeled = unlabeled

    def _iter_splits(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from KFold(**self._fold_parameters()).split(codes)
        else:
            yield from GroupKFold(**self._fold_parameters()).split(codes, groups=groups)


class UnlabeledKFold(LabeledKFold):
    """K-fold cross-validator over the unlabelled rows.

    Splits the unlabelled rows into k folds, each of which is the test set once.
    Labelled rows are in every training set, except, with `groups`, those of the groups
    in the test set. For scores that do not need labels, such as `bound_scorer`, when
    labels are too scarce to hold out.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Must be at least 2 and at most the number of unlabelled rows.

    shuffle : bool, default=False
        Whether to shuffle the unlabelled rows before splitting them.

    random_state : int, RandomState instance or None, default=None
        Controls the order of the unlabelled rows when `shuffle` is True. Pass an int
        for reproducible splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    See Also
    --------
    LabeledKFold : Folds of the labelled rows.
    bound_scorer : Mean lower bound of log p(x).

    Notes
    -----
    With `groups`, the unlabelled rows are split by
    :class:`~sklearn.model_selection.GroupKFold`.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import UnlabeledKFold
    >>> y = np.array([0, 1, -1, -1, -1, -1])
    >>> for train, test in UnlabeledKFold(n_splits=2).split(np.zeros((6, 1)), y):
    ...     print(train, test)
    [0 1 4 5] [2 3]
    [0 1 2 3] [4 5]
    """

    _splits_labelled_rows = False

    def _select_rows(self, labelled: Mask) -> Indices:
        return np.flatnonzero(~labelled)


class LabeledStratifiedKFold(_BaseLabeledKFold, StratifiedKFold):
    """Stratified k-fold cross-validator for partially labelled data.

    Splits the labelled rows into k folds, each of which is the test set once. The folds
    preserve the proportions of the classes among the labelled rows. Unlabelled rows are
    in every training set, except, with `groups`, those of the groups in the test set.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds. Must be at least 2 and at most the number of labelled rows of
        each class.

    shuffle : bool, default=False
        Whether to shuffle the labelled rows of each class before splitting them.

    random_state : int, RandomState instance or None, default=None
        Controls the order of the labelled rows when `shuffle` is True. Pass an int for
        reproducible splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    See Also
    --------
    LabeledKFold : Folds without stratification, and leave-one-out.
    sklearn.model_selection.StratifiedKFold : Stratified k-fold cross-validator for
        labelled data. It only warns if a class has fewer rows than there are folds.

    Notes
    -----
    With `groups`, the labelled rows are split by
    :class:`~sklearn.model_selection.StratifiedGroupKFold`. If all rows are labelled,
    the folds are those of the scikit-learn splitters.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import LabeledStratifiedKFold
    >>> y = np.array([0, 0, -1, -1, 1, 1])
    >>> for train, test in LabeledStratifiedKFold(n_splits=2).split(np.zeros(6), y):
    ...     print(train, test)
    [1 2 3 5] [0 4]
    [0 2 3 4] [1 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: RandomState = None,
        unlabeled: Any = UNLABELED,
    ) -> None:
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)
        self.unlabeled = unlabeled

    def _check_splits(self, codes: Array, classes: Array, groups: Array | None) -> None:
        check_class_counts(self, codes, classes, self.n_splits)
        super()._check_splits(codes, classes, groups)

    def _iter_splits(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from StratifiedKFold(**self._fold_parameters()).split(codes, codes)
            return
        folds = StratifiedGroupKFold(**self._fold_parameters())
        for train, test in folds.split(codes, codes, groups):
            if len(np.unique(codes[train])) < codes.max() + 1:
                raise ValueError(
                    "With these groups, a test fold contains all labelled rows of a "
                    "class. Use a smaller n_splits, or LabeledKFold."
                )
            yield train, test
