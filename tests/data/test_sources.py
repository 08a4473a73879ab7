"""Sources: blocks, the rows that are read of them, and errors of what is read."""

import os
import re

import numpy as np
import pytest
import torch
from mixed_rows import small_classifier
from scipy import sparse
from stored_rows import ARRAYS, CountingSource, stored

from sk_ssvae.data import row_sources, source_cells
from sk_ssvae.data.detection import as_source
from sk_ssvae.data.row_sources import block_limits
from sk_ssvae.data.scaling import fit_column_scaling
from sk_ssvae.data.sorted_rows import SortedRows
from sk_ssvae.data.source_cells import SourceCells, SourceRows

N = 300
X = np.random.default_rng(0).normal(size=(N, 4))
LABELS = np.where(np.arange(N) < 30, np.arange(N) % 2, -1)


def assert_refused(make, error, message, y=LABELS, **params):
    """Check that a fit fails with one message and leaves the estimator unfitted."""
    clf = small_classifier(max_epochs=1, **params)
    with pytest.raises(error, match=re.escape(message)):
        clf.fit(make(), y)
    assert [name for name in vars(clf) if name.endswith("_")] == []


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("cells_per_block", [2**8, 2**18])
def test_cells_are_those_of_the_array(kind, cells_per_block, tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", cells_per_block)
    source = as_source(stored(kind, X, tmp_path))
    assert (len(source), source.shape, source.names) == (N, X.shape, [0, 1, 2, 3])
    np.testing.assert_array_equal(np.concatenate([r for _, r in source.chunks()]), X)
    cells = SourceCells(source, lambda rows: rows, np.float64)
    rng = np.random.default_rng(1)
    for which in (
        slice(None),
        slice(63, 187),
        slice(5, 5),
        slice(-9, None),
        slice(200, 3, -7),
        rng.integers(0, N, 50),
        rng.random(N) < 0.2,
        np.array([N - 1, 0, 0]),
        np.array([-1, -N, 5]),
        [],
        np.int64(7),
        -2,
        np.empty(0, dtype=np.int64),
        *(slice(a, a) for a in (0, 64, 70, 90, 180, N)),
    ):
        np.testing.assert_array_equal(cells[which], X[which])
    np.testing.assert_array_equal(cells[:, 2], X[:, 2])
    rows = rng.permutation(N)[:40]
    np.testing.assert_array_equal(cells.subset(rows)[10:20], X[rows[10:20]])
    np.testing.assert_array_equal(cells.subset(rows)[-3], X[rows[-3]])


INDICES = {
    "too large": (np.array([3, N]), "Row 300 is out of range: X has 300 rows."),
    "too small": ([-N - 1], "Row -301 is out of range: X has 300 rows."),
    "a short mask": (
        np.ones(4, dtype=bool),
        "A mask of rows must have the shape (300,), got (4,).",
    ),
    "floats": (
        np.array([0.5]),
        "Rows are indexed by slices, integers and masks, got ndarray of dtype float64 "
        "and shape (1,).",
    ),
    "two dimensions": (
        [[1], [2]],
        "Rows are indexed by slices, integers and masks, got list of dtype int64 and "
        "shape (2, 1).",
    ),
}


@pytest.mark.parametrize("case", INDICES)
def test_indices_that_are_refused(case):
    rows, message = INDICES[case]
    cells = SourceCells(CountingSource(X, 50), lambda rows: rows, np.float64)
    with pytest.raises(IndexError, match=re.escape(message)):
        cells[rows]


def test_blocks_are_joined_but_not_split(monkeypatch):
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", 100)
    assert block_limits([3, 4, 5, 0, 50, 2, 2], 10).tolist() == [0, 7, 12, 62, 66]
    assert block_limits([], 10).tolist() == [0]
    assert block_limits([7], 1).tolist() == [0, 7]


class Chunked:
    """Rows in chunks that are read by indexing."""

    def __init__(self, shape, chunks, shards=None):
        self.shape, self.dtype, self.ndim = shape, np.dtype(float), 2
        self.chunks, self.shards = chunks, shards


def split(n, size):
    return (size,) * (n // size) + (n % size,) * (n % size > 0)


@pytest.mark.parametrize(
    ("shape", "chunks", "shards", "expected"),
    [
        # Blocks of 10 cells, and of at most 640 unless a chunk has more.
        ((300, 4), (300, 1), None, 160),
        ((300, 4), (100, 1), None, 100),
        ((300, 4), (2, 1), None, 2),
        ((5000, 4), (5000, 1), None, 1250),
        ((5000, 4), (5000, 2), None, 2500),
        ((5000, 4), (5000, 4), None, 5000),
        ((5000, 4), (5000, 9), None, 5000),
        ((300, 2000), (300, 1), None, 1),
        ((300, 2000), (300, 9), None, 1),
        ((5000, 4), (30, 4), (3000, 4), 150),
        ((5000, 4), (30, 4), (120, 4), 120),
    ],
)
def test_blocks_of_long_chunks(shape, chunks, shards, expected, monkeypatch):
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", 10)
    limits = as_source(Chunked(shape, chunks, shards)).limits
    assert limits.tolist() == [*range(0, shape[0], expected), shape[0]]
    if shards is None:
        lengths = tuple(split(n, c) for n, c in zip(shape, chunks, strict=True))
        limits = as_source(Chunked(shape, lengths)).limits
        assert limits.tolist() == [*range(0, shape[0], expected), shape[0]]


@pytest.mark.parametrize("kind", ["h5py", "zarr", "dask"])
def test_long_chunks_are_read_in_parts(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", 10)
    if kind == "dask":
        lazy = pytest.importorskip("dask.array").from_array(X, chunks=(N, 1))
    elif kind == "zarr":
        zarr = pytest.importorskip("zarr")
        lazy = zarr.create_array({}, shape=X.shape, chunks=(N, 1), dtype=X.dtype)
        lazy[:] = X
    else:
        file = pytest.importorskip("h5py").File(tmp_path / "long.h5", "w")
        lazy = file.create_dataset("rows", data=X, chunks=(N, 1))
    source = as_source(lazy)
    assert source.limits.tolist() == [0, 160, N]
    np.testing.assert_array_equal(np.concatenate([r for _, r in source.chunks()]), X)


@pytest.mark.parametrize(
    "value",
    [X, X.tolist(), torch.from_numpy(X), np.ma.masked_array(X), None, "rows", object()],
)
def test_rows_in_memory_are_no_source(value):
    assert as_source(value) is None


def test_arrays_made_from_a_memory_map_are_no_source(tmp_path):
    mapped = stored("memmap", X, tmp_path)
    assert as_source(mapped + 1) is None
    assert as_source(mapped[[1, 2]]) is None
    part = as_source(mapped[10:])
    np.testing.assert_array_equal(part.read(0, 5), X[10:15])


def rows_of(source, kept=None):
    cells = SourceCells(source, lambda rows: rows, np.float64)
    scaling = fit_column_scaling(X, standardize=True)
    return SourceRows(cells, scaling, torch.device("cpu"), kept), scaling


@pytest.mark.parametrize("kept", [None, np.array([0, 7, 150, 299])])
def test_batches_are_encoded_rows(kept):
    source = CountingSource(X, 40)
    rows, scaling = rows_of(source, kept)
    source.reads.clear()
    which = torch.tensor([299, 7, 7, 0, 150])
    found = rows.index_select(0, which).numpy()
    np.testing.assert_array_equal(found, scaling.encode(X[which.numpy()]))
    assert found.dtype == np.float32
    rows.index_select(0, torch.tensor([3, 299]))
    if kept is not None:  # block 0 was read for the kept rows
        assert source.reads == []


def shuffled(rows, chosen, total, generator):
    """Return the positions of shuffled rows at once."""
    chunks = rows.shuffled(SortedRows(np.isin(np.arange(N), chosen)), total, generator)
    return torch.cat([chunk.long() for chunk in chunks]).numpy()


def test_rows_are_shuffled_in_groups_of_blocks(monkeypatch):
    rows, _ = rows_of(CountingSource(X, 30))
    chosen = np.arange(50, N)
    generator = torch.Generator().manual_seed(0)
    same = torch.Generator().manual_seed(0)
    # All rows fit into the buffer: any permutation is as likely as another.
    np.testing.assert_array_equal(
        shuffled(rows, chosen, 250, generator), torch.randperm(250, generator=same)
    )
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 2 * 30 * 4)
    for n_passes in (1, 3):
        seen = set()
        for _ in range(20):
            found = shuffled(rows, chosen, 250 * n_passes, generator)
            assert (np.bincount(found) == n_passes).all()
            blocks = (50 + found) // 30
            # Each group of two blocks is finished before the next one begins.
            ends = [np.flatnonzero(blocks == b)[[0, -1]] for b in range(1, 10)]
            alive = [sum(a <= i <= b for a, b in ends) for i in range(len(found))]
            assert max(alive) <= 2
            assert (np.diff(blocks) != 0).sum() > 50
            seen.add(tuple(dict.fromkeys(blocks.tolist())))
        assert len(seen) > 10  # the order of the blocks is random


def test_a_remainder_has_each_row_with_the_same_probability(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 4 * 2 * 30 * 4)
    rows, _ = rows_of(CountingSource(X, 30))
    generator = torch.Generator().manual_seed(0)
    total = np.zeros(N)
    for _ in range(600):
        found = shuffled(rows, np.arange(N), N + 75, generator)
        counts = np.bincount(found, minlength=N)
        assert set(counts) == {1, 2}
        total += counts - 1
    # Blocks are independent of their number; 600 / 4 repetitions of each are expected.
    of_block = total.reshape(10, 30).sum(axis=1)
    assert abs(of_block / (30 * 150) - 1).max() < 0.25


def test_rows_that_are_kept_are_shuffled_freely(monkeypatch):
    monkeypatch.setattr(source_cells, "BUFFER_CELLS", 300)
    kept = np.array([3, 100, 180, 299])
    rows, _ = rows_of(CountingSource(X, 30), kept)
    found = shuffled(rows, kept, 9, torch.Generator().manual_seed(0))
    same = torch.Generator().manual_seed(0)
    expected = torch.cat([torch.randperm(4, generator=same) for _ in range(3)])[:9]
    np.testing.assert_array_equal(found, expected)
    many, _ = rows_of(CountingSource(X, 30), np.arange(80))  # 320 cells
    source = many.cells.source
    source.reads.clear()
    many.index_select(0, torch.tensor([79]))
    many.cells[slice(200, 300)]
    many.index_select(0, torch.tensor([0]))
    assert 0 in source.reads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_memory_map_that_is_cut_short(dtype, tmp_path):
    path = tmp_path / "rows.npy"
    mapped = stored("memmap", X.astype(dtype), tmp_path)
    clf = small_classifier(max_epochs=1).fit(mapped, LABELS)
    needed = path.stat().st_size
    os.truncate(path, 1000)
    message = (
        f"X is a numpy memmap of a file that was cut short: {path} has 1000 bytes, but "
        f"{needed} were mapped. Write the file again, and map it again."
    )
    assert_refused(lambda: mapped, ValueError, message)
    for method in (clf.predict, clf.transform, clf.score_samples):
        with pytest.raises(ValueError, match=re.escape(message)):
            method(mapped)


def test_a_memory_map_that_is_cut_short_during_training(tmp_path):
    mapped = stored("memmap", X.astype(np.float32), tmp_path)
    cells = SourceCells(as_source(mapped), lambda rows: rows, np.float32)
    scaling = fit_column_scaling(X, standardize=True)
    rows = SourceRows(cells, scaling, torch.device("cpu"))
    rows.index_select(0, torch.tensor([299]))
    os.truncate(tmp_path / "rows.npy", 100)
    with pytest.raises(ValueError, match="was cut short"):
        rows.index_select(0, torch.tensor([299]))


@pytest.mark.parametrize("kind", ["h5py", "h5py chunks"])
def test_an_hdf5_file_that_is_cut_short_or_closed(kind, tmp_path):
    data = stored(kind, X, tmp_path)
    path = tmp_path / "rows.h5"
    size = path.stat().st_size
    os.truncate(path, size - 500)
    message = (
        f"X is a h5py Dataset of a file that was cut short: {path} has {size - 500} "
        f"bytes instead of {size}. Write the file again, and open it again."
    )
    assert_refused(lambda: data, ValueError, message)
    file = data.file
    message = "X is a h5py File, which holds arrays and other groups. Pass one of its"
    assert_refused(lambda: file, TypeError, message)
    file.close()
    message = (
        "X is a h5py Dataset of a file that is closed. Open the file, and keep it open "
        "during the call."
    )
    assert_refused(lambda: data, ValueError, message)


def test_an_hdf5_file_that_is_being_written(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        data = file.create_dataset("rows", data=X)
        small_classifier(max_epochs=1).fit(data, LABELS)


def delayed(rows, dtype=float):
    dask = pytest.importorskip("dask")
    array = pytest.importorskip("dask.array")
    return array.from_delayed(dask.delayed(rows), shape=X.shape, dtype=dtype)


def divided():
    dask = pytest.importorskip("dask")
    return delayed(dask.delayed(lambda: 1 / 0)())


def filtered():
    rows = stored("dask", X, None)
    return rows[rows[:, 0] > 0]


DASK = {
    "an unknown number of rows": (
        filtered,
        ValueError,
        "X is a dask Array whose number of rows is unknown: (nan, 4). Pass "
        "X.compute_chunk_sizes().",
    ),
    "blocks of another type": (
        lambda: delayed(X.astype(int)),
        ValueError,
        "Rows 0 to 1 of X (dask Array) have the dtype int64, but X announces "
        "float64. Convert all blocks, for instance by X.astype('int64').",
    ),
    "blocks with other columns": (
        lambda: delayed(X[:, :3]),
        ValueError,
        "Rows 0 to 1 of X (dask Array) have the shape (2, 3) instead of (2, 4). "
        "All blocks must have the columns of X, and the numbers of rows that X "
        "announces.",
    ),
    "blocks with fewer rows": (
        lambda: delayed(X[:-1]),
        ValueError,
        "Rows 0 to 299 of X (dask Array) have the shape (299, 4) instead of (300, 4).",
    ),
    "blocks that are no arrays": (
        lambda: delayed(sparse.csr_array(X)),
        TypeError,
        "Rows 0 to 1 of X (dask Array) are a csr_array. The blocks of an array must "
        "be arrays of numpy.",
    ),
    "blocks that cannot be computed": (
        divided,
        ValueError,
        "Rows 0 to 1 of X (dask Array) cannot be read (ZeroDivisionError: division by "
        "zero). Check that the file is complete, and open and unchanged during the "
        "call.",
    ),
    "three dimensions": (
        lambda: stored("dask", X, None)[None],
        ValueError,
        "Expected 2D array, got 3D array instead: X is a dask Array of shape "
        "(1, 300, 4). Reshape it to (n_samples, n_features).",
    ),
}


@pytest.mark.parametrize("case", DASK)
def test_arrays_of_dask_that_are_refused(case):
    assert_refused(*DASK[case])


def test_a_source_of_objects_is_refused():
    message = (
        "X is a counting source of dtype object, but rows that are read in blocks must "
        "be numbers. Convert it to numbers, or pass a table with typed columns."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        CountingSource(X.astype(object), 50)


@pytest.mark.parametrize("kind", ["h5py", "zarr", "dask", "dask objects"])
def test_arrays_of_strings_are_loaded_with_a_warning(kind, tmp_path):
    words = np.random.default_rng(0).choice(["a", "b", "c"], (N, 2))
    words = words.astype({"h5py": "S1", "dask objects": object}.get(kind, str))
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        lazy = zarr.create_array({}, shape=words.shape, chunks=(60, 2), dtype="str")
        lazy[:] = words
    else:
        lazy = stored(kind.partition(" ")[0], words, tmp_path)
    assert as_source(lazy) is None
    params = {"max_epochs": 1, "categorical_features": [0, 1]}
    reference = small_classifier(**params).fit(words, LABELS)
    with pytest.warns(UserWarning, match="is loaded into memory as a whole") as caught:
        model = small_classifier(**params).fit(lazy, LABELS)
    assert len(caught) == 1
    categories = reference.preprocessor_.schema.categories
    assert model.preprocessor_.schema.categories == categories
    np.testing.assert_array_equal(
        model.label_distributions_, reference.label_distributions_
    )


@pytest.mark.parametrize("n_labels", [N - 1, N + 1])
def test_more_or_fewer_labels_than_rows(n_labels):
    message = f"inconsistent numbers of samples: [{N}, {n_labels}]"
    y = np.resize(LABELS, n_labels)
    assert_refused(lambda: CountingSource(X, 50), ValueError, message, y)


def with_cell(value):
    rows = X.copy()
    rows[260, 1] = value
    return CountingSource(rows, 50)


CELLS = {
    "infinity": (
        lambda: with_cell(np.inf),
        "Input X contains infinity or a value too large for dtype('float64').",
        {},
    ),
    "outside of the support": (
        lambda: CountingSource(np.abs(X), 50),
        "likelihood='poisson' needs whole numbers from 0 to 1e9, but X has 0.12573 in "
        "row 0, column 0. Use likelihood='gaussian' for columns that are not counts.",
        {"likelihood": "poisson"},
    ),
    "too large for a count": (
        lambda: CountingSource(1e200 * (np.abs(X) > 1), 50),
        "likelihood='poisson' needs whole numbers from 0 to 1e9, but X has 1e+200 in",
        {"likelihood": "poisson"},
    ),
    "no cell": (
        lambda: CountingSource(X * [1, np.nan, 1, 1], 50),
        "Every cell of the columns [1] is missing, so they carry no information. "
        "Remove these columns.",
        {},
    ),
    "constant": (
        lambda: CountingSource(np.ones_like(X), 50),
        "Every column of X is constant in all 300 rows (to within rounding), so there "
        "is nothing to learn from. Give at least one column that varies.",
        {},
    ),
}


@pytest.mark.parametrize("case", CELLS)
def test_cells_that_are_refused(case):
    make, message, params = CELLS[case]
    assert_refused(make, ValueError, message, **params)


def test_few_rows_and_columns_are_refused_as_in_memory():
    for shape in ((0, 4), (1, 4), (9, 0)):
        rows = np.zeros(shape)
        clf = small_classifier(max_epochs=1)
        with pytest.raises(ValueError) as expected:
            clf.fit(rows, LABELS[: len(rows)])
        message = str(expected.value).partition("(shape")[0]
        assert_refused(
            lambda rows=rows: CountingSource(rows, 50),
            ValueError,
            message,
            LABELS[: len(rows)],
        )


def test_new_rows_with_other_columns_are_refused():
    clf = small_classifier(max_epochs=1).fit(CountingSource(X, 50), LABELS)
    message = "X has 3 features, but SSVAEClassifier is expecting 4 features as input."
    with pytest.raises(ValueError, match=message):
        clf.predict(CountingSource(X[:, :3], 50))
    with pytest.raises(ValueError, match="contains infinity"):
        clf.predict(with_cell(-np.inf))


def test_rows_that_have_to_be_read_in_blocks():
    with pytest.raises(NotImplementedError, match="counting source is read in blocks"):
        CountingSource(X, 50).take(np.array([0]))
