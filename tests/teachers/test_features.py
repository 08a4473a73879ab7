"""Dense rows for teachers, from arrays and sparse arrays."""

import numpy as np
import pytest
from scipy import sparse

from sk_ssvae import SSVAEClassifier
from sk_ssvae.data.layout import as_layout
from sk_ssvae.data.scaling import fit_column_scaling
from sk_ssvae.teachers.features import dense_rows, network_inputs


@pytest.fixture
def wide_counts():
    """Return a sparse array of counts with more than 2500 columns."""
    rng = np.random.default_rng(0)
    shape = (150, 3000)
    counts = rng.integers(1, 6, shape) * (rng.random(shape) < 0.02)
    return sparse.csr_array(counts.astype(float))


def test_dense_arrays_are_returned_unchanged():
    X = np.arange(6.0).reshape(3, 2)
    assert dense_rows(X, seed=0) is X


def test_narrow_counts_become_dense_logarithms(wide_counts):
    X = wide_counts[:, :500]
    np.testing.assert_array_equal(dense_rows(X, seed=0), np.log1p(X.toarray()))


def test_narrow_numbers_become_dense(wide_counts):
    X = wide_counts[:, :500] * -0.5
    np.testing.assert_array_equal(dense_rows(X, seed=0), X.toarray())


def test_wide_counts_are_reduced_to_two_halves_of_equal_scale(wide_counts):
    before = wide_counts.copy()
    rows = dense_rows(wide_counts, seed=0)
    assert rows.shape == (150, 100)
    for half in (rows[:, :50], rows[:, 50:]):
        assert (half**2).sum(axis=1).mean() == pytest.approx(1)
    # Both halves are of rank 50, and they differ.
    assert np.linalg.matrix_rank(rows) > 50
    assert (wide_counts != before).nnz == 0


def test_stored_zeros_do_not_matter(wide_counts):
    with_zeros = wide_counts.copy()
    with_zeros.data[:20] = 0
    without = with_zeros.copy()
    without.eliminate_zeros()
    rows = dense_rows(with_zeros, seed=0)
    np.testing.assert_array_equal(rows, dense_rows(without, seed=0))
    assert with_zeros.nnz == wide_counts.nnz  # the input is not changed


def test_wide_numbers_are_reduced_by_a_single_decomposition(wide_counts):
    X = wide_counts * 0.5
    rows = dense_rows(X, seed=0)
    assert rows.shape == (150, 100)
    # A projection does not increase norms.
    assert ((rows**2).sum(axis=1) <= (X.toarray() ** 2).sum(axis=1) * 1.001).all()


def test_the_seed_determines_the_reduction(wide_counts):
    first, same, other = (dense_rows(wide_counts, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("whole", [True, False])
def test_missing_cells_of_sparse_rows_are_imputed(wide_counts, whole):
    X = wide_counts[:, :20].astype(float)
    if not whole:
        X = X * 1.25
    X.data[::5] = np.nan
    dense = X.toarray()
    scaling = fit_column_scaling(X, standardize=False)
    rows = network_inputs(X, scaling, as_layout("gaussian", scaling.n_kept))
    means = np.nanmean(dense, axis=0)
    expected = np.where(np.isnan(dense), np.rint(means) if whole else means, dense)
    np.testing.assert_allclose(rows.toarray(), expected, rtol=1e-12)
    assert np.isnan(X.data).any()  # a copy
    y = np.arange(X.shape[0]) % 3 - 1
    for teacher in ("pool", None):
        clf = SSVAEClassifier(teacher=teacher, class_prior="estimate", max_epochs=1)
        assert np.isfinite(clf.fit(X, y).predict_proba(X)).all()
