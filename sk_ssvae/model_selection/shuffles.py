"""Random splits of the labelled rows into training and test rows."""

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
    BaseLabeledSplitter,
    Split,
    check_class_counts,
)
from sk_ssvae.utils.random import RandomState
from sk_ssvae.utils.typing import Array

__all__ = ["LabeledShuffleSplit", "LabeledStratifiedShuffleSplit"]


class _BaseLabeledShuffleSplit(BaseLabeledSplitter):
    """Base class of the random splitters.

    Training rows are in random order, as those of scikit-learn's random splitters.
    """

    test_size: float | int | None
    train_size: float | int | None
    random_state: RandomState

    def _make_rng(self) -> np.random.RandomState:
        rng: np.random.RandomState = check_random_state(self.random_state)
        return rng

    def _check_splits(self, codes: Array, classes: Array, groups: Array | None) -> None:
        """Do nothing: scikit-learn's splitters check `test_size` and `train_size`."""

    def _split_parameters(self, rng: np.random.RandomState | None) -> dict[str, Any]:
        return {
            "n_splits": self.n_splits,
            "test_size": self.test_size,
            "train_size": self.train_size,
            "random_state": rng,
        }


class LabeledShuffleSplit(_BaseLabeledShuffleSplit, ShuffleSplit):
    """Random permutation cross-validator for partially labelled data.

    Draws random test sets from the labelled rows. Unlabelled rows are in every training
    set, except, with `groups`, those of the groups in the test set.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.

    test_size : float or int, default=None
        If float, proportion of the labelled rows in the test set; if int, their number.
        With `groups`, proportion or number of the groups that contain labelled rows.
        None is the complement of `train_size`; if that is None too, 0.1, or 0.2 with
        `groups`.

    train_size : float or int, default=None
        If float, proportion of the labelled rows (or groups) in the training set; if
        int, their number. None is the complement of `test_size`. Labelled rows in
        neither set are not used.

    random_state : int, RandomState instance or None, default=None
        Controls the random splits. Pass an int for reproducible splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    See Also
    --------
    LabeledStratifiedShuffleSplit : Splits that preserve the proportions of the classes.
    sklearn.model_selection.ShuffleSplit : Random permutation cross-validator for
        labelled data.

    Notes
    -----
    With `groups`, the labelled rows are split by
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

    def _iter_splits(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        if groups is None:
            yield from ShuffleSplit(**self._split_parameters(rng)).split(codes)
        else:
            splits = GroupShuffleSplit(**self._split_parameters(rng))
            yield from splits.split(codes, groups=groups)


class LabeledStratifiedShuffleSplit(_BaseLabeledShuffleSplit, StratifiedShuffleSplit):
    """Stratified random permutation cross-validator for partially labelled data.

    Draws random test sets from the labelled rows that preserve the proportions of the
    classes. Unlabelled rows are in every training set.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.

    test_size : float or int, default=None
        If float, proportion of the labelled rows in the test set; if int, their number.
        Must give at least one row per class. None is the complement of `train_size`; if
        that is None too, 0.1.

    train_size : float or int, default=None
        If float, proportion of the labelled rows in the training set; if int, their
        number. Must give at least one row per class. None is the complement of
        `test_size`. Labelled rows in neither set are not used.

    random_state : int, RandomState instance or None, default=None
        Controls the random splits. Pass an int for reproducible splits.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    See Also
    --------
    LabeledShuffleSplit : Splits without stratification, and by groups.
    sklearn.model_selection.StratifiedShuffleSplit : Stratified random permutation
        cross-validator for labelled data.

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

    def _check_splits(self, codes: Array, classes: Array, groups: Array | None) -> None:
        if groups is not None:
            raise ValueError(
                "LabeledStratifiedShuffleSplit does not support groups. Use "
                "LabeledShuffleSplit, or LabeledStratifiedKFold with shuffle=True."
            )
        check_class_counts(self, codes, classes, 2)

    def _iter_splits(
        self, codes: Array, groups: Array | None, rng: np.random.RandomState | None
    ) -> Iterator[Split]:
        yield from StratifiedShuffleSplit(**self._split_parameters(rng)).split(
            codes, codes
        )
