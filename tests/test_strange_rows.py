"""Rows of types that nobody expects: what cannot be taken is refused by name."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sk_ssvae import SSVAEClassifier

N = 40
Y = np.where(np.arange(N) % 3 == 0, np.arange(N) % 2, -1)


def quick(**params):
    given = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "max_epochs": 1,
        "teacher": None,
        "random_state": 0,
    }
    return SSVAEClassifier(**given | params)


def people():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"height": rng.randn(N), "weight": rng.randn(N)})
    X["town"] = np.array(["Oslo", "Rome"])[rng.randint(0, 2, N)]
    X.loc[::5, "height"] = np.nan
    return X


@pytest.mark.parametrize(
    "dtype",
    [
        "float16",
        "float32",
        "Float32",
        "float[pyarrow]",
        pd.SparseDtype("float32"),
        pd.SparseDtype("float64", 0.0),
    ],
)
def test_gaps_are_filled_in_floats_of_any_width(dtype):
    X = people().astype({"height": dtype})
    filled = quick().fit(X, Y).impute(X)
    assert list(filled.dtypes) == list(X.dtypes)
    assert not filled.isna().any().any()
    there = X["height"].notna()
    assert (filled["height"][there] == X["height"][there]).all()


@pytest.mark.parametrize(
    "dtype",
    ["float32", "Int64", "boolean", "datetime64[s]", "string", "str", "int64[pyarrow]"],
)
@pytest.mark.parametrize("name", ["town", "height"])
def test_a_column_of_gaps_is_filled_whatever_its_type(name, dtype):
    """As read_csv and others guess the type of an empty column."""
    X = people()
    clf = quick().fit(X, Y)
    empty = X.assign(**{name: pd.Series([None] * N, dtype=object).astype(dtype)})
    filled = clf.impute(empty)[name]
    if name == "town":
        assert set(filled) <= {"Oslo", "Rome"}
    else:
        assert pd.api.types.is_numeric_dtype(filled)
        assert not filled.isna().any()


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Int64,
        pl.Float64,
        pl.Boolean,
        pl.Date,
        pl.String,
        pl.Decimal(9, 2),
        pl.Null,
        pl.Categorical,
        pl.Binary,
        pl.Object,
    ],
)
@pytest.mark.parametrize("name", ["town", "height"])
def test_a_column_of_nulls_is_filled_whatever_its_type(name, dtype):
    X = pl.from_pandas(people())
    clf = quick().fit(X, Y)
    filled = clf.impute(X.with_columns(pl.Series(name, [None] * N, dtype=dtype)))[name]
    assert filled.null_count() == 0
    if name == "town":
        assert set(filled) <= {"Oslo", "Rome"}
    else:
        assert filled.dtype.is_numeric() or filled.dtype == pl.Boolean


def test_what_was_there_stays_beside_what_is_filled():
    X = people()
    clf = quick().fit(X, Y)
    numerals = X.astype({"height": "string"})
    filled = clf.impute(numerals)["height"]
    assert filled.dtype == "string"
    assert np.isfinite(filled.astype(float)).all()
    other = pl.from_pandas(X).with_columns(
        pl.col("height").cast(pl.String),
        town=pl.Series([None, datetime.date(2000, 1, 1)] * (N // 2)),
    )
    with pytest.warns(UserWarning, match="'town' has categories that fit has not seen"):
        both = clf.impute(other)
    assert both["height"].dtype == pl.String
    assert both["height"].cast(float).is_finite().all()
    assert both["town"][1] == "2000-01-01"
    assert set(both["town"][::2]) <= {"Oslo", "Rome"}


def test_impute_keeps_the_index_of_columns_and_notes():
    X = people()
    X.columns = pd.CategoricalIndex(X.columns, name="what")
    X.attrs["source"] = "a survey"
    filled = quick().fit(X, Y).impute(X)
    assert filled.columns.equals(X.columns)
    assert filled.columns.name == "what"
    assert filled.attrs == X.attrs
