"""Rows and labels in Parquet files."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mixed_rows import small_classifier

from sk_ssvae.data import from_parquet

N = 60
ROWS = {
    "a": np.random.default_rng(0).normal(size=N),
    "b": np.random.default_rng(1).integers(0, 5, N),
}
KINDS = {
    "integers": (pa.array([3, None, -7] * 20), np.array([3, -1, -7] * 20)),
    "small integers": (
        pa.array([3, None, 0] * 20, pa.int8()),
        np.array([3, -1, 0] * 20),
    ),
    "dictionary of integers": (
        pa.array([3, None, 0] * 20, pa.uint64()).dictionary_encode(),
        np.array([3, -1, 0] * 20),
    ),
    "strings": (pa.array(["x", None, "y"] * 20), ["x", -1, "y"] * 20),
    "large strings": (
        pa.array(["x", None, "y"] * 20, pa.large_string()),
        ["x", -1, "y"] * 20,
    ),
    "dictionary": (
        pa.array(["x", None, "y"] * 20).dictionary_encode(),
        ["x", -1, "y"] * 20,
    ),
    "booleans": (pa.array([True, None, False] * 20), [True, -1, False] * 20),
}


def write(folder, **columns):
    table = pa.table(ROWS | columns)
    for i, start in enumerate(range(0, N, 20)):
        part = table.slice(start, 20)
        pq.write_table(part, folder / f"part-{i}.parquet", row_group_size=7)
    return table


@pytest.mark.parametrize("kind", KINDS)
def test_labels(kind, tmp_path):
    column, expected = KINDS[kind]
    table = write(tmp_path, kind=column)
    X, y = from_parquet(tmp_path / "part-*.parquet", label="kind")
    assert y.tolist() == list(expected)
    assert [type(v) for v in y.tolist()] == [type(v) for v in list(y.tolist())]
    assert y.dtype == (np.int64 if "integers" in kind else object)
    assert (X.shape, X.names) == ((N, 2), ["a", "b"])
    found = small_classifier(max_epochs=2).fit(X, y)
    rows = table.drop_columns(["kind"])
    reference = small_classifier(max_epochs=2).fit(rows, y)
    np.testing.assert_array_equal(found.predict_proba(X), reference.predict_proba(rows))
    np.testing.assert_array_equal(found.predict(rows), reference.predict(rows))


def test_paths(tmp_path):
    write(tmp_path, kind=KINDS["strings"][0])
    files = [tmp_path / f"part-{i}.parquet" for i in range(3)]
    for path in (tmp_path, str(tmp_path / "*.parquet"), files, str(tmp_path / "**/*")):
        assert from_parquet(path).shape == (N, 3)
    one, y = from_parquet(files[2], "kind", columns=["b"])
    assert (one.shape, one.names, len(y)) == ((20, 1), ["b"], 20)
    assert one.read(3, 5)["b"].to_pylist() == ROWS["b"][43:45].tolist()
    # The rows of a list of files are in its order, those of a pattern sorted by name.
    last = from_parquet(files[::-1]).read(0, 1)["b"][0].as_py()
    assert last == ROWS["b"][40]


def test_errors(tmp_path):
    write(tmp_path, kind=KINDS["strings"][0], when=pa.array([1.5] * N))
    with pytest.raises(FileNotFoundError) as missing:
        from_parquet(tmp_path / "rows-*.parquet")
    assert str(missing.value) == f"There is no file '{tmp_path / 'rows-*.parquet'}'."
    message = (
        "The files have no column 'class'. Their columns are "
        r"\['a', 'b', 'kind', 'when'\]\."
    )
    with pytest.raises(ValueError, match=message):
        from_parquet(tmp_path, label="class")
    with pytest.raises(ValueError, match=message):
        from_parquet(tmp_path, columns=["a", "class"])
    with pytest.raises(TypeError) as types:
        from_parquet(tmp_path, label="when")
    assert str(types.value) == (
        "Labels must be integers, strings or booleans, but the column 'when' is of "
        "type double. Convert it, and write the files again."
    )


@pytest.mark.parametrize("encoded", [False, True])
def test_labels_that_are_too_large(encoded, tmp_path):
    column = pa.array([1, None, 2**63] * 20, pa.uint64())
    write(tmp_path, kind=column.dictionary_encode() if encoded else column)
    with pytest.raises(ValueError, match="not in range") as error:
        from_parquet(tmp_path, label="kind")
    text = str(error.value)
    assert text.startswith("Labels must lie within int64, but the column 'kind' is of ")
    assert text.endswith("Convert them to strings, and write the files again.")


def test_files_without_rows(tmp_path):
    table = pa.table(ROWS | {"kind": KINDS["strings"][0]})
    pq.write_table(table.slice(0, 0), tmp_path / "rows.parquet")
    path = str(tmp_path / "*.parquet")
    message = f"There are no rows in {path!r}. Pass files with at least one row."
    for label in (None, "kind"):
        with pytest.raises(ValueError, match=re.escape(message)):
            from_parquet(path, label)
    # Files without rows among others are left out.
    pq.write_table(table, tmp_path / "more.parquet")
    X, y = from_parquet(path, "kind")
    assert len(X) == len(y) == N
