"""Tables that are read in blocks, and their errors."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from mixed_rows import small_classifier
from stored_rows import TABLES, stored

from sk_ssvae.data import from_parquet, row_sources, streamed_columns
from sk_ssvae.data.arrow_files import index_columns
from sk_ssvae.data.containers import as_container
from sk_ssvae.data.detection import as_source
from sk_ssvae.data.row_sources import UnexpectedRowsError
from sk_ssvae.data.schema import infer_schema
from sk_ssvae.data.source_cells import read_rows

N = 120
LABELS = np.where(np.arange(N) < 30, np.arange(N) % 2, -1)


def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=N),
            "b": rng.integers(0, 9, N),
            "c": rng.choice(["x", "y", "z"], N),
            "d": rng.random(N) < 0.5,
        }
    )


def assert_refused(make, error, message, y=LABELS):
    clf = small_classifier(max_epochs=1)
    with pytest.raises(error, match=re.escape(message)):
        clf.fit(make(), y)
    assert [name for name in vars(clf) if name.endswith("_")] == []


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("cells_per_block", [2**6, 2**18])
def test_blocks_are_the_rows(kind, cells_per_block, tmp_path, monkeypatch):
    monkeypatch.setattr(row_sources, "BLOCK_CELLS", cells_per_block)
    source = as_source(stored(kind, frame(), tmp_path))
    assert (source.shape, source.names, source.dtype) == ((N, 4), list("abcd"), None)

    def as_frame(rows):
        rows = rows if isinstance(rows, pd.DataFrame) else rows.to_pandas()
        return rows.reset_index(drop=True).astype(frame().dtypes)

    blocks = [rows for _, rows in source.chunks()]
    pd.testing.assert_frame_equal(
        pd.concat([as_frame(b) for b in blocks], ignore_index=True), frame()
    )
    if cells_per_block == 2**6 and kind != "dask frame":
        assert max(len(b) for b in blocks) <= 30
    part = as_frame(source.read(25, 77))
    pd.testing.assert_frame_equal(part, frame()[25:77].reset_index(drop=True))
    some = source.read(55, 65, [2, 0])
    names = getattr(some, "column_names", None) or list(some.columns)
    assert (len(some), names) == (10, ["c", "a"])


@pytest.mark.parametrize("kind", TABLES)
def test_no_rows(kind, tmp_path):
    source = as_source(stored(kind, frame(), tmp_path))
    for start in (0, 30, 45, N):
        rows = source.read(start, start, [2, 0])
        names = getattr(rows, "column_names", None) or list(rows.columns)
        assert (len(rows), names) == (0, ["c", "a"])


@pytest.mark.parametrize("kind", ["arrow", "feather", "dask frame"])
def test_tables_without_rows_are_refused(kind, tmp_path):
    empty = frame().iloc[:0]
    table = pa.Table.from_pandas(empty, preserve_index=False)
    if kind == "feather":
        pa.dataset.write_dataset(table, tmp_path, format="feather")
        X = pa.dataset.dataset(tmp_path, format="feather")
    else:
        X = stored(kind, empty, tmp_path)
    message = "Found array with 0 sample(s)"
    assert_refused(lambda: X, ValueError, message, LABELS[:0])


def test_categories_of_all_blocks_are_declared(tmp_path):
    frames = pytest.importorskip("dask.dataframe")
    parts = [
        pd.DataFrame({"a": [0.5, 1.5], "k": pd.Categorical(levels, ordered=False)})
        for levels in (["p", "q"], ["q", "r"])
    ]
    meta = pd.DataFrame({"a": [0.5], "k": pd.Categorical(["p"])}).iloc[:0]
    X = frames.from_map(lambda part: part, parts, meta=meta)
    X["k"] = X["k"].cat.as_unknown()
    clf = small_classifier(max_epochs=1).fit(X, np.array([0, 1, -1, -1]))
    schema = clf.preprocessor_.schema
    assert schema.categories == (None, ["p", "q", "r"])
    assert list(schema.dtypes[1].categories) == ["p", "q", "r"]
    drawn = clf.sample(9)[0]
    assert set(drawn["k"]) <= {"p", "q", "r"}


@pytest.mark.parametrize("used", [None, np.arange(N) % 5 < 2])
def test_values_of_columns_are_those_in_memory(used, tmp_path):
    data = frame()
    data.loc[::7, "c"] = None
    data.loc[0, "c"] = "only once"
    table = pa.Table.from_pandas(data, preserve_index=False)
    source = as_source(stored("parquet", data, tmp_path))
    rows = as_container(table)
    categorical = np.array([False, True, False, False])
    expected = infer_schema(rows, categorical, from_dtype=True, used=used)
    values, dtypes = streamed_columns.values_of_columns(source, [1, 2], used)
    found = infer_schema(
        as_container(table.slice(0, 2)), categorical, from_dtype=True, columns=values
    )
    assert found.categories == expected.categories
    assert dtypes[2] == table.schema.field("c").type


def test_too_many_values(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed_columns, "MAX_VALUES", 20)
    data = frame().assign(c=[f"key {i}" for i in range(N)])
    message = (
        "Column 'c' has more than 20 different values, so that it can hardly hold "
        "categories. Leave it out, or convert it to numbers."
    )
    assert_refused(lambda: stored("parquet", data, tmp_path), ValueError, message)


def mapped(first, second):
    """Return a data frame of Dask with two partitions, and the types of the first."""
    frames = pytest.importorskip("dask.dataframe")
    return frames.from_map(lambda part: part, [first, second], meta=first.iloc[:0])


def test_partitions_with_other_columns_or_types():
    numbers = frame()[["a", "b"]].iloc[:60]
    assert_refused(
        lambda: mapped(numbers, numbers.rename(columns={"b": "e"})),
        ValueError,
        "Partition 1 of X (dask DataFrame) has the columns ['a', 'e'] instead of "
        "['a', 'b']. All partitions must have the columns of X.",
    )
    assert_refused(
        lambda: mapped(numbers, numbers.astype({"b": float})),
        ValueError,
        "Partition 1 of X (dask DataFrame) has the type float64 in column 'b', but X "
        "announces int64. Convert all partitions, for instance by X.astype('int64').",
    )


def test_partitions_without_rows():
    data = frame()[["a", "b"]]
    clf = small_classifier(max_epochs=1)
    with pytest.raises(ValueError, match="Found array with 0 sample") as memory:
        clf.fit(data[:0], [])
    assert_refused(
        lambda: mapped(data[:0], data[:0]), ValueError, str(memory.value), []
    )


def write(folder, *frames):
    for i, part in enumerate(frames):
        table = pa.Table.from_pandas(part, preserve_index=False)
        pq.write_table(table, folder / f"{i}.parquet")
    return folder


def test_files_with_other_columns_or_types(tmp_path):
    data = frame()
    folder = write(tmp_path, data, data.drop(columns="b"))
    for make in (lambda: pa.dataset.dataset(folder), lambda: from_parquet(folder)):
        message = (
            f"{folder / '1.parquet'} has no column 'b', which the data set has. Its "
            "columns are ['a', 'c', 'd']."
        )
        assert_refused(make, ValueError, message, np.tile(LABELS, 2))
    write(tmp_path, data, data.astype({"b": float}))
    assert_refused(
        lambda: from_parquet(folder),
        ValueError,
        f"{folder / '1.parquet'} has a column 'b' of type double, but the data set "
        "announces int64. Write all files with the same types.",
        np.tile(LABELS, 2),
    )
    assert from_parquet(folder, columns=["a", "c"]).shape == (2 * N, 2)


def test_a_file_in_which_a_column_is_all_null(tmp_path):
    data = frame()
    folder = write(tmp_path, data, data.assign(a=None))
    X = from_parquet(folder, columns=["a", "b"])
    clf = small_classifier(max_epochs=1).fit(X, np.tile(LABELS, 2))
    both = pd.concat([data, data.assign(a=np.nan)])[["a", "b"]]
    reference = small_classifier(max_epochs=1).fit(
        pa.Table.from_pandas(both, preserve_index=False), np.tile(LABELS, 2)
    )
    np.testing.assert_array_equal(
        clf.label_distributions_, reference.label_distributions_
    )


def changed(path, name="Parquet data set"):
    return (
        f"X is a {name} of a file that has changed since X was made: {path}. Call "
        "from_parquet, or pyarrow.dataset.dataset, again."
    )


def test_a_file_that_is_cut_short(tmp_path):
    X = from_parquet(write(tmp_path, frame()))
    (tmp_path / "0.parquet").write_bytes(b"PAR1")
    assert_refused(lambda: X, ValueError, changed(tmp_path / "0.parquet"))


def test_a_file_that_is_gone(tmp_path):
    X = from_parquet(write(tmp_path, frame()))
    (tmp_path / "0.parquet").unlink()
    message = (
        "Rows 0 to 1 of X (Parquet data set) cannot be read (FileNotFoundError: "
        f"[Errno 2] No such file or directory: '{tmp_path / '0.parquet'}')"
    )
    assert_refused(lambda: X, ValueError, message)


@pytest.mark.parametrize("other", ["same columns", "columns in another order"])
def test_a_file_that_was_written_again(other, tmp_path):
    data = frame()
    X = from_parquet(write(tmp_path, data, data))
    clf = small_classifier(max_epochs=1).fit(X, np.tile(LABELS, 2))
    again = pd.concat([data, data]) if other == "same columns" else data[list("badc")]
    pq.write_table(
        pa.Table.from_pandas(again, preserve_index=False), tmp_path / "1.parquet"
    )
    # The first file is as it was.
    assert X.read(0, N).num_rows == N
    message = re.escape(changed(tmp_path / "1.parquet"))
    with pytest.raises(UnexpectedRowsError, match=message):
        X.read(N - 1, N + 1)
    with pytest.raises(ValueError, match=message):
        clf.predict(X)
    with pytest.raises(ValueError, match=message):
        clf.fit(X, np.tile(LABELS, 2))


def test_a_data_set_of_files_that_were_written_again(tmp_path):
    # pyarrow keeps the footers that it read in the first call.
    data, y = frame()[["a", "b"]], np.resize([0, 1, -1], N)
    X = pa.dataset.dataset(write(tmp_path, data))
    clf = small_classifier(max_epochs=1).fit(X, y)
    expected = clf.predict_proba(X)
    write(tmp_path, data[["b", "a"]])
    name = "pyarrow FileSystemDataset"
    message = re.escape(changed(tmp_path / "0.parquet", name))
    with pytest.raises(ValueError, match=message):
        clf.predict_proba(X)
    write(tmp_path, data)
    X = pa.dataset.dataset(tmp_path)
    np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("names", [["b", "a", "e"], ["a", "b", "d"], ["a", "b"]])
def test_a_file_of_footers(names, tmp_path):
    data = frame()[["a", "b"]].assign(e=0.5)
    footers = []
    for i, start in enumerate((0, 60)):
        table = pa.Table.from_pandas(data[start : start + 60], preserve_index=False)
        path = tmp_path / f"{i}.parquet"
        pq.write_table(table, path, metadata_collector=footers, row_group_size=20)
        footers[-1].set_file_path(path.name)
    pq.write_metadata(table.schema, tmp_path / "_metadata", footers)
    X = pa.dataset.parquet_dataset(tmp_path / "_metadata")
    found = as_source(X).read(0, N).to_pandas()
    pd.testing.assert_frame_equal(found, data)
    again = data.assign(d=data["e"])[names]
    pq.write_table(
        pa.Table.from_pandas(again[60:], preserve_index=False), path, row_group_size=20
    )
    with pytest.raises(UnexpectedRowsError, match="has changed since X was made"):
        as_source(pa.dataset.parquet_dataset(tmp_path / "_metadata"))


def test_files_below_a_folder_of_a_file_system(tmp_path):
    local = pa.fs.SubTreeFileSystem(str(tmp_path), pa.fs.LocalFileSystem())
    write(tmp_path, frame())
    source = as_source(pa.dataset.dataset("0.parquet", filesystem=local))
    assert source.read(0, N).num_rows == N
    write(tmp_path, frame())
    with pytest.raises(UnexpectedRowsError, match="has changed since X was made"):
        source.read(0, N)


def test_rows_that_do_not_fit_into_memory(tmp_path, monkeypatch):
    X = from_parquet(write(tmp_path, frame()))

    def read(start, stop, columns=None):
        raise pa.ArrowMemoryError("malloc of size 1 failed")

    monkeypatch.setattr(X, "read", read)
    with pytest.raises(MemoryError, match=r"^malloc of size 1 failed$"):
        read_rows(X, 0, 1)


def test_the_index_of_pandas_is_no_column(tmp_path):
    data, y = frame(), np.resize([0, 1, -1], N)
    shuffled = data.sample(frac=1, random_state=0)
    named = data.assign(key=np.arange(N) * 7).set_index(["key", "c"])
    for name, rows in {"ix": shuffled, "named": named, "range": data}.items():
        path = tmp_path / f"{name}.parquet"
        rows.to_parquet(path)
        stored_names = pq.read_schema(path).names
        rows = pd.read_parquet(path)
        clf = small_classifier(max_epochs=1).fit(rows, y)
        for X in (from_parquet(path), pa.dataset.dataset(path)):
            assert as_source(X).names == list(rows.columns)
            np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(rows))
        chosen = from_parquet(path, columns=stored_names)
        assert chosen.names == stored_names
    X, keys = from_parquet(tmp_path / "named.parquet", label="key")
    assert (X.names, keys.tolist()) == (["a", "b", "d"], list(range(0, 7 * N, 7)))


@pytest.mark.parametrize("metadata", [b"{", b"[]", b"{}", b'{"index_columns": 3}'])
def test_metadata_that_pandas_did_not_write(metadata):
    schema = pa.schema([("a", pa.int64())], metadata={b"pandas": metadata})
    assert index_columns(schema) == []


def test_data_sets_without_rows(tmp_path):
    data = frame()
    empty = write(tmp_path, data[:0], data[:0])
    known = small_classifier(max_epochs=1).fit(data, np.resize([0, 1, -1], N))
    for make in (lambda: pa.dataset.dataset(empty), lambda: from_parquet(empty)):
        for clf, call in (
            (small_classifier(), lambda clf, X: clf.fit(X, [])),
            (known, lambda clf, X: clf.predict_proba(X)),
        ):
            with pytest.raises(ValueError, match="Found array with 0 sample") as memory:
                call(clf, data[:0])
            with pytest.raises(ValueError, match="Found array with 0 sample") as found:
                call(clf, make())
            assert str(found.value) == str(memory.value)
    # A file without rows among others is no fault.
    write(tmp_path, data[:0], data, data[:0])
    expected = known.predict_proba(data)
    np.testing.assert_array_equal(known.predict_proba(from_parquet(empty)), expected)


def test_a_filter_is_refused(tmp_path):
    X = pa.dataset.dataset(write(tmp_path, frame()))
    assert_refused(
        lambda: X.filter(pa.dataset.field("a") > 0),
        TypeError,
        "X is a pyarrow FileSystemDataset with a filter, whose rows cannot be read in "
        "blocks",
    )


def test_columns_of_the_same_name_are_refused():
    table = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    data = pa.dataset.InMemoryDataset(table)
    assert_refused(
        lambda: data,
        ValueError,
        "X has several columns of the same name: ['a']. Column names must be unique.",
        [0],
    )


def test_keys_of_folders_are_columns(tmp_path):
    data = frame()
    table = pa.Table.from_pandas(data, preserve_index=False)
    pq.write_to_dataset(table, tmp_path, partition_cols=["c"])
    X = pa.dataset.dataset(tmp_path, partitioning="hive")
    y = np.resize([0, 1, -1], N)
    found = small_classifier(max_epochs=1).fit(X, y)
    reference = small_classifier(max_epochs=1).fit(X.to_table(), y)
    np.testing.assert_array_equal(
        found.label_distributions_, reference.label_distributions_
    )


@pytest.mark.parametrize("format", ["feather", "csv"])
def test_data_sets_of_other_files(format, tmp_path):
    data = frame()[["a", "b"]]
    table = pa.Table.from_pandas(data, preserve_index=False)
    pa.dataset.write_dataset(table, tmp_path, format=format)
    X = pa.dataset.dataset(tmp_path, format=format)
    found = small_classifier(max_epochs=1).fit(X, LABELS)
    reference = small_classifier(max_epochs=1).fit(table, LABELS)
    np.testing.assert_array_equal(found.predict_proba(X), reference.predict_proba(X))
