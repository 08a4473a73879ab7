"""The affine map between the user's columns and the network's."""

import numpy as np
import pytest

from sk_ssvae.columns import MAX_DEVIATIONS, fit_columns


def test_standardised_columns_have_mean_zero_and_deviation_one():
    X = np.random.RandomState(0).gamma(2.0, size=(500, 3)) * [1, 1e6, 1e-6] + [0, 5, 1]
    A = fit_columns(X, standardize=True).encode(X)
    assert A.dtype == np.float32
    np.testing.assert_allclose(A.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(A.std(0), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_round_trip_at_any_scale(scale):
    X = np.random.RandomState(0).randn(20, 2) * scale
    columns = fit_columns(X, standardize=True)
    back = columns.decode(columns.encode(X))
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-6 * scale)


def test_constant_columns_are_left_out_and_come_back_exactly():
    X = np.random.RandomState(0).randn(20, 4)
    X[:, 1], X[:, 3] = 0.1, -1e30
    for standardize in (True, False):
        columns = fit_columns(X, standardize=standardize)
        assert columns.kept.tolist() == [True, False, True, False]
        assert columns.encode(X).shape == (20, 2)
        back = columns.decode(columns.encode(X))
        np.testing.assert_allclose(back, X, atol=1e-5)
        assert (back[:, [1, 3]] == X[:, [1, 3]]).all()


def test_constant_columns_can_be_kept_for_rows_to_come():
    X = np.random.RandomState(0).randn(20, 2)
    X[:, 1] = 3.0
    columns = fit_columns(X, standardize=True, keep_constant=True)
    assert columns.kept.all()
    # their unit is their magnitude
    assert columns.encode(np.array([[0.0, 6.0]]))[0, 1] == 1.0


def test_log_det_is_that_of_the_map():
    X = np.random.RandomState(0).randn(30, 3) * [2, 0.1, 1e4]
    columns = fit_columns(X, standardize=True)
    steps = columns.encode(X[:1] + np.diag(X.std(0))) - columns.encode(X[:1])
    slope = np.diag(steps) / X.std(0)
    np.testing.assert_allclose(columns.log_det, np.log(slope).sum(), rtol=1e-5)
    assert fit_columns(X, standardize=False).log_det == 0


def test_weights_are_repetitions():
    X = np.random.RandomState(0).randn(10, 2)
    weight = np.arange(10.0)
    weighted = fit_columns(X, standardize=True, sample_weight=weight)
    repeated = fit_columns(X.repeat(weight.astype(int), 0), standardize=True)
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_no_input_overflows_single_precision():
    columns = fit_columns(np.random.RandomState(0).randn(20, 1), standardize=True)
    A = columns.encode(np.array([[1e300], [-1e300], [0.0]]))
    assert A[:2].ravel().tolist() == [MAX_DEVIATIONS, -MAX_DEVIATIONS]


def test_dtype_of_the_user_comes_back():
    for dtype in (np.float32, np.float64):
        X = np.random.RandomState(0).randn(20, 2).astype(dtype)
        columns = fit_columns(X, standardize=True)
        assert columns.decode(columns.encode(X)).dtype == dtype


def test_all_columns_constant():
    message = (
        "Every column of X is constant in all 5 rows (to within rounding), so there is "
        "nothing to learn from. Give at least one column that varies."
    )
    with pytest.raises(ValueError) as error:
        fit_columns(np.ones((5, 2)), standardize=True)
    assert str(error.value) == message


def test_constant_to_within_rounding():
    X = np.column_stack([np.arange(9.0), np.full(9, 0.3)])
    X[4, 1] = 0.1 + 0.2  # another double than 0.3
    assert X[4, 1] != 0.3
    assert fit_columns(X, standardize=True).kept.tolist() == [True, False]


def test_small_variations_on_a_large_offset_are_kept():
    noise = np.random.RandomState(0).randn(150)
    for offset, size in ((1e9, 1e-5), (1.7e9, 1e-5), (1e6, 1e-8), (1e15, 10.0)):
        X = (offset + size * noise)[:, None]
        A = fit_columns(X, standardize=True).encode(X)
        assert abs(A.mean()) < 0.1
        assert A.std() == pytest.approx(1, abs=0.1)


def test_values_near_the_largest_double():
    X = np.where(np.random.RandomState(0).rand(20, 2) < 0.5, 1.7e308, -1.7e308)
    columns = fit_columns(X, standardize=True)
    assert np.isfinite(columns.encode(X)).all()
    assert np.isfinite(columns.decode(np.full((1, 2), 9.0, np.float32))).all()


def test_weights_never_give_a_negative_variance():
    for seed in range(50):
        rng = np.random.RandomState(seed)
        X = np.column_stack([np.full(30, 0.3), rng.randn(30)])
        columns = fit_columns(X, standardize=True, sample_weight=rng.rand(30))
        assert columns.kept.tolist() == [False, True]
