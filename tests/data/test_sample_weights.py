"""Sample weights: valid and invalid ones, in `fit` and in `score`."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline

from sk_ssvae.data.validation import check_weights, rows_with_weight

X = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        (2, [2, 2, 2]),
        ([1, 0, 3], [1, 0, 3]),
        (np.array([True, False, True]), [1, 0, 1]),
        (np.array([1, 2, 3], dtype=object), [1, 2, 3]),
        (pd.Series([1, 2, 3], dtype="Float64"), [1, 2, 3]),
        (np.ma.MaskedArray([1.0, 2.0, 3.0]), [1, 2, 3]),
    ],
)
def test_valid_weights_are_converted_to_floats(weight, expected):
    found = check_weights(weight, X)
    assert found.dtype == np.float64
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.nan, ValueError, "sample_weight must be finite, got nan."),
        (
            np.ma.MaskedArray([1.0, 2.0, 3.0], [False, True, False]),
            ValueError,
            "sample_weight is an array with masked values. To ignore these rows, set "
            "their weight to 0: sample_weight.filled(0).",
        ),
        (
            "balanced",
            TypeError,
            "sample_weight must hold numbers, one per row, got 'balanced'.",
        ),
        (
            np.array(["1", "2", "3"]),
            TypeError,
            "sample_weight must hold numbers, one per row, got an array of <U1.",
        ),
        (
            np.arange(3).astype("M8[D]"),
            TypeError,
            "sample_weight must hold numbers, one per row, got an array of "
            "datetime64[D].",
        ),
        (
            {0: 1.0},
            TypeError,
            "sample_weight must hold numbers, one per row, got {0: 1.0}.",
        ),
        (
            [1.0, None, 2.0],
            ValueError,
            "sample_weight has a missing value in row 1. To ignore the row, set its "
            "weight to 0.",
        ),
        (
            [1.0, 1j, None],
            TypeError,
            "sample_weight has 1j of type complex in row 1, which is not a number.",
        ),
        (
            [[1.0], [1.0, 2.0], 3.0],
            TypeError,
            "sample_weight must be an array of numbers, one per row, got a list that "
            "numpy cannot convert.",
        ),
        ([1, -1, 1], ValueError, "Negative values in data passed to `sample_weight`."),
        ([1, np.nan, 1], ValueError, "Input sample_weight contains NaN."),
    ],
)
def test_invalid_weights_are_refused(weight, error, message):
    with pytest.raises(error) as raised:
        check_weights(weight, X)
    assert str(raised.value) == message
    rows_with_weight(weight)  # does not raise: check_weights does


def test_fit_and_score_refuse_the_same_weights(quick, blobs):
    X, y, _ = blobs
    clf = quick(max_epochs=1).fit(X, y)
    message = "sample_weight must hold numbers, one per row, got 'balanced'."
    for call in (quick().fit, clf.score, clf.partial_fit):
        with pytest.raises(TypeError) as raised:
            call(X, y, sample_weight="balanced")
        assert str(raised.value) == message


def test_score_needs_a_labelled_row_with_weight(quick, blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match="score needs") as raised:
        quick(max_epochs=1).fit(X, y).score(X, y, sample_weight=(y == -1) * 1.0)
    assert str(raised.value) == (
        "score needs labelled rows with a positive sample_weight, but it is 0 for all "
        "6 labelled rows."
    )


def test_weights_are_routed_through_pipelines(quick):
    X, y = load_iris(return_X_y=True)
    weight = np.where(np.arange(150) % 4 == 0, 3.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = quick().set_fit_request(sample_weight=True)
        routed = make_pipeline(clf).fit(X, y, sample_weight=weight)
    expected = quick().fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(routed.predict_proba(X), expected.predict_proba(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (expected.predict_proba(X) != quick().fit(X, y).predict_proba(X)).any()
