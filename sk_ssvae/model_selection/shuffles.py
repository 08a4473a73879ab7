"""Random splits of the labelled rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedShuffleSplit,
)
from sklearn.utils import check_random_state

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.model_selection.base import (
    Array,
    BaseLabeledSplitter,
    Split,
    check_counts,
)
from sk_ssvae.utils.random import RandomState

__all__ = ["LabeledShuffleSplit", "LabeledStratifiedShuffleSplit"]


class _Shuffles(BaseLabeledSplitter):
    """Random splits, rows in random order as scikit-learn's."""

    test_size: float | int | None
    train_size: float | int | None
    random_state: RandomState

    def _generator(self) -> np.random.RandomState:
        generator: np.random.RandomState = check_random_state(self.random_state)
        return generator

    def _check(self, codes: Array, classes: Array, groups: Array | None) -> None:
        """Leave sizes to scikit-learn: `n_splits` is no number of folds here."""

    def _sizes(self, rng: np.random.RandomState | None) -> dict[str, Any]:
        return {
            "n_splits": self.n_splits,
            "test_size": self.test_size,
            "train_size": self.train_size,
            "random_state": rng,
        }


class LabeledShuffleSplit(_Shuffles, ShuffleSplit):
    """Random splits of the labelled rows; all others always train.

    Unlabelled rows are in every training set, except, with `groups`, those of a group
    under test.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.

    test_size : float or int, default=None
        Share, or number, of the labelled rows (with `groups`, of the groups that hold
        some) in the test set. None is what `train_size` leaves, or 0.1; with `groups`
        0.2.

    train_size : float or int, default=None
        Share, or number, of the labelled rows (or groups) that train. None is what
        `test_size` leaves. Labelled rows in neither set are left out.

    random_state : int, RandomState instance or None, default=None
        Fixes the splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`.

    See Also
    --------
    LabeledStratifiedShuffleSplit : Splits with the classes' shares.
    sklearn.model_selection.ShuffleSplit : The same where all rows are labelled.

    Notes
    -----
    With `groups`, labelled rows are dealt by
    :class:`~sklearn.model_selection.GroupShuffleSplit`.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import LabeledShuffleSplit
    >>> y = np.array([0, 1, -1, -1, 0, 1])
    >>> cv = LabeledShuffleSplit(n_splits=2, test_size=1, random_state=0)
    >>> for train, test in cv.split(np.zeros((6, 1)), y):
    ...     print(sorted(train.tolist()), test)
    [0, 1, 2, 3, 5] [4]
    [1, 2, 3, 4, 5] [0]
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        random_state: RandomState = None,
        unlabeled: Any = UNLABELED,
    ) -> None:
        super().__init__(
            n_splits,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )
        self.unlabeled = unlabeled

    def _deal(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from ShuffleSplit(**self._sizes(rng)).split(codes)
        else:
            splits = GroupShuffleSplit(**self._sizes(rng))
            yield from splits.split(codes, groups=groups)


class LabeledStratifiedShuffleSplit(_Shuffles, StratifiedShuffleSplit):
    """Random splits of the labelled rows with the classes' shares; all others train.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.

    test_size : float or int, default=None
        Share, or number, of the labelled rows in the test set; at least one of each
        class. None is what `train_size` leaves, or 0.1.

    train_size : float or int, default=None
        Share, or number, of the labelled rows that train; at least one of each class.
        None is what `test_size` leaves. Labelled rows in neither set are left out.

    random_state : int, RandomState instance or None, default=None
        Fixes the splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows in `y`.

    See Also
    --------
    LabeledShuffleSplit : Splits without regard to classes, and by groups.
    sklearn.model_selection.StratifiedShuffleSplit : The same where all rows are
        labelled.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.model_selection import LabeledStratifiedShuffleSplit
    >>> y = np.array([0, 1, -1, -1, 0, 1])
    >>> cv = LabeledStratifiedShuffleSplit(n_splits=1, test_size=0.5, random_state=0)
    >>> train, test = next(cv.split(np.zeros((6, 1)), y))
    >>> sorted(train.tolist()), sorted(y[test].tolist())
    ([1, 2, 3, 4], [0, 1])
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | int | None = None,
        train_size: float | int | None = None,
        random_state: RandomState = None,
        unlabeled: Any = UNLABELED,
    ) -> None:
        super().__init__(
            n_splits,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )
        self.unlabeled = unlabeled

    def _check(self, codes: Array, classes: Array, groups: Array | None) -> None:
        if groups is not None:
            raise ValueError(
                "LabeledStratifiedShuffleSplit takes no groups. Use "
                "LabeledShuffleSplit, or LabeledStratifiedKFold with shuffle=True."
            )
        check_counts(self, codes, classes, 2)

    def _deal(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        yield from StratifiedShuffleSplit(**self._sizes(rng)).split(codes, codes)
