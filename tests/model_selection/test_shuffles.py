"""Random splits of the labelled rows."""

import numpy as np
import pytest
from partially_labelled import FEW_IRIS, IRIS_ROWS
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from sk_ssvae.model_selection import (
    LabeledShuffleSplit,
    LabeledStratifiedShuffleSplit,
)


@pytest.mark.parametrize(
    ("splitter", "reference"),
    [
        (LabeledShuffleSplit, ShuffleSplit),
        (LabeledStratifiedShuffleSplit, StratifiedShuffleSplit),
    ],
)
@pytest.mark.parametrize(
    "sizes", [{}, {"test_size": 0.4}, {"train_size": 9, "test_size": 6}]
)
def test_labelled_rows_are_split_as_by_scikit_learn(splitter, reference, sizes):
    labelled = np.flatnonzero(FEW_IRIS != -1)
    unlabelled = np.flatnonzero(FEW_IRIS == -1)
    if splitter is LabeledStratifiedShuffleSplit and not sizes:
        sizes = {"test_size": 0.2}
    cv = splitter(3, random_state=0, **sizes)
    splits = list(cv.split(IRIS_ROWS, FEW_IRIS))
    expected = reference(3, random_state=0, **sizes).split(labelled, FEW_IRIS[labelled])
    for (train, test), (expected_train, expected_test) in zip(
        splits, expected, strict=True
    ):
        assert np.array_equal(test, labelled[expected_test])
        assert set(train) == {*labelled[expected_train], *unlabelled}
    assert cv.get_n_splits() == 3
    again = [list(train) for train, _ in cv.split(IRIS_ROWS, FEW_IRIS)]
    assert again == [list(train) for train, _ in splits]
    assert again[1] != again[0]


def test_training_rows_are_in_random_order():
    """`learning_curve` trains on the first ones."""
    train, _ = next(LabeledShuffleSplit(1, random_state=0).split(IRIS_ROWS, FEW_IRIS))
    assert (np.diff(train) < 0).any()


def test_stratified_splits_do_not_support_groups():
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedShuffleSplit().split(IRIS_ROWS, FEW_IRIS, np.arange(150)))
    assert str(error.value) == (
        "LabeledStratifiedShuffleSplit does not support groups. Use "
        "LabeledShuffleSplit, or LabeledStratifiedKFold with shuffle=True."
    )


def test_stratified_splits_need_two_labels_of_each_class():
    one_of_class_2 = FEW_IRIS.copy()
    one_of_class_2[np.flatnonzero(FEW_IRIS == 2)[1:]] = -1
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedShuffleSplit().split(IRIS_ROWS, one_of_class_2))
    assert str(error.value) == (
        "LabeledStratifiedShuffleSplit needs at least 2 labelled rows of each class, "
        "but class 2 has 1. Label another row of this class, or mark its row as "
        "unlabelled."
    )
