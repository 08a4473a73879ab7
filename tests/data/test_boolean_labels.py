"""Booleans as labels: taken where a marker cannot be stored as a boolean."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from mixed_rows import small_classifier
from sklearn.datasets import load_iris
from sklearn.model_selection import cross_val_score

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.data.labels import encode_classes, encode_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.display import LatentSpaceDisplay
from sk_ssvae.model_selection import (
    LabeledStratifiedKFold,
    LabeledStratifiedShuffleSplit,
    labeled_scorer,
    mask_labels,
)

X, SPECIES = load_iris(return_X_y=True)
TRUTH = SPECIES == 2
HIDDEN = np.arange(150) % 3 > 0
WITH_NONE = [None if h else bool(v) for h, v in zip(HIDDEN, TRUTH, strict=True)]
WITH_MARKER = [-1 if v is None else v for v in WITH_NONE]
INTEGERS = np.where(HIDDEN, -1, TRUTH)

NO_ROOM = (
    "y is an array of booleans, which has no room for a marker of unlabelled rows: -1 "
    "is stored in it as True, and None as False. Use y.astype(object), and assign the "
    "marker afterwards if any row is unlabelled, or integers."
)

PARTIAL_LABELS = {
    "objects and -1": (np.array(WITH_MARKER, dtype=object), -1),
    "numpy's booleans in objects": (
        np.array([v if v == -1 else np.bool_(v) for v in WITH_MARKER], dtype=object),
        -1,
    ),
    "objects and None": (np.array(WITH_NONE, dtype=object), None),
    "objects and a number": (
        np.array([1 if v is None else np.bool_(v) for v in WITH_NONE], dtype=object),
        1,
    ),
    "list and -1": (WITH_MARKER, -1),
    "list and None": (WITH_NONE, None),
    "masked": (np.ma.MaskedArray(TRUTH, HIDDEN), None),
    "Series and -1": (pd.Series(WITH_MARKER, dtype=object), -1),
    "nullable": (pd.Series(WITH_NONE, dtype="boolean"), pd.NA),
    "nullable array": (pd.array(WITH_NONE, dtype="boolean"), None),
    "arrow": (pd.Series(WITH_NONE, dtype="bool[pyarrow]"), np.nan),
    "category": (pd.Series(WITH_NONE, dtype="category"), None),
    "polars": (pl.Series(WITH_NONE), None),
}


@pytest.mark.parametrize("kind", PARTIAL_LABELS)
def test_booleans_are_classes_wherever_a_marker_has_room(kind):
    """The results are those of the integers 0 and 1; the classes are booleans."""
    y, unlabeled = PARTIAL_LABELS[kind]
    expected = small_classifier(max_epochs=2).fit(X, INTEGERS)
    clf = small_classifier(max_epochs=2, unlabeled=unlabeled).fit(X, y)
    assert clf.classes_.dtype == bool
    assert clf.classes_.tolist() == [False, True]
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    for result in (clf.predict(X), clf.transduction_):
        assert result.dtype == bool
    np.testing.assert_array_equal(clf.transduction_, expected.transduction_ == 1)
    assert clf.score(X, y) == expected.score(X, INTEGERS)
    assert clf.score(X, TRUTH) == expected.score(X, SPECIES == 2)
    assert clf.sample(3, y=True)[1].tolist() == [True] * 3
    assert clf.sample(y=[False, True])[1].tolist() == [False, True]
    assert clf.inverse_transform(np.zeros((2, 2)), y=np.array([True, False])).shape


COMPLETE_LABELS = {
    "list": TRUTH.tolist(),
    "objects": TRUTH.astype(object),
    "Series": pd.Series(TRUTH),
    "nullable": pd.Series(TRUTH, dtype="boolean"),
    "polars": pl.Series(TRUTH),
}


@pytest.mark.parametrize("unlabeled", [-1, None])
@pytest.mark.parametrize("kind", COMPLETE_LABELS)
def test_all_rows_may_have_booleans(kind, unlabeled):
    y = as_label_array(COMPLETE_LABELS[kind], unlabeled)
    classes, codes = encode_labels(y, unlabeled=unlabeled)
    assert classes.tolist() == [False, True]
    assert codes.tolist() == TRUTH.tolist()


@pytest.mark.parametrize("unlabeled", [-1, None, 7, "no"])
@pytest.mark.parametrize("make", [np.array, torch.tensor, np.ma.array])
def test_training_refuses_arrays_where_a_marker_became_a_label(make, unlabeled):
    y = make(TRUTH)
    calls = [
        lambda: small_classifier(unlabeled=unlabeled).fit(X, y),
        lambda: next(LabeledStratifiedKFold(2, unlabeled=unlabeled).split(X, y)),
        lambda: next(LabeledStratifiedShuffleSplit(2, unlabeled=unlabeled).split(X, y)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="array of booleans") as error:
            call()
        assert str(error.value) == NO_ROOM


def test_masked_booleans_are_refused_with_a_remedy_that_works():
    y = np.ma.MaskedArray(TRUTH, HIDDEN)
    with pytest.raises(ValueError, match="masked") as error:
        as_label_array(y)
    assert str(error.value) == (
        "y is an array with masked values. Mark unlabelled rows by the integer -1: "
        "y.astype(object).filled(-1)."
    )
    codes = encode_labels(as_label_array(y.astype(object).filled(-1)))[1]
    assert codes.tolist() == INTEGERS.tolist()


@pytest.mark.parametrize("classes", [[False, True], np.array([True, False]), (1, 0)])
def test_partial_fit_takes_booleans(classes):
    """Later chunks may hold integers, which equal the booleans."""
    y = np.array(WITH_MARKER, dtype=object)
    clf = small_classifier().partial_fit(X, y, classes=classes)
    clf.partial_fit(X, y)
    expected = small_classifier().partial_fit(X, INTEGERS, classes=[0, 1])
    expected.partial_fit(X, INTEGERS)
    assert clf.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    assert encode_classes([True, False], None).tolist() == [False, True]


def test_a_boolean_beside_other_classes_is_refused():
    with pytest.raises(ValueError, match="mixes labels") as error:
        encode_classes([True, 2])
    assert str(error.value) == (
        "y mixes labels of the types ['bool', 'int']. Use labels of one type, and the "
        "integer -1 for unlabelled rows."
    )
    with pytest.raises(ValueError, match="not among the classes") as error:
        encode_labels(np.array([True, False, -1], dtype=object), np.array([1, 2]))
    assert str(error.value) == (
        "y contains labels that are not among the classes: [False]. The classes are "
        "[1, 2]."
    )


def test_tools_of_model_selection_take_booleans():
    few = mask_labels(TRUTH, n_per_class=8, random_state=0)
    codes = mask_labels(TRUTH.astype(int), n_per_class=8, random_state=0)
    assert few.dtype == object
    assert few.tolist() == [v if v == -1 else bool(v) for v in codes]
    for scoring in (None, "accuracy", "roc_auc"):
        scores = [
            cross_val_score(
                small_classifier(max_epochs=1),
                X,
                y,
                cv=LabeledStratifiedKFold(2),
                scoring=labeled_scorer(scoring),
            ).tolist()
            for y in (few, codes)
        ]
        assert scores[0] == scores[1]
    clf = small_classifier(max_epochs=1).fit(X, few)
    assert labeled_scorer("accuracy")(clf, X, TRUTH) == clf.score(X, TRUTH)


def test_pool_display_and_files_take_booleans(tmp_path):
    y = np.array(WITH_MARKER, dtype=object)
    pool = OpinionPoolClassifier(views=["logistic"]).fit(X, y)
    assert pool.predict(X).dtype == bool
    display = LatentSpaceDisplay.from_predictions(X[:, :2], y=TRUTH)
    assert display.labelled.all()
    clf = small_classifier(max_epochs=1).fit(X, y)
    clf.save(tmp_path / "clf.ssvae")
    loaded = sk_ssvae.load(tmp_path / "clf.ssvae")
    assert loaded.classes_.dtype == bool
    assert loaded.predict(X).tolist() == clf.predict(X).tolist()


@pytest.mark.parametrize(("n", "dtype"), [(2, "int8"), (127, "int8"), (128, "int16")])
def test_compact_codes_have_the_smallest_type(n, dtype):
    y = np.append(np.arange(n), -1)
    codes = encode_labels(y, compact=True)[1]
    assert codes.dtype == dtype
    np.testing.assert_array_equal(codes, y)
