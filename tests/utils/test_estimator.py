"""Checks of integers, and fits that fail without a trace."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from sk_ssvae.utils.estimator import all_or_nothing, check_count, check_integer


@pytest.mark.parametrize("value", [1, 5, np.int8(3), 2**31 - 1])
def test_positive_integers_are_counts(value):
    check_count("n", value)


@pytest.mark.parametrize("value", [0, -1, 10**12])
def test_integers_may_be_zero_negative_or_large(value):
    check_integer("n", value)


@pytest.mark.parametrize("check", [check_count, check_integer])
@pytest.mark.parametrize(("value", "type_name"), [(True, "bool"), (2.0, "float")])
def test_other_types_are_refused(check, value, type_name):
    with pytest.raises(TypeError) as error:
        check("n", value)
    assert str(error.value) == (
        f"n must be an integer, got {value!r} of type {type_name}."
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "n must be at least 1, got 0."),
        (2**31, "n must be at most 2147483647, got 2147483648."),
    ],
)
def test_counts_out_of_range_are_refused(value, message):
    with pytest.raises(ValueError) as error:
        check_count("n", value)
    assert str(error.value) == message


def test_attributes_are_restored_if_a_fit_fails():
    estimator = BaseEstimator()
    estimator.classes_ = before = [0, 1]

    def fit():
        estimator.classes_ = [2]
        estimator.n_iter_ = 3
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), all_or_nothing(estimator):
        fit()
    assert vars(estimator) == {"classes_": before}


def test_attributes_are_kept_if_a_fit_succeeds():
    estimator = BaseEstimator()
    with all_or_nothing(estimator):
        estimator.n_iter_ = 3
    assert vars(estimator) == {"n_iter_": 3}
