"""Rows and labels in Parquet files."""

import re

import numpy as np
import pandas as pd
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
    "large integers": (
        pa.array([2**63 - 1, None, 0] * 20, pa.uint64()),
        np.array([2**63 - 1, -1, 0] * 20),
    ),
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


@pytest.mark.parametrize("unlabeled", [None, -5, "?"])
@pytest.mark.parametrize("kind", KINDS)
def test_marker(kind, unlabeled, tmp_path):
    # With another marker, -1 is a class.
    column = pa.array([-1, None, 4] * 20) if kind == "integers" else KINDS[kind][0]
    write(tmp_path, kind=column)
    X, y = from_parquet(tmp_path, label="kind", unlabeled=unlabeled)
    expected = [unlabeled if v is None else v for v in column.to_pylist()]
    assert y.tolist() == expected
    assert [type(v) for v in y.tolist()] == [type(v) for v in expected]
    if kind != "large integers":
        clf = small_classifier(max_epochs=1, unlabeled=unlabeled).fit(X, y)
        known = {v for v in column.to_pylist() if v is not None}
        assert set(clf.classes_.tolist()) == known


def test_nulls_and_the_marker(tmp_path):
    def message(value):
        return re.escape(
            f"The column 'kind' has both nulls and the value {value!r}, which marks "
            "unlabelled rows, so that one could not be told from the other. If both "
            f"mean unlabelled, write the files with one of them; if {value!r} is a "
            "class, pass another marker to from_parquet and to the estimator: "
            "unlabeled=None."
        )

    # The null and the marker are in different files.
    write(tmp_path, kind=pa.array([None, *[0] * 58, -1]))
    with pytest.raises(ValueError, match=message(-1)):
        from_parquet(tmp_path, label="kind")
    _, y = from_parquet(tmp_path, label="kind", unlabeled=None)
    assert y.tolist() == [None, *[0] * 58, -1]
    write(tmp_path, kind=pa.array([None, "?", "x"] * 20))
    with pytest.raises(ValueError, match=message("?")):
        from_parquet(tmp_path, label="kind", unlabeled="?")
    # A boolean is no number, and a string that reads as the marker not the marker.
    for values in ([True, None, False], ["1", None, "0"]):
        write(tmp_path, kind=pa.array(values * 20))
        _, y = from_parquet(tmp_path, label="kind", unlabeled=1)
        assert y.tolist() == [values[0], 1, values[2]] * 20
    # Without nulls, the marker stands for itself.
    write(tmp_path, kind=pa.array([-1, 0, 1] * 20))
    assert from_parquet(tmp_path, label="kind")[1].tolist() == [-1, 0, 1] * 20
    message = "unlabeled=True is a boolean, which cannot be distinguished"
    with pytest.raises(TypeError, match=message):
        from_parquet(tmp_path, label="kind", unlabeled=True)


def test_labels_that_int64_cannot_hold(tmp_path):
    write(tmp_path, kind=pa.array([2**63, None, 0] * 20, pa.uint64()))
    with pytest.raises(ValueError, match="the column 'kind' is of type uint64") as e:
        from_parquet(tmp_path, label="kind")
    assert str(e.value) == (
        "Labels must be integers of at most 64 bits with a sign, but the column 'kind' "
        "is of type uint64 and has others (Integer value 9223372036854775808 not in "
        "range: 0 to 9223372036854775807). Convert it to strings, and write the files "
        "again."
    )


def test_columns_only_some_files_have(tmp_path):
    both = pa.table({"a": [1.0, 2.0], "b": [3, 4]})
    pq.write_table(both, tmp_path / "0.parquet")
    pq.write_table(both.select(["a"]), tmp_path / "1.parquet")
    files = [tmp_path / "0.parquet", tmp_path / "1.parquet"]
    with pytest.raises(ValueError, match="has no column 'b', which the data set has"):
        from_parquet(files)
    with pytest.raises(ValueError, match="has a column 'b', which") as error:
        from_parquet(files[::-1])
    assert str(error.value) == (
        f"{files[0]} has a column 'b', which {files[1]} has not. Write all files with "
        "the same columns, or name those to read by columns=[...]."
    )
    for order in (files, files[::-1]):
        assert from_parquet(order, columns=["a"]).shape == (4, 1)
    # The index of pandas is no column, whether all files have it or not.
    pd.DataFrame({"a": [0.5]}, index=[7]).to_parquet(files[0])
    for order in (files, files[::-1]):
        assert (from_parquet(order).names, from_parquet(order).shape) == (["a"], (3, 1))


def test_columns(tmp_path):
    write(tmp_path, kind=KINDS["strings"][0])
    names = ["b", "a"]
    for columns in (
        (name for name in names),
        np.array(names),
        pd.Index(names),
        tuple(names),
        dict.fromkeys(names),
    ):
        X, y = from_parquet(tmp_path, "kind", columns=columns)
        assert (X.names, len(y)) == (names, N)
        assert X.read(0, 2).column_names == names
        assert from_parquet(tmp_path, columns=names).names == names


