"""Containers of rows for the fuzzer: arrays, lists, data frames and others."""

import datetime
import decimal
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch
from fuzz_numbers import DTYPES, LAYOUTS, cast, make_numbers
from scipy import sparse


def _text(x):
    return np.array([[f"{v:.6g}" for v in row] for row in x], "U").reshape(x.shape)


def _towns(x):
    return np.array(["Oslo", "Rome", "Wien"])[(np.nan_to_num(x) > 0) * 1 + (x > 2)]


def _dates(x):
    return (np.nan_to_num(x).clip(-99, 99) * 100).astype("int64").astype("M8[D]")


def _records(x):
    return np.zeros(len(x), [("a", float), ("b", float)])


def _masked(x):
    return np.ma.masked_invalid(x)


def _masked_some(x):
    return np.ma.MaskedArray(x, np.arange(x.size).reshape(x.shape) % 5 == 0)


def _matrix(x):
    return x.view(np.matrix)


class _Arraylike:
    """An object that numpy can convert to an array."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.array(self.x, dtype=dtype)


def _duplicates(x):
    """Return a sparse array in which each cell is the sum of two entries."""
    half = sparse.coo_array(np.nan_to_num(x) / 2)
    data, (row, col) = np.tile(half.data, 2), half.coords
    coords = (np.tile(row, 2), np.tile(col, 2))
    return sparse.coo_array((data, coords), shape=x.shape)


def _wide_indices(x):
    X = sparse.csr_array(x)
    X.indices, X.indptr = X.indices.astype("int64"), X.indptr.astype("int64")
    return X


def frame(x, kinds=("number",)):
    """Return a pandas frame with columns of these kinds in turn."""
    columns = {}
    for j in range(x.shape[1]):
        make = COLUMNS[kinds[j % len(kinds)]]
        columns[f"c{j}"] = make(x[:, j])
    return pd.DataFrame(columns, index=pd.RangeIndex(len(x)))


def _nullable(x, dtype):
    return pd.array([None if np.isnan(v) else v for v in x], dtype=dtype)


def _whole_nullable(x):
    return _nullable(np.round(np.clip(x, -(2.0**62), 2.0**62)), "Int64")


COLUMNS = {
    "number": lambda x: x,
    "single": lambda x: cast(x, "float32"),
    "half": lambda x: cast(x, "float16"),
    "int8": lambda x: cast(x, "int8"),
    "uint64": lambda x: cast(x, "uint64"),
    "bool": lambda x: x > 0,
    "Int64": _whole_nullable,
    "Float32": lambda x: _nullable(np.clip(x, -3e38, 3e38), "Float32"),
    "boolean": lambda x: pd.array(
        [None if np.isnan(v) else v > 0 for v in x], "boolean"
    ),
    "arrow": lambda x: pd.array(
        [None if np.isnan(v) else v for v in x], "float64[pyarrow]"
    ),
    "category": lambda x: pd.Categorical(np.where(np.isnan(x), None, _towns(x))),
    "number_category": lambda x: pd.Categorical(np.round(np.clip(x, -3, 3))),
    "unused_category": lambda x: pd.Categorical(
        _towns(x), list("ab") + sorted({*_towns(x)})
    ),
    "text": lambda x: _towns(x),
    "string": lambda x: pd.array(_towns(x), "string"),
    "object": lambda x: np.where(np.isnan(x), None, _towns(x).astype(object)),
    "numbers_in_objects": lambda x: x.astype(object),
    "numerals": lambda x: np.array([f"{v:.3g}" for v in x], dtype=object),
    "mixture": lambda x: np.array([1 if v > 0 else "a" for v in x], dtype=object),
    "booleans_in_objects": lambda x: np.where(
        np.isnan(x), None, (x > 0).astype(object)
    ),
    "bytes": lambda x: np.char.encode(_towns(x)).astype(object),
    "tuples": lambda x: pd.Series([(1, 2)] * len(x), dtype=object),
    "lists": lambda x: pd.Series([[1, 2]] * len(x), dtype=object),
    "date": lambda x: _dates(x).astype("M8[ns]"),
    "span": lambda x: _dates(x).astype("int64").astype("m8[s]"),
    "period": lambda x: pd.period_range("2000-01-01", periods=len(x)),
    "interval": lambda x: pd.interval_range(0, periods=len(x)) if len(x) else x,
    "complex": lambda x: x * 1j,
    "decimal": lambda x: np.array(
        [decimal.Decimal(f"{v:.3g}") for v in x], dtype=object
    ),
    "sparse": lambda x: pd.arrays.SparseArray(x),
    "nothing": lambda x: np.full(len(x), None, dtype=object),
    "constant_category": lambda x: pd.Categorical(["one"] * len(x)),
    "own_category": lambda x: np.array(
        [f"row {i}" for i in range(len(x))], dtype=object
    ),
}


def _named(names):
    def make(x):
        X = frame(x)
        X.columns = [names(j) for j in range(x.shape[1])]
        return X

    return make


def _indexed(x):
    X = frame(x)
    X.index = pd.Index([7] * len(x), name="which")
    return X


def _levels(x):
    X = frame(x)
    X.columns = pd.MultiIndex.from_product([["a"], range(x.shape[1])])
    return X


def _polars(dtype=None, make=None):
    def rows(x):
        columns = {}
        for j in range(x.shape[1]):
            values = x[:, j] if make is None or j % 2 else make(x[:, j])
            of_type = None if make is not None and j % 2 else dtype
            columns[f"c{j}"] = pl.Series(values, dtype=of_type, strict=False)
        return pl.DataFrame(columns)

    return rows


def _texts(x):
    return _towns(x).tolist()


def _nulls(x):
    return [None if np.isnan(v) else v for v in x]


def _days(x):
    return [datetime.date(2000, 1, 1 + i % 28) for i in range(len(x))]


FORMS = {
    "text": _text,
    "towns": _towns,
    "bytes": lambda x: np.char.encode(_text(x)),
    "text_in_objects": lambda x: _text(x).astype(object),
    "towns_in_objects": lambda x: _towns(x).astype(object),
    "none_in_objects": lambda x: np.where(np.isnan(x), None, x.astype(object)),
    "complex": lambda x: x.astype(complex),
    "complex_in_objects": lambda x: x.astype(complex).astype(object),
    "dates": _dates,
    "spans": lambda x: _dates(x).astype("int64").astype("m8[s]"),
    "dates_in_objects": lambda x: _dates(x).astype(object),
    "records": _records,
    "void": lambda x: np.zeros(x.shape, "V8"),
    "string_dtype": lambda x: _text(x).astype(np.dtypes.StringDType()),
    "masked": _masked,
    "masked_some": _masked_some,
    "masked_integers": lambda x: _masked_some(cast(x, "int32")),
    "masked_objects": lambda x: _masked_some(_towns(x).astype(object)),
    "matrix": _matrix,
    "arraylike": _Arraylike,
    "list": lambda x: x.tolist(),
    "tuple": lambda x: tuple(map(tuple, x.tolist())),
    "list_of_arrays": list,
    "list_of_series": lambda x: [pd.Series(row) for row in x],
    "list_with_none": lambda x: [
        [None if np.isnan(v) else v for v in row] for row in x.tolist()
    ],
    "ragged": lambda x: [row[: 1 + i % 2] for i, row in enumerate(x.tolist())],
    "mixed_lists": lambda x: [["a", *row[1:]] for row in x.tolist()],
    "flat": lambda x: x.ravel(),
    "cube": lambda x: x[:, :, None],
    "scalar": lambda x: 3.0,
    "nothing": lambda x: None,
    "word": lambda x: "rows",
    "mapping": lambda x: {"a": x.ravel()},
    "generator": lambda x: (row for row in x),
    "range": lambda x: range(len(x)),
    "series": lambda x: pd.Series(x.ravel()),
    "polars_series": lambda x: pl.Series(x.ravel()),
    "csr": sparse.csr_array,
    "csr_matrix": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_array,
    "lil": sparse.lil_array,
    "dok": sparse.dok_array,
    "bsr": sparse.bsr_array,
    "dia": sparse.dia_array,
    "sparse_half": lambda x: sparse.coo_array(cast(x, "float32")).astype("float32"),
    "sparse_integers": lambda x: sparse.csr_array(cast(x, "int32")),
    "sparse_bool": lambda x: sparse.csr_array(x > 0),
    "sparse_complex": lambda x: sparse.csr_array(x.astype(complex)),
    "sparse_duplicates": _duplicates,
    "sparse_wide_indices": _wide_indices,
    "sparse_empty": lambda x: sparse.csr_array(x.shape),
    "tensor": torch.from_numpy,
    "tensor_bf16": lambda x: torch.from_numpy(x).bfloat16(),
    "tensor_with_gradient": lambda x: torch.from_numpy(x).requires_grad_(),
    "tensor_sparse": lambda x: torch.from_numpy(x).to_sparse(),
    "tensor_meta": lambda x: torch.empty(x.shape, device="meta"),
    "pandas_several": lambda x: frame(x, ("number", "category", "Int64", "boolean")),
    "pandas_texts": lambda x: frame(x, ("text", "string", "object", "number")),
    "pandas_widths": lambda x: frame(x, ("half", "int8", "uint64", "single", "bool")),
    "pandas_number_names": _named(lambda j: j),
    "pandas_mixed_names": _named(lambda j: j if j else "first"),
    "pandas_equal_names": _named(lambda j: "same"),
    "pandas_odd_names": _named(lambda j: ("a", j)),
    "pandas_nan_name": _named(lambda j: j or np.nan),
    "pandas_index": _indexed,
    "pandas_levels": _levels,
    "polars": _polars(),
    "polars_single": _polars(pl.Float32),
    "polars_nulls": _polars(make=_nulls),
    "polars_text": _polars(make=_texts),
    "polars_category": _polars(pl.Categorical, _texts),
    "polars_enum": _polars(pl.Enum(["Oslo", "Rome", "Wien"]), _texts),
    "polars_bool": _polars(make=lambda x: (x > 0).tolist()),
    "polars_int8": _polars(pl.Int8, lambda x: cast(x, "int8")),
    "polars_uint64": _polars(pl.UInt64, lambda x: cast(x, "uint64")),
    "polars_int128": _polars(pl.Int128, lambda x: cast(x, "int64").tolist()),
    "polars_decimal": _polars(
        pl.Decimal(20, 2), lambda x: np.nan_to_num(x).clip(-9, 9).tolist()
    ),
    "arrow_numbers": lambda x: pa.Table.from_pandas(frame(x)),
    "arrow_single": lambda x: pa.Table.from_pandas(frame(x, ("single",))),
    "arrow_several": lambda x: pa.Table.from_pandas(
        frame(x, ("number", "category", "Int64", "boolean", "text"))
    ),
    "arrow_date": lambda x: pa.Table.from_pandas(frame(x, ("number", "date"))),
    "arrow_batch": lambda x: pa.RecordBatch.from_pandas(frame(x)),
    "polars_date": _polars(make=_days),
    "polars_list": _polars(make=lambda x: [[1, 2]] * len(x)),
    "polars_struct": _polars(make=lambda x: [{"a": 1}] * len(x)),
    "polars_null": _polars(pl.Null, lambda x: [None] * len(x)),
    "polars_binary": _polars(
        make=lambda x: [b"a", b"b"] * (len(x) // 2) + [b"c"] * (len(x) % 2)
    ),
    "polars_lazy": lambda x: _polars()(x).lazy(),
} | {f"pandas_{kind}": partial(frame, kinds=(kind, "number")) for kind in COLUMNS}


def make_rows(n_rows, n_columns, values, missing, form, layout, seed):
    """Return rows with these values (`fuzz_numbers`) in a container of `FORMS`."""
    rng = np.random.RandomState(seed)
    x = make_numbers(n_rows, n_columns, values, missing, rng)
    if form in DTYPES:
        return LAYOUTS[layout](cast(x, form))
    with np.errstate(all="ignore"):
        return FORMS[form](x)
