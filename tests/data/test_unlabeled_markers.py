"""Markers of unlabelled rows other than -1, and missing labels."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mixed_rows import N_TOWNS, small_classifier, towns
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning


@pytest.mark.parametrize(
    ("y", "unlabeled"),
    [
        (lambda y: pd.array(np.where(y < 0, None, y), dtype="Int64"), None),
        (lambda y: pd.Series(np.where(y < 0, None, y), dtype="Int64"), pd.NA),
        (lambda y: np.where(y < 0, np.nan, y), np.nan),
        (lambda y: np.where(y < 0, 99, y), 99),
        (lambda y: [None if v < 0 else int(v) for v in y], None),
        (lambda y: pl.Series([None if v < 0 else int(v) for v in y]), None),
    ],
)
def test_markers_give_the_same_results_as_minus_one(y, unlabeled):
    X, truth = load_iris(return_X_y=True)
    few = np.where(np.arange(150) % 3 == 0, truth, -1)
    plain = small_classifier().fit(X, few)
    clf = small_classifier(unlabeled=unlabeled).fit(X, y(few))
    np.testing.assert_array_equal(clf.classes_, plain.classes_)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(clf.transduction_, plain.transduction_)
    assert clf.score(X, y(few)) == plain.score(X, few)


def test_a_boolean_marker_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError) as error:
        small_classifier(unlabeled=True).fit(X, y)
    assert str(error.value) == (
        "unlabeled=True is a boolean, which cannot be distinguished from the integers "
        "0 and 1. Use a number, a string or None."
    )


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_strings_and_categoricals_as_markers(missing):
    X, truth = load_iris(return_X_y=True)
    names = np.array(["ant", "bee", "cat"], dtype=object)[truth]
    few = np.where(np.arange(150) % 3 == 0, names, missing)
    expected = small_classifier().fit(X, np.where(np.arange(150) % 3 == 0, names, -1))
    for y in (few, pd.Series(few, dtype="category"), pd.Series(few)):
        clf = small_classifier(unlabeled=None).fit(X, y)
        assert clf.classes_.tolist() == ["ant", "bee", "cat"]
        np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_minus_one_is_a_class_under_another_marker():
    X, truth = load_iris(return_X_y=True)
    y = np.where(truth == 0, -1.0, 1.0)
    y[::2] = 0
    clf = small_classifier(unlabeled=0, max_epochs=30).fit(X, y)
    assert clf.classes_.tolist() == [-1, 1]
    assert set(clf.predict(X)) == {-1, 1}
    assert clf.score(X, y) > 0.9
    assert clf.sample(3, y=-1)[1].tolist() == [-1] * 3
    with pytest.raises(ValueError) as error:
        clf.score(X, np.zeros(150))
    assert str(error.value) == (
        "score needs labelled rows, but y is 0 (unlabelled) in all 150 rows."
    )


def test_missing_labels_are_refused_under_another_marker():
    X, truth = load_iris(return_X_y=True)
    y = pd.Series(truth, dtype="Int64")
    y[4] = pd.NA
    with pytest.raises(ValueError) as error:
        small_classifier().fit(X, y)
    assert str(error.value) == (
        "y has a missing value in row 4. Mark unlabelled rows by the integer -1 "
        "(SSVAEClassifier also takes unlabeled=None)."
    )
    with pytest.raises(ValueError) as error:
        small_classifier(unlabeled=7).fit(X, y)
    assert str(error.value) == (
        "y has a missing value in row 4, but unlabelled rows are marked by unlabeled=7."
        " Set unlabeled=None if missing means unlabelled."
    )


def test_markers_in_labels_of_shape_n_by_1():
    X, truth = load_iris(return_X_y=True)
    few = np.where(np.arange(150) % 3 == 0, truth, 99)
    expected = small_classifier(unlabeled=99).fit(X, few)
    for column in (few[:, None], pd.DataFrame({"y": few}), pl.DataFrame({"y": few})):
        with pytest.warns(DataConversionWarning):
            clf = small_classifier(unlabeled=99).fit(X, column)
        assert clf.classes_.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_nulls_of_polars_need_a_missing_marker():
    X, y = load_iris(return_X_y=True)
    labels = pl.Series([None if v == 2 else int(v) for v in y])
    with pytest.raises(ValueError) as error:
        small_classifier().fit(X, labels)
    assert str(error.value) == (
        "Input y contains NaN or None (row 100: None). Mark unlabelled rows by the "
        "integer -1 (SSVAEClassifier also takes unlabeled=None)."
    )
    assert small_classifier(unlabeled=None).fit(X, labels).classes_.tolist() == [0, 1]
    whole = small_classifier().fit(X, pl.Series(y))
    assert np.array_equal(whole.predict(X), small_classifier().fit(X, y).predict(X))


def test_nulls_of_polars_are_refused_by_default():
    X = towns()
    for labels in ([0, None, 1, -1], ["a", None, "b", "c"]):
        with pytest.raises(ValueError) as error:
            small_classifier().fit(X, pl.Series(labels * (N_TOWNS // 4)))
        assert str(error.value) == (
            "Input y contains NaN or None (row 1: None). Mark unlabelled rows by the "
            "integer -1 (SSVAEClassifier also takes unlabeled=None)."
        )
