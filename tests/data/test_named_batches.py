"""Columns are taken from batches by name, and results are added to them."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sk_ssvae.data.named_batches import add_columns, column_names, select_columns

FRAME = pd.DataFrame(
    {"a": [1.0, None, 3.0], "b": ["x", None, "y"], "c": [1, 2, 3]}, index=[7, 5, 9]
)
TABLE = pa.table(
    [pa.array([1.0, None, 3.0]), pa.array(["x", None, "y"]), pa.array([1, 2, 3])],
    schema=pa.schema(
        [("a", pa.float64()), ("b", pa.string()), pa.field("c", pa.int64(), False)],
        metadata={"source": "sensor 1"},
    ),
)
BATCHES = {
    "dict": {name: FRAME[name].to_numpy() for name in FRAME},
    "pandas": FRAME,
    "polars": pl.from_pandas(FRAME.reset_index(drop=True)),
    "table": TABLE,
    "record batch": TABLE.to_batches()[0],
}
RESULTS = {
    "single": np.array([0.5, 0.25, 0.125], dtype=np.float32),
    "label": np.array(["left", "right", "left"]),
    "code": np.array([2, 0, 1]),
    "flag": np.array([True, False, True]),
}


def to_lists(batch):
    """Return the columns of a batch as lists, with None for missing values."""
    columns = batch if isinstance(batch, dict) else {}
    if not columns:
        columns = {name: batch[name] for name in column_names(batch)}
    return {
        name: [None if pd.isna(v) else v for v in pd.Series(list(values)).tolist()]
        if isinstance(batch, dict | pd.DataFrame)
        else (values.to_pylist() if hasattr(values, "to_pylist") else values.to_list())
        for name, values in columns.items()
    }


EXPECTED = to_lists(FRAME)


def test_a_batch_of_each_kind_has_the_same_columns():
    assert EXPECTED["a"] == [1.0, None, 3.0]
    for batch in BATCHES.values():
        assert column_names(batch) == ["a", "b", "c"]
        assert to_lists(batch) == EXPECTED


@pytest.mark.parametrize("kind", BATCHES)
def test_columns_are_selected_in_the_given_order(kind):
    X = select_columns(BATCHES[kind], ["c", "a"], owner="E", library="pandas")
    assert column_names(X) == ["c", "a"]
    values = to_lists(X)
    assert values == {"c": EXPECTED["c"], "a": EXPECTED["a"]}


@pytest.mark.parametrize(
    ("library", "cls"),
    [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)],
)
def test_a_dict_becomes_a_frame_of_the_library(library, cls):
    batch = {"a": [1.5, 2.5], "b": np.array([1, 2], np.int16), "other": None}
    X = select_columns(batch, ["b", "a"], owner="E", library=library)
    assert isinstance(X, cls)
    assert to_lists(X) == {"b": [1, 2], "a": [1.5, 2.5]}


@pytest.mark.parametrize("n_rows", [3, 0])
@pytest.mark.parametrize("kind", BATCHES)
def test_results_are_added_at_the_end(kind, n_rows):
    batch = BATCHES[kind]
    if kind == "dict":
        batch = {name: values[:n_rows] for name, values in batch.items()}
    else:
        batch = batch[:n_rows]
    out = add_columns(batch, {name: v[:n_rows] for name, v in RESULTS.items()})
    assert type(out) is type(batch)
    assert column_names(out) == ["a", "b", "c", *RESULTS]
    assert column_names(batch) == ["a", "b", "c"]
    assert to_lists(out) == {
        name: list(values)[:n_rows] for name, values in (EXPECTED | RESULTS).items()
    }


def test_column_types_do_not_depend_on_the_number_of_rows():
    for kind in ("pandas", "polars", "table", "record batch"):
        batch = BATCHES[kind]
        full = add_columns(batch, RESULTS)
        empty = add_columns(batch[:0], {name: v[:0] for name, v in RESULTS.items()})
        if kind == "pandas":
            pd.testing.assert_series_equal(empty.dtypes, full.dtypes)
            assert full["single"].dtype == np.float32
        else:
            assert empty.schema == full.schema


def test_the_index_and_the_schema_are_kept():
    out = add_columns(FRAME, RESULTS)
    pd.testing.assert_frame_equal(out[FRAME.columns], FRAME)
    for kind in ("table", "record batch"):
        schema = add_columns(BATCHES[kind], RESULTS).schema
        assert schema.metadata == TABLE.schema.metadata
        assert [schema.field(name) for name in "abc"] == list(TABLE.schema)
        assert schema.field("single").type == pa.float32()


def test_missing_columns_are_named():
    many = {f"x{i}": np.zeros(2) for i in range(12)}
    with pytest.raises(ValueError) as error:
        select_columns(many, ["a", "x1", "b"], owner="Estimator", library="pandas")
    assert str(error.value) == (
        "The batch lacks the columns ['a', 'b'], with which Estimator was fitted. Its "
        "columns are ['x0', 'x1', 'x2', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8', 'x9', ...]."
    )


def test_a_column_of_vectors_is_refused():
    batch = {"a": np.zeros((5, 2)), "b": np.zeros(5)}
    with pytest.raises(ValueError) as error:
        select_columns(batch, ["b", "a"], owner="E", library="pandas")
    assert str(error.value) == (
        "The column 'a' of the batch has the shape (5, 2). Columns must have one "
        "dimension."
    )


@pytest.mark.parametrize("batch", [np.zeros((2, 2)), [[1.0]], None, pl.LazyFrame()])
def test_other_objects_are_refused(batch):
    with pytest.raises(TypeError) as error:
        column_names(batch)
    assert str(error.value) == (
        "A batch must be a dict of arrays, a data frame, or a table or record batch of "
        f"Arrow, got an object of type {type(batch).__name__}."
    )