@pytest.mark.parametrize("columns", ["ab", b"ab", {"a"}, 3])
def test_columns_of_another_type(columns, tmp_path):
    write(tmp_path)
    message = (
        "columns must be a list of names in the order of the features, but got "
        f"{columns!r} of type {type(columns).__name__}."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        from_parquet(tmp_path, columns=columns)


@pytest.mark.parametrize("columns", [["a", 3], ["a", ["b"]], np.array([["a", "b"]])])
def test_columns_whose_names_are_no_strings(columns, tmp_path):
    write(tmp_path)
    wrong = columns[-1]
    message = (
        f"The names in columns must be strings, but got {wrong!r} of type "
        f"{type(wrong).__name__}."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        from_parquet(tmp_path, columns=columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([], "columns is empty. Name at least one, or pass None for all."),
        (["b", "a", "b"], "columns has the names ['b'] several times."),
        (
            ["a", "kind"],
            "columns has the column of the labels, 'kind', which must not be a "
            "feature. Remove it.",
        ),
    ],
)
def test_columns_that_cannot_be_features(columns, message, tmp_path):
    write(tmp_path, kind=KINDS["strings"][0])
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        from_parquet(tmp_path, "kind", columns=columns)


@pytest.mark.parametrize("path", [None, 3, b"rows", [b"rows"], ["rows", 3], [None]])
def test_paths_of_another_type(path):
    wrong = path[-1] if isinstance(path, list) else path
    message = (
        f"path must be a str or path-like, or a list of these, but got {wrong!r} of "
        f"type {type(wrong).__name__}."
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        from_parquet(path)


def test_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^The list of files is empty\.$"):
        from_parquet([])
    with pytest.raises(FileNotFoundError) as empty:
        from_parquet(tmp_path)
    assert str(empty.value) == f"There are no files in the folder '{tmp_path}'."
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "a"))):
        from_parquet([tmp_path / "a"])


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows(kind, tmp_path):
    table = pa.table(ROWS | {"kind": KINDS[kind][0]})
    pq.write_table(table[:0], tmp_path / "0.parquet")
    X, y = from_parquet(tmp_path / "0.parquet", label="kind")
    assert (X.shape, y.shape) == ((0, 2), (0,))
    assert y.dtype == (np.int64 if "integers" in kind else object)
    assert X.read(0, 0).schema.names == ["a", "b"]


@pytest.fixture
def partitioned(tmp_path):
    table = pa.table(
        ROWS | {"kind": KINDS["strings"][0], "g": [1, 2] * 30, "h": list("xyzz") * 15}
    )
    folder = tmp_path / "run=3" / "rows"
    pq.write_to_dataset(table, folder, partition_cols=["g", "h"])
    return folder


def test_keys_of_folders_are_columns(partitioned):
    expected = pq.read_table(partitioned)
    X, y = from_parquet(partitioned, label="kind")
    rows = expected.drop_columns(["kind"])
    assert X.names == rows.column_names == ["a", "b", "g", "h"]
    assert X.read(0, N).schema.types == rows.schema.types
    assert X.read(0, N).to_pylist() == rows.to_pylist()
    found = small_classifier(max_epochs=2).fit(X, y)
    reference = small_classifier(max_epochs=2).fit(rows, y)
    np.testing.assert_array_equal(found.predict_proba(X), reference.predict_proba(rows))
    np.testing.assert_array_equal(found.predict_proba(rows), found.predict_proba(X))


@pytest.mark.parametrize("label", ["g", "h"])
def test_keys_of_folders_are_labels(label, partitioned):
    X, y = from_parquet(partitioned, label=label)
    assert X.names == [name for name in ["a", "b", "kind", "g", "h"] if name != label]
    assert y.tolist() == pq.read_table(partitioned)[label].to_pylist()
    assert y.dtype == (np.int64 if label == "g" else object)


def test_keys_in_patterns(partitioned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below = partitioned / "g=1"
    for pattern, keys in (
        (partitioned / "*" / "*" / "*.parquet", ["g", "h"]),
        (partitioned / "g=1" / "*" / "*.parquet", ["h"]),
        ("run=3/rows/*/*/*.parquet", ["g", "h"]),
        ("**/*.parquet", ["run", "g", "h"]),
        (below / "h=x" / "*.parquet", []),
    ):
        names = from_parquet(pattern).names
        assert (names[:3], sorted(names[3:])) == (["a", "b", "kind"], sorted(keys))
    # A single file, as in pyarrow.parquet.read_table.
    file = next((below / "h=x").iterdir())
    assert from_parquet(file).names == pq.read_table(file).column_names
    files = [file, *(partitioned / "g=2").rglob("*.parquet")]
    names = from_parquet(files).names
    assert names == pq.read_table([str(f) for f in files]).column_names
