"""K-fold splitters of the labelled rows, and of the unlabelled rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from partially_labelled import FEW_IRIS, IRIS_LABELS, IRIS_ROWS, labels_and_n_splits
from sklearn import config_context
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae.model_selection import (
    LabeledKFold,
    LabeledStratifiedKFold,
    UnlabeledKFold,
)


@given(labels_and_n_splits(), st.booleans())
@settings(max_examples=40)
def test_each_labelled_row_is_tested_once_and_unlabelled_rows_always_train(
    case, shuffle
):
    y, n_splits = case
    all_rows = np.arange(len(y))
    for splitter in (LabeledKFold, LabeledStratifiedKFold):
        cv = splitter(n_splits, shuffle=shuffle, random_state=3 if shuffle else None)
        splits = list(cv.split(np.zeros((len(y), 1)), y))
        assert len(splits) == n_splits == cv.get_n_splits()
        tested = np.concatenate([test for _, test in splits])
        assert sorted(tested) == np.flatnonzero(y != -1).tolist()
        for train, test in splits:
            assert len(test) > 0
            assert np.array_equal(np.union1d(train, test), all_rows)
            assert len(train) + len(test) == len(y)
            if splitter is LabeledStratifiedKFold:
                assert set(y[train]) - {-1} == set(y[test]) == set(y) - {-1}
        if splitter is LabeledStratifiedKFold:
            counts = [np.bincount(y[test]) for _, test in splits]
            assert np.ptp(counts, axis=0).max() <= 1


@pytest.mark.parametrize(
    ("splitter", "reference"),
    [
        (LabeledKFold(4), KFold(4)),
        (
            LabeledKFold(4, shuffle=True, random_state=5),
            KFold(4, shuffle=True, random_state=5),
        ),
        (LabeledStratifiedKFold(4), StratifiedKFold(4)),
        (
            LabeledStratifiedKFold(4, shuffle=True, random_state=5),
            StratifiedKFold(4, shuffle=True, random_state=5),
        ),
    ],
    ids=repr,
)
def test_folds_equal_those_of_scikit_learn_if_all_rows_are_labelled(
    splitter, reference
):
    for (train, test), (expected_train, expected_test) in zip(
        splitter.split(IRIS_ROWS, IRIS_LABELS),
        reference.split(IRIS_ROWS, IRIS_LABELS),
        strict=True,
    ):
        assert np.array_equal(train, expected_train)
        assert np.array_equal(test, expected_test)


def test_folds_of_unlabelled_rows_keep_all_labels_in_the_training_set():
    labelled = np.flatnonzero(FEW_IRIS != -1)
    cv = UnlabeledKFold(4, shuffle=True, random_state=0)
    tested = []
    for train, test in cv.split(IRIS_ROWS, FEW_IRIS):
        assert set(labelled) <= set(train)
        assert not set(train) & set(test)
        assert len(train) + len(test) == len(IRIS_ROWS)
        tested += list(test)
    assert sorted(tested) == np.flatnonzero(FEW_IRIS == -1).tolist()


def test_leave_one_out():
    splits = LabeledKFold(18).split(IRIS_ROWS, FEW_IRIS)
    assert [len(test) for _, test in splits] == [1] * 18


def test_more_folds_than_rows_are_refused():
    with pytest.raises(ValueError) as error:
        next(LabeledKFold(19).split(IRIS_ROWS, FEW_IRIS))
    assert str(error.value) == (
        "n_splits=19 is greater than the number of labelled rows, 18: a test fold "
        "would be empty. Use a smaller n_splits."
    )
    with pytest.raises(ValueError) as error:
        next(UnlabeledKFold(5).split(IRIS_ROWS[:20], np.repeat([0, 1], [12, 8])))
    assert str(error.value) == (
        "n_splits=5 is greater than the number of unlabelled rows, 0: a test fold "
        "would be empty. Use a smaller n_splits."
    )


def test_more_stratified_folds_than_labels_of_a_class_are_refused():
    two_of_class_2 = FEW_IRIS.copy()
    two_of_class_2[np.flatnonzero(FEW_IRIS == 2)[2:]] = -1
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedKFold(3).split(IRIS_ROWS, two_of_class_2))
    assert str(error.value) == (
        "LabeledStratifiedKFold needs at least 3 labelled rows of each class, but "
        "class 2 has 2. Use n_splits=2 or less."
    )
    one_of_class_2 = FEW_IRIS.copy()
    one_of_class_2[np.flatnonzero(FEW_IRIS == 2)[1:]] = -1
    with pytest.raises(ValueError) as error:
        next(LabeledStratifiedKFold(3).split(IRIS_ROWS, one_of_class_2))
    assert str(error.value) == (
        "LabeledStratifiedKFold needs at least 3 labelled rows of each class, but "
        "class 2 has 1. Label another row of this class, or mark its row as unlabelled."
    )


def test_groups_that_leave_a_fold_empty_are_refused():
    groups = np.where(FEW_IRIS == -1, np.arange(150), IRIS_LABELS % 2)
    for cv in (LabeledKFold(3), LabeledStratifiedKFold(3)):
        with pytest.raises(ValueError) as error:
            next(cv.split(IRIS_ROWS, FEW_IRIS, groups))
        assert str(error.value) == (
            "n_splits=3 is greater than the number of groups with labelled rows, 2: a "
            "test fold would be empty. Use a smaller n_splits."
        )


def test_groups_that_leave_a_class_without_training_labels_are_refused():
    with pytest.raises(ValueError) as error:
        list(LabeledStratifiedKFold(3).split(IRIS_ROWS, FEW_IRIS, IRIS_LABELS))
    assert str(error.value) == (
        "With these groups, a test fold contains all labelled rows of a class. Use a "
        "smaller n_splits, or LabeledKFold."
    )


def test_groups_are_routed():
    groups = np.arange(150) % 6
    splits = LabeledKFold(3).split(IRIS_ROWS, FEW_IRIS, groups)
    expected = [list(test) for _, test in splits]
    labelled = np.flatnonzero(FEW_IRIS != -1)
    reference = GroupKFold(3).split(labelled, groups=groups[labelled])
    assert expected == [list(labelled[test]) for _, test in reference]
    data = (LabelSpreading(), IRIS_ROWS, FEW_IRIS)
    scores = cross_val_score(*data, cv=LabeledKFold(3), groups=groups)
    with config_context(enable_metadata_routing=True):
        routed = cross_validate(
            *data, cv=LabeledKFold(3), params={"groups": groups}, return_indices=True
        )
        without_groups = LabeledKFold(3).set_split_request(groups=False)
        not_routed = cross_validate(*data, cv=without_groups)
    assert [list(test) for test in routed["indices"]["test"]] == expected
    assert np.array_equal(routed["test_score"], scores)
    assert len(not_routed["test_score"]) == 3


@pytest.mark.parametrize("n_splits", [1, 0, 2.0])
def test_invalid_n_splits_raises_the_error_of_scikit_learn(n_splits):
    with pytest.raises(ValueError) as expected:
        KFold(n_splits)
    for splitter in (LabeledKFold, LabeledStratifiedKFold, UnlabeledKFold):
        with pytest.raises(ValueError) as error:
            splitter(n_splits)
        assert str(error.value) == str(expected.value)
