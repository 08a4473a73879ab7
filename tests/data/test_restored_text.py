"""Draws, means and imputed values of numbers in columns of text and of categories."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from mixed_rows import small_classifier

import sk_ssvae

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=60).round(3)
WHOLE = RNG.integers(1, 60, 60)
LABELS = np.where(np.arange(60) % 3 == 0, -1, NUMBERS > 0)
SPOILT = ["?" if i % 9 == 0 else str(v) for i, v in enumerate(NUMBERS)]
LEVELS = [None if i % 6 == 0 else str(v) for i, v in enumerate(WHOLE)]


def pandas_frame(values, dtype):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype), "b": NUMBERS})


def polars_frame(values, dtype):
    return pl.DataFrame({"a": pl.Series(values, dtype=dtype), "b": NUMBERS})


def arrow_table(values, dtype):
    return pa.table({"a": pa.array(values, type=dtype), "b": NUMBERS})


def type_of(X):
    return X.schema.field(0).type if isinstance(X, pa.Table) else X["a"].dtype


def column(X):
    return X.column(0).to_pylist() if isinstance(X, pa.Table) else X["a"].to_list()


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (pandas_frame, "string"),
        (pandas_frame, object),
        (pandas_frame, pd.ArrowDtype(pa.string())),
        (pandas_frame, pd.ArrowDtype(pa.large_string())),
        (polars_frame, pl.String),
        (arrow_table, pa.string()),
        (arrow_table, pa.large_string()),
        (arrow_table, pa.string_view()),
    ],
)
def test_draws_have_the_type_of_text_and_means_are_floats(make, dtype, tmp_path):
    X = make(SPOILT, dtype)
    with pytest.warns(UserWarning, match="read as numbers"):
        clf = small_classifier(max_epochs=1).fit(X, LABELS)
    draw, _ = clf.sample(5)
    assert type_of(draw) == type_of(X)
    means = column(clf.inverse_transform(np.zeros((2, clf.latent_size))))
    assert all(type(value) is float for value in means)
    assert type_of(clf.impute(X)) == type_of(X)
    pytest.importorskip("safetensors")
    clf.save(tmp_path / "text.ssvae")
    loaded = sk_ssvae.load(tmp_path / "text.ssvae").sample(5)[0]
    assert type_of(loaded) == type_of(draw)
    assert column(loaded) == column(draw)


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (pandas_frame, "category"),
        (polars_frame, pl.Enum(sorted({v for v in LEVELS if v}))),
        (polars_frame, pl.Categorical),
        (arrow_table, pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_categories_that_are_read_as_numbers(make, dtype):
    """With categorical_features=None. Draws need not be among the categories."""
    X = make(LEVELS, dtype)
    clf = small_classifier(max_epochs=1, categorical_features=None).fit(X, LABELS)
    draw = [float(value) for value in column(clf.sample(30)[0])]
    assert np.isfinite(draw).all()
    assert not set(draw) <= set(map(float, WHOLE))
    imputed = column(clf.impute(X))
    known = [i for i, v in enumerate(LEVELS) if v is not None]
    assert [imputed[i] for i in known] == [LEVELS[i] for i in known]
    assert np.isfinite([float(value) for value in imputed]).all()
