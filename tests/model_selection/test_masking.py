"""`mask_labels` hides labels of a labelled data set."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from partially_labelled import IRIS_LABELS

from sk_ssvae.model_selection import mask_labels


@given(
    st.lists(st.integers(-1, 3), min_size=8, max_size=40),
    st.integers(1, 3),
    st.floats(0.05, 1),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_a_given_number_or_fraction_of_labels_is_kept(y, n_per_class, fraction, seed):
    y = np.array(y)
    counts = np.bincount(y[y != -1], minlength=4)
    assume((y != -1).any())
    before = y.copy()
    masked = mask_labels(y, fraction=fraction, random_state=seed)
    assert np.array_equal(y, before)
    assert ((masked == y) | (masked == -1)).all()
    kept = np.bincount(masked[masked != -1], minlength=4)
    expected = [max(1, round(fraction * count)) if count else 0 for count in counts]
    assert kept.tolist() == expected
    if counts[counts > 0].min() >= n_per_class:
        masked = mask_labels(y, n_per_class=n_per_class, random_state=seed)
        assert ((masked == y) | (masked == -1)).all()
        kept = np.bincount(masked[masked != -1], minlength=4)
        assert kept.tolist() == [n_per_class if count else 0 for count in counts]


def test_dtype_is_kept_if_it_can_hold_the_marker():
    assert mask_labels(IRIS_LABELS.astype(np.int8), n_per_class=1).dtype == np.int8
    assert mask_labels(IRIS_LABELS.astype(np.uint8), n_per_class=1).dtype == np.int16
    names = np.array(["a", "b"])[IRIS_LABELS % 2]
    masked = mask_labels(names, n_per_class=1, random_state=0)
    assert masked.dtype == object
    assert sorted(map(str, masked))[-2:] == ["a", "b"]


@pytest.mark.parametrize("dtype", [int, "int8", "Int64", "uint8", object, "category"])
def test_a_series_is_masked_by_position_and_keeps_its_index(dtype):
    series = pd.Series(IRIS_LABELS, index=IRIS_LABELS + 7, name="kind").astype(dtype)
    masked = mask_labels(series, n_per_class=1, random_state=0)
    expected = mask_labels(series.to_numpy(), n_per_class=1, random_state=0)
    assert masked.index.equals(series.index)
    assert masked.name == "kind"
    assert masked.dtype == expected.dtype
    assert np.array_equal(masked.to_numpy(), expected)


def test_a_series_of_strings_is_masked_in_a_series_of_objects():
    names = pd.Series(["a", "b", "a", "b"], index=list("wxyz"))
    masked = mask_labels(names, fraction=1, random_state=0)
    assert masked.dtype == object
    assert masked.to_dict() == names.to_dict()
    assert isinstance(mask_labels(pd.Index(names), fraction=1), np.ndarray)


@pytest.mark.parametrize(
    ("parameters", "error_class", "message"),
    [
        (
            {},
            ValueError,
            "Exactly one of n_per_class and fraction must be given, got "
            "n_per_class=None and fraction=None.",
        ),
        (
            {"n_per_class": 1, "fraction": 0.5},
            ValueError,
            "Exactly one of n_per_class and fraction must be given, got n_per_class=1 "
            "and fraction=0.5.",
        ),
        ({"n_per_class": 0}, ValueError, "n_per_class must be at least 1, got 0."),
        (
            {"n_per_class": 1.0},
            TypeError,
            "n_per_class must be an integer, got 1.0 of type float.",
        ),
        (
            {"n_per_class": 51},
            ValueError,
            "n_per_class=51 is greater than the number of labels of class 0, 50.",
        ),
        (
            {"fraction": 1.5},
            ValueError,
            "fraction must be in the range (0, 1], got 1.5.",
        ),
        (
            {"fraction": "half"},
            TypeError,
            "fraction must be a number, got 'half' of type str.",
        ),
    ],
)
def test_invalid_parameters_are_refused(parameters, error_class, message):
    with pytest.raises(error_class) as error:
        mask_labels(IRIS_LABELS, **parameters)
    assert str(error.value) == message


def test_labels_without_a_class_are_refused():
    with pytest.raises(ValueError) as error:
        mask_labels(np.full(3, -1), n_per_class=1)
    assert str(error.value) == (
        "mask_labels needs labels, but y is -1 (unlabelled) in all 3 rows."
    )
