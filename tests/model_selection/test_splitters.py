"""Behaviour that all splitters of the labelled rows share."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from partially_labelled import FEW_IRIS, IRIS_LABELS, IRIS_ROWS, labels_and_n_splits

from sk_ssvae.model_selection import (
    LabeledKFold,
    LabeledShuffleSplit,
    LabeledStratifiedKFold,
    LabeledStratifiedShuffleSplit,
)

SPLITTERS = [
    LabeledKFold(3),
    LabeledKFold(3, shuffle=True, random_state=0),
    LabeledStratifiedKFold(3),
    LabeledStratifiedKFold(3, shuffle=True, random_state=0),
    LabeledShuffleSplit(3, test_size=0.3, random_state=0),
    LabeledStratifiedShuffleSplit(3, test_size=0.3, random_state=0),
]

each_splitter = pytest.mark.parametrize("cv", SPLITTERS, ids=repr)


@each_splitter
def test_splitters_have_a_repr_and_can_be_pickled(cv):
    assert eval(repr(cv)).__dict__ == cv.__dict__
    assert pickle.loads(pickle.dumps(cv)).__dict__ == cv.__dict__


@each_splitter
def test_splits_are_reproducible(cv):
    first, second = (
        [test.tolist() for _, test in cv.split(IRIS_ROWS, FEW_IRIS)] for _ in range(2)
    )
    assert first == second


@each_splitter
def test_labels_may_be_strings_or_missing(cv):
    expected = [test.tolist() for _, test in cv.split(IRIS_ROWS, FEW_IRIS)]
    names = np.array(["a", "b", "c", -1], dtype=object)[FEW_IRIS]
    assert [test.tolist() for _, test in cv.split(IRIS_ROWS, names)] == expected
    parameters = {k: v for k, v in cv.__dict__.items() if not k.startswith("_")}
    missing = pd.Series(names).replace(-1, None).astype("category")
    cv = type(cv)(**parameters | {"unlabeled": None})
    assert [test.tolist() for _, test in cv.split(IRIS_ROWS, missing)] == expected


@given(labels_and_n_splits(), st.integers(0, 5))
@settings(max_examples=40)
def test_rows_of_a_group_are_not_in_training_and_test_set(case, seed):
    y, n_splits = case
    groups = np.random.RandomState(seed).randint(8, size=len(y))
    assume(len(np.unique(groups[y != -1])) >= n_splits)
    for cv in (
        LabeledKFold(n_splits),
        LabeledShuffleSplit(n_splits, test_size=1, random_state=seed),
    ):
        for train, test in cv.split(y, y, groups):
            assert not set(groups[train]) & set(groups[test])
            assert (y[test] != -1).all()
            if isinstance(cv, LabeledKFold):
                in_other_groups = ~np.isin(groups, groups[test])
                assert np.array_equal(train, np.flatnonzero(in_other_groups))


@each_splitter
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.full(150, -1),
            "{} needs labelled rows, but y is -1 (unlabelled) in all 150 rows.",
        ),
        (
            np.where(IRIS_LABELS == 1, 1, -1),
            "{} needs labelled rows of at least 2 classes, but y has labels of one "
            "class only: [1].",
        ),
        (
            None,
            "The 'y' parameter should not be None: {} splits rows according to their "
            "labels.",
        ),
        (
            np.where(FEW_IRIS == 0, "a", "-1"),
            "y is an array of strings that contains '-1'. To mark unlabelled rows "
            "among strings, use an array of dtype object that holds strings and the "
            "integer -1, e.g. np.array(['a', 'b', -1], dtype=object).",
        ),
        (
            FEW_IRIS == 0,
            "y is an array of booleans, which has no room for a marker of unlabelled "
            "rows: -1 is stored in it as True, and None as False. Use "
            "y.astype(object), and assign the marker afterwards if any row is "
            "unlabelled, or integers.",
        ),
        (
            np.stack([FEW_IRIS, FEW_IRIS], axis=1),
            "y should be a 1d array, got an array of shape (150, 2) instead.",
        ),
    ],
    ids=["none labelled", "one class", "None", "strings", "booleans", "2d"],
)
def test_invalid_labels_are_refused(cv, y, message):
    with pytest.raises(ValueError) as error:
        next(cv.split(IRIS_ROWS, y))
    assert str(error.value) == message.format(type(cv).__name__)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_groups_are_refused(missing):
    groups = np.array(["a", "b", "c"] * 50, dtype=object)
    groups[7] = missing
    for cv in (LabeledKFold(3), LabeledShuffleSplit(random_state=0)):
        with pytest.raises(ValueError) as error:
            next(cv.split(IRIS_ROWS, FEW_IRIS, groups))
        assert str(error.value) == (
            "groups has a missing value in row 7. Assign a group of its own to each "
            "row that belongs to no group."
        )
