"""Codes of categories, compared with a loop over the values."""

import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sk_ssvae.data.containers import as_container
from sk_ssvae.data.schema import infer_schema

TEXTS = st.sampled_from(["", " ", "nan", "None", "a", "b", "B", "é", "z" * 40, "1"])
NUMBERS = st.integers(-(2**62), 2**62) | st.integers(0, 3)
MAKERS = {
    "pandas str": lambda v: pd.DataFrame({"c": pd.array(v, dtype="str")}),
    "pandas string": lambda v: pd.DataFrame({"c": pd.array(v, dtype="string")}),
    "pandas arrow": lambda v: pd.DataFrame(
        {"c": pd.array(v, dtype=pd.ArrowDtype(pa.string()))}
    ),
    "pandas object": lambda v: pd.DataFrame({"c": pd.Series(v, dtype=object)}),
    "pandas category": lambda v: pd.DataFrame({"c": pd.Categorical(v)}),
    "polars String": lambda v: pl.DataFrame({"c": pl.Series(v, dtype=pl.String)}),
    "polars Categorical": lambda v: pl.DataFrame(
        {"c": pl.Series(v, dtype=pl.Categorical)}
    ),
    "polars Object": lambda v: pl.DataFrame({"c": pl.Series(v, dtype=pl.Object)}),
    "polars Enum": lambda v: pl.DataFrame(
        {"c": pl.Series(v, dtype=pl.Enum(sorted({*v} - {None})))}
    ),
    "arrow": lambda v: pa.table({"c": pa.array(v, pa.string())}),
    "arrow view": lambda v: pa.table({"c": pa.array(v, pa.string_view())}),
    "arrow dictionary": lambda v: pa.table(
        {"c": pa.array(v, pa.string()).dictionary_encode()}
    ),
}
NUMBER_MAKERS = {
    "pandas Int64": lambda v: pd.DataFrame({"c": pd.array(v, dtype="Int64")}),
    "pandas object": MAKERS["pandas object"],
    "pandas category": MAKERS["pandas category"],
    "polars Int64": lambda v: pl.DataFrame({"c": pl.Series(v, dtype=pl.Int64)}),
    "arrow int64": lambda v: pa.table({"c": pa.array(v, pa.int64())}),
}


def codes_by_loop(values, fitted, used):
    """Return sorted categories of the used rows of `fitted`, and codes of `values`."""
    categories = sorted({v for v, u in zip(fitted, used, strict=True) if u} - {None})
    codes = [categories.index(v) if v in categories else np.nan for v in values]
    return categories, codes


def check(make, fitted, values, used):
    mask = np.array(used[: len(fitted)] + [True] * (len(fitted) - len(used)), bool)
    expected, codes = codes_by_loop(values, fitted, mask)
    schema = infer_schema(
        as_container(make(fitted)), np.array([True]), from_dtype=True, used=mask
    )
    assert schema.categories == (expected,)
    assert [type(c) for c in schema.categories[0]] == [type(c) for c in expected]
    cells = schema.cells(as_container(make(values)))
    np.testing.assert_array_equal(cells[:, 0], codes)


@pytest.mark.parametrize("name", MAKERS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
@given(
    st.lists(TEXTS | st.none(), min_size=1, max_size=9),
    st.lists(TEXTS | st.none(), min_size=1, max_size=9),
    st.lists(st.booleans(), max_size=9),
)
def test_codes_of_texts(name, fitted, values, used):
    check(MAKERS[name], fitted, values, used)


@pytest.mark.parametrize("name", NUMBER_MAKERS)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(NUMBERS | st.none(), min_size=1, max_size=9),
    st.lists(NUMBERS | st.none(), min_size=1, max_size=9),
    st.lists(st.booleans(), max_size=9),
)
def test_codes_of_integers(name, fitted, values, used):
    check(NUMBER_MAKERS[name], fitted, values, used)


def test_objects_after_hundred_texts_are_found():
    """A column is not judged by its first values."""
    values = ["a", "b"] * 80 + [1]
    for X in (
        pd.DataFrame({"c": pd.Series(values, dtype=object)}),
        pl.DataFrame({"c": pl.Series(values, dtype=pl.Object)}),
    ):
        with pytest.raises(TypeError, match=r"mixes values of the types \['int', 'str"):
            infer_schema(as_container(X), np.array([False]), from_dtype=True)
    mixed = pd.DataFrame({"c": pd.Series([1, True] * 9, dtype=object)})
    with pytest.raises(TypeError, match=r"mixes values of the types \['bool', 'int'"):
        infer_schema(as_container(mixed), np.array([True]), from_dtype=True)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT, float("nan")])
def test_all_missing_values_of_objects_have_no_code(missing):
    X = pd.DataFrame({"c": pd.Series(["a", missing, "b"], dtype=object)})
    schema = infer_schema(as_container(X), np.array([False]), from_dtype=True)
    assert schema.categories == (["a", "b"],)
    np.testing.assert_array_equal(schema.cells(as_container(X))[:, 0], [0, np.nan, 1])


def test_decimals_are_numbers_in_all_libraries():
    values = [decimal.Decimal("1.25"), None, decimal.Decimal("3.50")]
    for X in (
        pl.DataFrame({"c": pl.Series(values, dtype=pl.Decimal(6, 2))}),
        pa.table({"c": pa.array(values, pa.decimal128(6, 2))}),
    ):
        schema = infer_schema(as_container(X), np.array([False]), from_dtype=True)
        cells = schema.cells(as_container(X))[:, 0]
        np.testing.assert_array_equal(cells, [1.25, np.nan, 3.5])
