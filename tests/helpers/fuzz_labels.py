"""Labels and sample weights for the fuzzer, by name."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import torch
from scipy import sparse

# Labels are row numbers modulo three: `fuzz_numbers` makes rows of these classes.


def _codes(n):
    """Return labels of three classes, half of them hidden."""
    i = np.arange(n)
    return np.where((i // 3) % 2 == 0, i % 3, -1)


def _named(n, names, marker=-1):
    names = np.array([*names, marker], dtype=object)
    return names[_codes(n)]


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


LABELS = {
    "plain": _codes,
    "all_known": lambda n: np.arange(n) % 3,
    "all_hidden": lambda n: np.full(n, -1),
    "one_class": lambda n: np.where(np.arange(n) % 2, -1, 1),
    "one_each": lambda n: np.where(np.arange(n) < 3, np.arange(n), -1),
    "one_hidden": lambda n: np.where(np.arange(n) == 1, -1, np.arange(n) % 2),
    "a_class_a_row": np.arange,
    "two_classes": lambda n: np.where(np.arange(n) % 3 == 2, -1, np.arange(n) % 2),
    "negative": lambda n: np.array([4, -7, -3, -1])[_codes(n)],
    "far_apart": lambda n: np.array([2**62, -(2**62), 5, -1])[_codes(n)],
    "int8": lambda n: _codes(n).astype("int8"),
    "int16_big_endian": lambda n: _codes(n).astype(">i2"),
    "uint8": lambda n: _codes(n).astype("uint8"),
    "uint8_known": lambda n: (np.arange(n) % 3).astype("uint8"),
    "uint64": lambda n: (np.arange(n) % 3).astype("uint64") + 2**63,
    "floats": lambda n: _codes(n).astype(float),
    "halves": lambda n: _codes(n).astype("float16"),
    "large_floats": lambda n: np.array([1e300, -1e300, 5.0, -1.0])[_codes(n)],
    "fractions": lambda n: np.where(_codes(n) == 1, 0.5, _codes(n)),
    "nan": lambda n: np.where(_codes(n) == -1, np.nan, _codes(n)),
    "infinite": lambda n: np.where(_codes(n) == 1, np.inf, _codes(n)),
    "bools": lambda n: np.arange(n) % 2 == 0,
    "strings_and_marker": lambda n: _named(n, ["cat", "ant", "bee"]),
    "bytes_and_marker": lambda n: _named(n, [b"cat", b"ant", b"bee"]),
    "strings": lambda n: np.array(["cat", "ant", "bee"])[np.arange(n) % 3],
    "string_dtype": lambda n: np.array(["cat", "ant", "bee"])[np.arange(n) % 3].astype(
        np.dtypes.StringDType()
    ),
    "string_markers": lambda n: np.array(["cat", "ant", "bee", "-1"])[_codes(n)],
    "string_marker_in_objects": lambda n: _named(n, ["cat", "ant", "bee"], "-1"),
    "empty_strings": lambda n: _named(n, ["", " ", "\0"]),
    "numbers_in_objects": lambda n: _codes(n).astype(object),
    "floats_in_objects": lambda n: _codes(n).astype(float).astype(object),
    "large_in_objects": lambda n: _named(n, [10**30, 3, 5]),
    "mixture": lambda n: _named(n, ["cat", 2, 5]),
    "bools_in_objects": lambda n: _named(n, [True, False, True]),
    "none_in_objects": lambda n: _named(n, ["cat", "ant", "bee"], None),
    "tuples_in_objects": lambda n: _objects([(1, 2)] * n),
    "arrays_in_objects": lambda n: _objects([np.array([1, 2])] * n),
    "dates": lambda n: np.arange(n).astype("M8[D]"),
    "dates_in_objects": lambda n: _objects([datetime.date(2000, 1, 1)] * n),
    "complex": lambda n: _codes(n) * (1 + 0j),
    "records": lambda n: np.zeros(n, [("a", int)]),
    "list": lambda n: _codes(n).tolist(),
    "list_of_strings": lambda n: _named(n, ["cat", "ant", "bee"]).tolist(),
    "list_with_none": lambda n: _named(n, [0, 1, 2], None).tolist(),
    "list_of_bools": lambda n: [i % 2 == 0 for i in range(n)],
    "tuple": lambda n: tuple(_codes(n).tolist()),
    "nested": lambda n: [[v] for v in _codes(n).tolist()],
    "ragged": lambda n: [[0] * (1 + i % 2) for i in range(n)],
    "column": lambda n: _codes(n)[:, None],
    "two_columns": lambda n: np.eye(2, dtype=int)[np.arange(n) % 2],
    "cube": lambda n: _codes(n)[:, None, None],
    "short": lambda n: _codes(n)[:-1],
    "long": lambda n: _codes(n + 1),
    "empty": lambda n: np.zeros(0, int),
    "scalar": lambda n: 1,
    "nothing": lambda n: None,
    "word": lambda n: "labels",
    "mapping": lambda n: dict(enumerate(_codes(n).tolist())),
    "generator": lambda n: (v for v in _codes(n)),
    "range": range,
    "sparse": lambda n: sparse.csr_array(_codes(n)[:, None]),
    "matrix": lambda n: np.asmatrix(_codes(n)),
    "masked": lambda n: np.ma.MaskedArray(_codes(n), _codes(n) == -1),
    "masked_nothing": lambda n: np.ma.MaskedArray(_codes(n)),
    "tensor": lambda n: torch.from_numpy(_codes(n)),
    "strided": lambda n: np.repeat(_codes(n), 2)[::2],
    "reversed": lambda n: _codes(n)[::-1].copy()[::-1],
    "series": lambda n: pd.Series(_codes(n), index=np.arange(n)[::-1]),
    "series_of_strings": lambda n: pd.Series(_named(n, ["cat", "ant", "bee"])),
    "series_string": lambda n: pd.Series(["cat", "ant", "bee"] * n, dtype="string")[:n],
    "series_nullable": lambda n: pd.Series(_codes(n), dtype="Int64"),
    "series_na": lambda n: pd.Series(_named(n, [0, 1, 2], None), dtype="Int64"),
    "series_boolean": lambda n: pd.Series(
        _named(n, [True, False, True], None), dtype="boolean"
    ),
    "categorical": lambda n: pd.Categorical(_named(n, ["cat", "ant", "bee"], None)),
    "categorical_codes": lambda n: pd.Series(_codes(n)).astype("category"),
    "frame": lambda n: pd.DataFrame({"y": _codes(n)}),
    "index": lambda n: pd.Index(_codes(n)),
    "polars": lambda n: pl.Series(_codes(n)),
    "polars_strings": lambda n: pl.Series(["cat", "ant", "bee"] * n)[:n],
    "polars_nulls": lambda n: pl.Series(_named(n, [0, 1, 2], None).tolist()),
    "polars_bools": lambda n: pl.Series([i % 2 == 0 for i in range(n)]),
    "polars_categorical": lambda n: pl.Series(
        ["cat", "ant", "bee"] * n, dtype=pl.Categorical
    )[:n],
    "polars_frame": lambda n: pl.DataFrame({"y": _codes(n)}),
}

WEIGHTS = {
    "none": lambda n: None,
    "ones": np.ones,
    "some": lambda n: np.where(np.arange(n) % 2, 0.5, 2.0),
    "some_zero": lambda n: (np.arange(n) % 4 > 0) * 1.0,
    "class_zero": lambda n: (_codes(n) != 1) * 1.0,
    "labelled_zero": lambda n: (_codes(n) == -1) * 1.0,
    "hidden_zero": lambda n: (_codes(n) != -1) * 1.0,
    "zeros": np.zeros,
    "one_positive": lambda n: (np.arange(n) == 0) * 1.0,
    "two_positive": lambda n: (np.arange(n) < 2) * 1.0,
    "nan": lambda n: np.where(np.arange(n) == 1, np.nan, 1.0),
    "infinite": lambda n: np.where(np.arange(n) == 1, np.inf, 1.0),
    "negative": lambda n: np.where(np.arange(n) == 1, -1.0, 1.0),
    "all_negative": lambda n: np.full(n, -1.0),
    "negative_zero": lambda n: np.where(np.arange(n) % 4, 1.0, -0.0),
    "huge": lambda n: np.full(n, 1e300) * (1 + np.arange(n) % 2),
    "tiny": lambda n: np.full(n, 1e-300) * (1 + np.arange(n) % 2),
    "denormal": lambda n: np.full(n, 5e-324),
    "spread": lambda n: 10.0 ** np.linspace(-30, 30, n),
    "widest": lambda n: 10.0 ** np.linspace(-300, 300, n),
    "halves": lambda n: np.full(n, 6e4, dtype="float16"),
    "integers": lambda n: np.arange(n) % 3,
    "uint8": lambda n: (np.arange(n) % 3).astype("uint8") * 100,
    "bools": lambda n: np.arange(n) % 4 > 0,
    "objects": lambda n: _objects([1.0] * n),
    "none_in_objects": lambda n: _objects([1.0, None] * n)[:n],
    "strings": lambda n: np.array(["a"] * n),
    "numerals": lambda n: np.array(["1"] * n),
    "complex": lambda n: np.ones(n) * 1j,
    "dates": lambda n: np.arange(n).astype("M8[D]"),
    "list": lambda n: [1.0] * n,
    "series": lambda n: pd.Series(np.ones(n), index=np.arange(n)[::-1]),
    "series_nullable": lambda n: pd.Series([1.0] * n, dtype="Float64"),
    "series_na": lambda n: pd.Series([1.0, None] * n, dtype="Float64")[:n],
    "polars": lambda n: pl.Series([1.0] * n),
    "polars_nulls": lambda n: pl.Series([1.0, None] * n)[:n],
    "tensor": torch.ones,
    "masked": lambda n: np.ma.MaskedArray(np.ones(n), np.arange(n) % 4 == 0),
    "sparse": lambda n: sparse.csr_array(np.ones((n, 1))),
    "column": lambda n: np.ones((n, 1)),
    "two_columns": lambda n: np.ones((n, 2)),
    "short": lambda n: np.ones(max(n - 1, 0)),
    "long": lambda n: np.ones(n + 1),
    "empty": lambda n: np.ones(0),
    "scalar": lambda n: 2.0,
    "zero": lambda n: 0,
    "scalar_nan": lambda n: np.nan,
    "word": lambda n: "balanced",
    "mapping": lambda n: {0: 1.0},
    "readonly": lambda n: np.broadcast_to(1.0, n),
}
