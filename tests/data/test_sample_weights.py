"""Weights of rows: what is read, what is refused, in `fit` and in `score`."""

import numpy as np
import pandas as pd
import pytest

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
def test_weights_are_read(weight, expected):
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
            "sample_weight is an array with masked values. Rows of weight 0 do not "
            "count: sample_weight.filled(0).",
        ),
        (
            "balanced",
            TypeError,
            "sample_weight must hold numbers, one a row, got 'balanced'.",
        ),
        (
            np.array(["1", "2", "3"]),
            TypeError,
            "sample_weight must hold numbers, one a row, got an array of <U1.",
        ),
        (
            np.arange(3).astype("M8[D]"),
            TypeError,
            "sample_weight must hold numbers, one a row, got an array of "
            "datetime64[D].",
        ),
        (
            {0: 1.0},
            TypeError,
            "sample_weight must hold numbers, one a row, got {0: 1.0}.",
        ),
        (
            [1.0, None, 2.0],
            ValueError,
            "sample_weight has a missing value in row 1. Rows of weight 0 do not "
            "count.",
        ),
        (
            [1.0, 1j, None],
            TypeError,
            "sample_weight has 1j of type complex in row 1, which is no number.",
        ),
        (
            [[1.0], [1.0, 2.0], 3.0],
            TypeError,
            "sample_weight must be an array of numbers, one a row, got a list that "
            "numpy cannot read.",
        ),
        ([1, -1, 1], ValueError, "Negative values in data passed to `sample_weight`."),
        ([1, np.nan, 1], ValueError, "Input sample_weight contains NaN."),
    ],
)
def test_what_is_no_weight(weight, error, message):
    with pytest.raises(error) as raised:
        check_weights(weight, X)
    assert str(raised.value) == message
    rows_with_weight(weight)  # which leaves it to be refused later


def test_fit_and_score_refuse_the_same(quick, blobs):
    X, y, _ = blobs
    clf = quick(max_epochs=1).fit(X, y)
    message = "sample_weight must hold numbers, one a row, got 'balanced'."
    for call in (quick().fit, clf.score, clf.partial_fit):
        with pytest.raises(TypeError) as raised:
            call(X, y, sample_weight="balanced")
        assert str(raised.value) == message


def test_score_without_weight_on_a_label(quick, blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match="score needs") as raised:
        quick(max_epochs=1).fit(X, y).score(X, y, sample_weight=(y == -1) * 1.0)
    assert str(raised.value) == (
        "score needs labelled rows with a positive sample_weight, but it is 0 for all "
        "6 labelled rows."
    )
