"""Statistics from one pass are those of rows in memory."""

import numpy as np
import pytest
from stored_rows import CountingSource

from sk_ssvae.data.column_types import choose_column_types
from sk_ssvae.data.layout import fit_layout
from sk_ssvae.data.scaling import fit_column_scaling
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.data.statistics import ColumnStatistics, collect_statistics
from sk_ssvae.data.streamed_columns import fit_streamed_columns
from sk_ssvae.data.support import fit_support
from sk_ssvae.utils import chunks

RNG = np.random.default_rng(0)
N = 600


def measurements():
    """Columns of very different magnitudes, with and without missing cells."""
    X = RNG.standard_normal((N, 7)) * [1, 1e150, 1e-160, 1e-3, 1e8, 1, 0]
    X += [1e6, 0, 0, 5, 0, 0, 3]
    X[:, 5] = np.clip(np.rint(X[:, 5] * 2), -3, 2)
    X[::7, 3] = np.nan
    X[:300, 4] = 0  # the magnitude changes late
    X[:250, 3] = np.nan
    return X


def unit_interval():
    X = np.clip(RNG.standard_normal((N, 5)) + 0.5, 0, 1)
    X[:, 4] = X[:, 4] > 0.5
    X[::9, 1] = np.nan
    return X


def counts():
    X = RNG.poisson(np.array([0.2, 5, 1e6, 3]), (N, 4)).astype(float)
    X[::5, 3] = np.nan
    return X


def codes():
    X = RNG.standard_normal((N, 3))
    X[:, 1] = RNG.integers(4, size=N)
    X[::4, 1] = np.nan
    return X


CASES = {
    "measurements": (measurements, [""] * 7, [0] * 7),
    "unit interval": (unit_interval, [""] * 5, [0] * 5),
    "zeros and ones": (lambda: (unit_interval() > 0.5) * 1.0, [""] * 5, [0] * 5),
    "counts": (counts, ["poisson"] * 2 + ["negative_binomial"] * 2, [0] * 4),
    "codes": (codes, ["", "categorical", ""], [0, 4, 0]),
}


def in_memory(X, assigned, sizes, used, weight):
    """Return what the functions for rows in memory choose."""
    types = choose_column_types(X, assigned, sizes > 0, used)
    limit = 1e9 if np.isin(types, ("poisson", "negative_binomial")).any() else 1e6
    scaling = fit_column_scaling(
        X,
        standardize=types == "gaussian",
        sample_weight=weight,
        where=used,
        names=list(range(X.shape[1])),
        limit=limit,
    )
    layout = fit_layout(X, types, sizes, scaling, used, weight)
    support = fit_support(X, (types == "gaussian") & (assigned == ""), used)
    return types, scaling, layout, support


def assert_same(found, expected, rtol):
    """Compare numbers up to rounding, everything else exactly."""
    for a, b in zip(found, expected, strict=True):
        if not hasattr(a, "__dataclass_fields__"):
            np.testing.assert_array_equal(a, b)
            continue
        for name in a.__dataclass_fields__:
            one, other = getattr(a, name), getattr(b, name)
            if name == "groups":
                for g, h in zip(one, other, strict=True):
                    assert (g.kind, g.sizes) == (h.kind, h.sizes)
                    for part in ("columns", "offset", "scale", "log_size"):
                        compare(getattr(g, part), getattr(h, part), rtol)
            else:
                compare(one, other, rtol)


def compare(one, other, rtol):
    if one is None or np.asarray(one).dtype.kind != "f":
        np.testing.assert_array_equal(one, other)
    else:
        np.testing.assert_allclose(one, other, rtol=rtol, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cells_per_chunk", [2**20, 200])
def test_one_pass_chooses_what_several_do(
    case, weighted, dtype, cells_per_chunk, monkeypatch
):
    make, assigned, sizes = CASES[case]
    X = make()
    if dtype == np.float32:
        X[np.abs(X) > 1e30] = 7
    X = X.astype(dtype)
    used = weight = None
    if weighted:
        weight = RNG.integers(0, 4, N).astype(float)
        used = weight > 0
    args = (np.array(assigned, dtype=object), np.array(sizes), used, weight)
    with np.errstate(all="ignore"):
        expected = in_memory(X, *args)
    monkeypatch.setattr(chunks.row_chunks, "__defaults__", (cells_per_chunk,))
    cells = SourceCells(CountingSource(X, 50), lambda rows: rows, X.dtype)
    found = fit_streamed_columns(cells, *args, names=list(range(X.shape[1])))
    if cells_per_chunk == 2**20:  # one chunk
        assert_same(found, expected, 0)
    else:  # variances of log(1 + count) are differences of large numbers
        assert_same(found, expected, 1e-6 if case == "counts" else 1e-10)


def test_each_block_is_read_once():
    source = CountingSource(measurements(), 50)
    cells = SourceCells(source, lambda rows: rows, np.float64)
    fit_streamed_columns(
        cells, np.array([""] * 7, dtype=object), np.zeros(7, dtype=int)
    )
    assert source.reads == list(range(0, N, 50))


def test_variances_of_columns_far_from_zero():
    rows = 1e9 + RNG.standard_normal((5000, 2)) * [1, 1e-3]
    statistics = ColumnStatistics(np.float64, np.zeros(2, int), np.zeros(2, bool))
    for part in np.split(rows, 50):
        statistics.update(part)
    mean, variance = statistics.moments(np.ones(2))
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-14)
    # The deviation of the second column is 8,000 rounding errors of its cells.
    np.testing.assert_allclose(variance, rows.var(axis=0), rtol=1e-3)


def test_a_column_of_another_magnitude_in_each_block():
    rows = np.concatenate([np.zeros((5, 1)), np.full((5, 1), 1e-200), [[1e200]] * 5])
    statistics = ColumnStatistics(np.float64, np.zeros(1, int), np.zeros(1, bool))
    for part in np.split(rows, 3):
        statistics.update(part)
    mean, variance = statistics.moments(np.array([1e200]))
    np.testing.assert_allclose([*mean, *variance], [1 / 3, 2 / 9], rtol=1e-14)
    assert (statistics.low, statistics.high) == (0, 1e200)
    assert (statistics.n_low, statistics.n_high) == (5, 5)


def test_statistics_of_the_rows_that_count():
    X = measurements()
    used = RNG.random(N) < 0.3
    cells = SourceCells(CountingSource(X, 50), lambda rows: rows, np.float64)
    summed = np.zeros(7, dtype=bool)
    found = collect_statistics(cells, np.zeros(7, int), summed, used)
    assert found.shape == (used.sum(), 7)
    np.testing.assert_array_equal(found.low, np.nanmin(X[used], axis=0))
    np.testing.assert_array_equal(found.n_observed, (~np.isnan(X[used])).sum(axis=0))
