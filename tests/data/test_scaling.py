"""Scaling: encode and decode, constant columns, weights, and precision."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from sk_ssvae.data.scaling import MAX_DEVIATIONS, device_rows, fit_column_scaling
from sk_ssvae.utils import chunks
from sk_ssvae.utils.chunks import iter_row_chunks


def test_standardised_columns_have_mean_zero_and_deviation_one():
    X = np.random.RandomState(0).gamma(2.0, size=(500, 3)) * [1, 1e6, 1e-6] + [0, 5, 1]
    encoded = fit_column_scaling(X, standardize=True).encode(X)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(0), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_decode_inverts_encode_at_any_scale(scale):
    X = np.random.RandomState(0).randn(20, 2) * scale
    scaling = fit_column_scaling(X, standardize=True)
    back = scaling.decode(scaling.encode(X))
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-6 * scale)


def test_constant_columns_are_left_out_and_restored_exactly():
    X = np.random.RandomState(0).randn(20, 4)
    X[:, 1], X[:, 3] = 0.1, -1e30
    for standardize in (True, False):
        scaling = fit_column_scaling(X, standardize=standardize)
        assert scaling.kept.tolist() == [True, False, True, False]
        assert scaling.encode(X).shape == (20, 2)
        back = scaling.decode(scaling.encode(X))
        np.testing.assert_allclose(back, X, atol=1e-5)
        assert (back[:, [1, 3]] == X[:, [1, 3]]).all()


def test_constant_columns_can_be_kept_for_later_rows():
    X = np.random.RandomState(0).randn(20, 2)
    X[:, 1] = 3.0
    scaling = fit_column_scaling(X, standardize=True, keep_constant=True)
    assert scaling.kept.all()
    # A kept constant column is scaled by its magnitude.
    assert scaling.encode(np.array([[0.0, 6.0]]))[0, 1] == 1.0


def test_log_det_is_the_log_determinant_of_encode():
    X = np.random.RandomState(0).randn(30, 3) * [2, 0.1, 1e4]
    scaling = fit_column_scaling(X, standardize=True)
    steps = scaling.encode(X[:1] + np.diag(X.std(0))) - scaling.encode(X[:1])
    slope = np.diag(steps) / X.std(0)
    np.testing.assert_allclose(scaling.log_det, np.log(slope).sum(), rtol=1e-5)
    assert fit_column_scaling(X, standardize=False).log_det == 0


def test_integer_weights_are_repetitions():
    X = np.random.RandomState(0).randn(10, 2)
    weight = np.arange(10.0)
    weighted = fit_column_scaling(X, standardize=True, sample_weight=weight)
    repeated = fit_column_scaling(X.repeat(weight.astype(int), 0), standardize=True)
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_no_input_overflows_single_precision():
    scaling = fit_column_scaling(
        np.random.RandomState(0).randn(20, 1), standardize=True
    )
    encoded = scaling.encode(np.array([[1e300], [-1e300], [0.0]]))
    assert encoded[:2].ravel().tolist() == [MAX_DEVIATIONS, -MAX_DEVIATIONS]


def test_decode_restores_the_dtype():
    for dtype in (np.float32, np.float64):
        X = np.random.RandomState(0).randn(20, 2).astype(dtype)
        scaling = fit_column_scaling(X, standardize=True)
        assert scaling.decode(scaling.encode(X)).dtype == dtype


def test_rows_with_only_constant_columns_are_refused():
    message = (
        "Every column of X is constant in all 5 rows (to within rounding), so there is "
        "nothing to learn from. Give at least one column that varies."
    )
    with pytest.raises(ValueError) as error:
        fit_column_scaling(np.ones((5, 2)), standardize=True)
    assert str(error.value) == message


def test_columns_that_vary_by_rounding_errors_are_constant():
    X = np.column_stack([np.arange(9.0), np.full(9, 0.3)])
    X[4, 1] = 0.1 + 0.2  # not the same double as 0.3
    assert X[4, 1] != 0.3
    assert fit_column_scaling(X, standardize=True).kept.tolist() == [True, False]


def test_small_variations_on_a_large_offset_are_kept():
    noise = np.random.RandomState(0).randn(150)
    for offset, size in ((1e9, 1e-5), (1.7e9, 1e-5), (1e6, 1e-8), (1e15, 10.0)):
        X = (offset + size * noise)[:, None]
        encoded = fit_column_scaling(X, standardize=True).encode(X)
        assert abs(encoded.mean()) < 0.1
        assert encoded.std() == pytest.approx(1, abs=0.1)


def test_values_near_the_largest_double_do_not_overflow():
    X = np.where(np.random.RandomState(0).rand(20, 2) < 0.5, 1.7e308, -1.7e308)
    scaling = fit_column_scaling(X, standardize=True)
    assert np.isfinite(scaling.encode(X)).all()
    assert np.isfinite(scaling.decode(np.full((1, 2), 9.0, np.float32))).all()


def test_weights_never_give_a_negative_variance():
    for seed in range(50):
        rng = np.random.RandomState(seed)
        X = np.column_stack([np.full(30, 0.3), rng.randn(30)])
        scaling = fit_column_scaling(X, standardize=True, sample_weight=rng.rand(30))
        assert scaling.kept.tolist() == [False, True]


@pytest.mark.parametrize("offset", [0.0, 50.0, 3e4, 1e6])
def test_rows_in_single_precision_keep_their_digits(offset):
    X = (offset + np.random.RandomState(0).randn(200, 3)).astype(np.float32)
    scaling = fit_column_scaling(X, standardize=True)
    exact = (X.astype(np.float64) - scaling.mean) / scaling.scale
    np.testing.assert_allclose(scaling.encode(X), exact, rtol=1e-6, atol=1e-4)


def test_tiny_scales_are_encoded_in_double_precision():
    X = np.random.RandomState(0).randn(50, 2).astype(np.float32) * np.float32(1e-36)
    scaling = fit_column_scaling(X, standardize=True)
    assert not scaling.fits_single
    np.testing.assert_allclose(scaling.encode(X).std(0), 1, atol=1e-5)
    _, encoder = device_rows(X, scaling, torch.device("cpu"))
    assert encoder is None


def test_batches_are_encoded_like_whole_arrays():
    rng = np.random.RandomState(0)
    X = (rng.randn(60, 3) * [1, 5, 100] + [0, 3, 1e5]).astype(np.float32)
    X[:, 1] = 7.0  # constant
    for standardize in (True, False):
        scaling = fit_column_scaling(X, standardize=standardize)
        whole = scaling.encode(X)
        for layout in (X, np.asfortranarray(X), X.astype(np.float64)):
            rows, encoder = device_rows(layout, scaling, torch.device("cpu"))
            assert (encoder is None) == (layout is not X)
            picked = rows[torch.tensor([5, 2, 40])]
            batch = picked if encoder is None else encoder(picked)
            np.testing.assert_allclose(batch, whole[[5, 2, 40]], rtol=1e-5, atol=1e-2)


def test_rows_outside_the_mask_have_no_influence():
    rng = np.random.RandomState(0)
    X, where, weight = rng.randn(40, 3), rng.rand(40) < 0.5, rng.rand(40)
    X[~where] = 1e9
    expected = fit_column_scaling(
        X[where], standardize=True, sample_weight=weight[where], keep_constant=True
    )
    masked = fit_column_scaling(
        X, standardize=True, sample_weight=weight, keep_constant=True, where=where
    )
    np.testing.assert_allclose(masked.mean, expected.mean)
    np.testing.assert_allclose(masked.scale, expected.scale)


def test_moments_do_not_depend_on_the_chunk_size(monkeypatch):
    X = np.random.RandomState(0).randn(1000, 3) + np.array([0, 10, 1e6])
    whole = fit_column_scaling(X, standardize=True)
    monkeypatch.setattr(chunks.row_chunks, "__defaults__", (21,))
    assert len(list(iter_row_chunks(X))) == 143
    parts = fit_column_scaling(X, standardize=True)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_predictions_do_not_depend_on_scale_or_offset(quick, scale):
    X, y = load_iris(return_X_y=True)
    plain = quick(max_epochs=20).fit(X, y)
    clf = quick(max_epochs=20).fit(X * scale, y)
    np.testing.assert_allclose(
        clf.predict_proba(X * scale), plain.predict_proba(X), atol=1e-4
    )
    whole = np.round(X * 10).astype(np.int64)
    far = quick(max_epochs=20).fit(whole + 2**40, y)  # beyond float32
    near = quick(max_epochs=20).fit(whole, y)
    np.testing.assert_allclose(
        far.predict_proba(whole + 2**40), near.predict_proba(whole), atol=1e-4
    )
