"""k-fold cross-validation over the labelled rows, or over the others."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
)

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.model_selection.base import (
    Array,
    BaseLabeledSplitter,
    Split,
    check_counts,
)
from sk_ssvae.utils.random import RandomState

__all__ = ["LabeledKFold", "LabeledStratifiedKFold", "UnlabeledKFold"]


class _KFolds(BaseLabeledSplitter):
    """k folds."""

    shuffle: bool
    random_state: RandomState

    def _folds(self) -> dict[str, Any]:
        return {
            "n_splits": self.n_splits,
            "shuffle": self.shuffle,
            "random_state": self.random_state,
        }


class LabeledKFold(_KFolds, KFold):
    """k-fold cross-validation over the labelled rows; all others always train.

    Each labelled row is in one test fold. Unlabelled rows are in every training set,
    except, with `groups`, those of a group under test.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2. As many as there are labelled rows leaves one out
        at a time.

    shuffle : bool, default=False
        Whether to shuffle the labelled rows first. Where they are sorted by class,
        folds that are not shuffled can leave a class without labels in training: see
        `LabeledStratifiedKFold`.

    random_state : int, RandomState instance or None, default=None
        Fixes the shuffling.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`.

    See Also
    --------
    LabeledStratifiedKFold : Folds with the classes' shares.
    sklearn.model_selection.KFold : The same where all rows are labelled.

    Notes
    -----
    With `groups`, labelled rows are dealt by
    :class:`~sklearn.model_selection.GroupKFold`.

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

    def _deal(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from KFold(**self._folds()).split(codes)
        else:
            yield from GroupKFold(**self._folds()).split(codes, groups=groups)


class UnlabeledKFold(LabeledKFold):
    """k-fold cross-validation over the unlabelled rows; labelled ones always train.

    For what needs no truth, such as `bound_scorer`: labels are too dear to be held out.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.

    shuffle : bool, default=False
        Whether to shuffle the unlabelled rows first.

    random_state : int, RandomState instance or None, default=None
        Fixes the shuffling.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`.

    See Also
    --------
    bound_scorer : Mean lower bound of log p(x).

    Notes
    -----
    With `groups`, labelled rows of a group under test do not train.

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

    _deals_labelled = False

    def _dealt(self, labelled: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
        return np.flatnonzero(~labelled)


class LabeledStratifiedKFold(_KFolds, StratifiedKFold):
    """Folds of the labelled rows with the classes' shares; all others always train.

    Each labelled row is in one test fold, and each test fold has about the shares of
    the classes among the labels. Unlabelled rows are in every training set, except,
    with `groups`, those of a group under test.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2, and not more than the labelled rows of any class.

    shuffle : bool, default=False
        Whether to shuffle the labelled rows of each class first.

    random_state : int, RandomState instance or None, default=None
        Fixes the shuffling.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`.

    See Also
    --------
    LabeledKFold : Folds without regard to classes, and leave-one-out.
    sklearn.model_selection.StratifiedKFold : The same where all rows are labelled; it
        only warns where a class has fewer rows than there are folds.

    Notes
    -----
    With `groups`, labelled rows are dealt by
    :class:`~sklearn.model_selection.StratifiedGroupKFold`.

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

    def _check(self, codes: Array, classes: Array, groups: Array | None) -> None:
        check_counts(self, codes, classes, self.n_splits)
        super()._check(codes, classes, groups)

    def _deal(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from StratifiedKFold(**self._folds()).split(codes, codes)
            return
        folds = StratifiedGroupKFold(**self._folds())
        for train, test in folds.split(codes, codes, groups):
            if len(np.unique(codes[train])) < codes.max() + 1:
                raise ValueError(
                    "With these groups there is a fold under test that holds all "
                    "labelled rows of a class. Use a smaller n_splits, or LabeledKFold."
                )
            yield train, test
