"""The affine map between the user's columns and the network's."""

import numpy as np
import pytest
import torch

from sk_ssvae.data.scaling import MAX_DEVIATIONS, device_rows, fit_column_scaling
from sk_ssvae.utils import chunks
from sk_ssvae.utils.chunks import iter_row_chunks, tensor_sharing_memory


def test_standardised_columns_have_mean_zero_and_deviation_one():
    X = np.random.RandomState(0).gamma(2.0, size=(500, 3)) * [1, 1e6, 1e-6] + [0, 5, 1]
    A = fit_column_scaling(X, standardize=True).encode(X)
    assert A.dtype == np.float32
    np.testing.assert_allclose(A.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(A.std(0), 1, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_round_trip_at_any_scale(scale):
    X = np.random.RandomState(0).randn(20, 2) * scale
    columns = fit_column_scaling(X, standardize=True)
    back = columns.decode(columns.encode(X))
    np.testing.assert_allclose(back, X, rtol=1e-5, atol=1e-6 * scale)


def test_constant_columns_are_left_out_and_come_back_exactly():
    X = np.random.RandomState(0).randn(20, 4)
    X[:, 1], X[:, 3] = 0.1, -1e30
    for standardize in (True, False):
        columns = fit_column_scaling(X, standardize=standardize)
        assert columns.kept.tolist() == [True, False, True, False]
        assert columns.encode(X).shape == (20, 2)
        back = columns.decode(columns.encode(X))
        np.testing.assert_allclose(back, X, atol=1e-5)
        assert (back[:, [1, 3]] == X[:, [1, 3]]).all()


def test_constant_columns_can_be_kept_for_rows_to_come():
    X = np.random.RandomState(0).randn(20, 2)
    X[:, 1] = 3.0
    columns = fit_column_scaling(X, standardize=True, keep_constant=True)
    assert columns.kept.all()
    # their unit is their magnitude
    assert columns.encode(np.array([[0.0, 6.0]]))[0, 1] == 1.0


def test_log_det_is_that_of_the_map():
    X = np.random.RandomState(0).randn(30, 3) * [2, 0.1, 1e4]
    columns = fit_column_scaling(X, standardize=True)
    steps = columns.encode(X[:1] + np.diag(X.std(0))) - columns.encode(X[:1])
    slope = np.diag(steps) / X.std(0)
    np.testing.assert_allclose(columns.log_det, np.log(slope).sum(), rtol=1e-5)
    assert fit_column_scaling(X, standardize=False).log_det == 0


def test_weights_are_repetitions():
    X = np.random.RandomState(0).randn(10, 2)
    weight = np.arange(10.0)
    weighted = fit_column_scaling(X, standardize=True, sample_weight=weight)
    repeated = fit_column_scaling(X.repeat(weight.astype(int), 0), standardize=True)
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


def test_no_input_overflows_single_precision():
    columns = fit_column_scaling(
        np.random.RandomState(0).randn(20, 1), standardize=True
    )
    A = columns.encode(np.array([[1e300], [-1e300], [0.0]]))
    assert A[:2].ravel().tolist() == [MAX_DEVIATIONS, -MAX_DEVIATIONS]


def test_dtype_of_the_user_comes_back():
    for dtype in (np.float32, np.float64):
        X = np.random.RandomState(0).randn(20, 2).astype(dtype)
        columns = fit_column_scaling(X, standardize=True)
        assert columns.decode(columns.encode(X)).dtype == dtype


def test_all_columns_constant():
    message = (
        "Every column of X is constant in all 5 rows (to within rounding), so there is "
        "nothing to learn from. Give at least one column that varies."
    )
    with pytest.raises(ValueError) as error:
        fit_column_scaling(np.ones((5, 2)), standardize=True)
    assert str(error.value) == message


def test_constant_to_within_rounding():
    X = np.column_stack([np.arange(9.0), np.full(9, 0.3)])
    X[4, 1] = 0.1 + 0.2  # another double than 0.3
    assert X[4, 1] != 0.3
    assert fit_column_scaling(X, standardize=True).kept.tolist() == [True, False]


def test_small_variations_on_a_large_offset_are_kept():
    noise = np.random.RandomState(0).randn(150)
    for offset, size in ((1e9, 1e-5), (1.7e9, 1e-5), (1e6, 1e-8), (1e15, 10.0)):
        X = (offset + size * noise)[:, None]
        A = fit_column_scaling(X, standardize=True).encode(X)
        assert abs(A.mean()) < 0.1
        assert A.std() == pytest.approx(1, abs=0.1)


def test_values_near_the_largest_double():
    X = np.where(np.random.RandomState(0).rand(20, 2) < 0.5, 1.7e308, -1.7e308)
    columns = fit_column_scaling(X, standardize=True)
    assert np.isfinite(columns.encode(X)).all()
    assert np.isfinite(columns.decode(np.full((1, 2), 9.0, np.float32))).all()


def test_weights_never_give_a_negative_variance():
    for seed in range(50):
        rng = np.random.RandomState(seed)
        X = np.column_stack([np.full(30, 0.3), rng.randn(30)])
        columns = fit_column_scaling(X, standardize=True, sample_weight=rng.rand(30))
        assert columns.kept.tolist() == [False, True]


@pytest.mark.parametrize("offset", [0.0, 50.0, 3e4, 1e6])
def test_rows_in_single_precision_keep_their_digits(offset):
    X = (offset + np.random.RandomState(0).randn(200, 3)).astype(np.float32)
    columns = fit_column_scaling(X, standardize=True)
    exact = (X.astype(np.float64) - columns.mean) / columns.scale
    np.testing.assert_allclose(columns.encode(X), exact, rtol=1e-6, atol=1e-4)


def test_single_precision_where_it_does_not_suffice():
    X = np.random.RandomState(0).randn(50, 2).astype(np.float32) * np.float32(1e-36)
    columns = fit_column_scaling(X, standardize=True)
    assert not columns.fits_single
    np.testing.assert_allclose(columns.encode(X).std(0), 1, atol=1e-5)
    _, encoder = device_rows(X, columns, torch.device("cpu"))
    assert encoder is None


def test_rows_are_encoded_by_batches_as_they_are_at_once():
    rng = np.random.RandomState(0)
    X = (rng.randn(60, 3) * [1, 5, 100] + [0, 3, 1e5]).astype(np.float32)
    X[:, 1] = 7.0  # constant
    for standardize in (True, False):
        columns = fit_column_scaling(X, standardize=standardize)
        whole = columns.encode(X)
        for layout in (X, np.asfortranarray(X), X.astype(np.float64)):
            rows, encoder = device_rows(layout, columns, torch.device("cpu"))
            assert (encoder is None) == (layout is not X)
            picked = rows[torch.tensor([5, 2, 40])]
            ours = picked if encoder is None else encoder(picked)
            np.testing.assert_allclose(ours, whole[[5, 2, 40]], rtol=1e-5, atol=1e-2)


def test_rows_that_do_not_count():
    rng = np.random.RandomState(0)
    X, where, weight = rng.randn(40, 3), rng.rand(40) < 0.5, rng.rand(40)
    X[~where] = 1e9
    few = fit_column_scaling(
        X[where], standardize=True, sample_weight=weight[where], keep_constant=True
    )
    ours = fit_column_scaling(
        X, standardize=True, sample_weight=weight, keep_constant=True, where=where
    )
    np.testing.assert_allclose(ours.mean, few.mean)
    np.testing.assert_allclose(ours.scale, few.scale)


def test_chunks_change_no_moments(monkeypatch):
    X = np.random.RandomState(0).randn(1000, 3) + np.array([0, 10, 1e6])
    whole = fit_column_scaling(X, standardize=True)
    monkeypatch.setattr(chunks.row_chunks, "__defaults__", (21,))
    assert len(list(iter_row_chunks(X))) == 143
    parts = fit_column_scaling(X, standardize=True)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.scale, whole.scale, rtol=1e-9)


def test_parts_are_views_or_the_rows_that_count():
    X = np.arange(20.0).reshape(10, 2)
    ((rows, part),) = iter_row_chunks(X)
    assert np.shares_memory(part, X)
    assert X[rows].tolist() == part.tolist() == X.tolist()
    where = np.arange(10) % 3 == 0
    ((rows, part),) = iter_row_chunks(X, where)
    assert rows.tolist() == [0, 3, 6, 9]
    assert part.tolist() == X[where].tolist()
    assert list(iter_row_chunks(X, np.zeros(10, bool))) == []


def test_shared_tensors_share_memory():
    X = np.arange(12.0).reshape(4, 3)
    frozen = X.copy()
    frozen.flags.writeable = False
    for array in (X, frozen, X[1:], X[:, ::2], X.T):
        tensor = tensor_sharing_memory(array)
        assert tensor.tolist() == array.tolist()
        assert tensor.data_ptr() == array.ctypes.data
    assert not frozen.flags.writeable
    assert tensor_sharing_memory(X[::-1]).tolist() == X[::-1].tolist()
