"""Data frames of pandas and polars: read, and returned with their columns and types."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mixed_rows import (
    N_SURVEY,
    N_TOWNS,
    SURVEY_LIKELIHOODS,
    TOWN_LABELS,
    small_classifier,
    survey,
    survey_in,
    towns,
)
from sklearn.datasets import load_iris

from sk_ssvae import VariationalAutoencoder

MODELS = ("m2", "m1+m2", "sdgm", "adgm")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("model", MODELS)
def test_samples_have_the_columns_and_types_of_fit(library, model):
    X, _, few = survey_in(library)
    clf = small_classifier(model=model).fit(X, few)
    assert clf.likelihood_ == SURVEY_LIKELIHOODS
    assert clf.feature_names_in_.tolist() == list(X.columns)
    assert clf.predict_proba(X).sum(1) == pytest.approx(np.ones(N_SURVEY))
    drawn, labels = clf.sample(40)
    assert type(drawn) is type(X)
    assert list(drawn.columns) == list(X.columns)
    assert list(drawn.dtypes) == list(X.dtypes)
    assert set(labels) <= {0, 1}
    assert set(drawn["colour"]) <= {"red", "green", "blue"}
    means = clf.inverse_transform(clf.transform(X[:5]))
    assert set(means["town"]) <= {"Oslo", "Rome", "Lima"}
    assert ((means["member"] > 0) & (means["member"] < 1)).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pandas_and_polars_give_identical_predictions(library):
    X, _, few = survey()
    other, _, _ = survey_in(library)
    expected = small_classifier().fit(X, few).predict_proba(X)
    np.testing.assert_array_equal(
        small_classifier().fit(other, few).predict_proba(other), expected
    )
    fitted = small_classifier().fit(X, few)
    np.testing.assert_array_equal(fitted.predict_proba(other), expected)


def test_numeric_column_types_are_restored():
    rng = np.random.RandomState(0)
    types = ["Int8", "UInt64", "Float32", "boolean", "int16", "float32", "object"]
    codes = rng.randint(0, 2, (40, len(types)))
    X = pd.DataFrame({t: pd.array(codes[:, j]) for j, t in enumerate(types)})
    X = X.astype({t: t for t in types}).assign(text="k")
    X.loc[::3, "text"] = "j"
    X.loc[1::4, ["Int8", "boolean", "object"]] = None
    other = pl.DataFrame(
        {
            "small": pl.Series(codes[:, 0], dtype=pl.UInt8),
            "money": pl.Series(codes[:, 1]).cast(pl.Decimal(10, 2)),
            "single": pl.Series(codes[:, 2] * 0.5, dtype=pl.Float32),
            "kind": pl.Series(X["text"].to_list(), dtype=pl.Enum(["j", "k", "l"])),
        }
    )
    for frame in (X, other):
        clf = small_classifier().fit(frame, np.arange(40) % 2)
        assert list(clf.sample(9)[0].dtypes) == list(frame.dtypes)
        assert list(clf.impute(frame).dtypes) == list(frame.dtypes)


def test_boolean_constant_and_repeated_columns_are_restored():
    X, y = load_iris(return_X_y=True)
    flags = pd.DataFrame(X.mean(0) < X, columns=list("abcd"))
    clf = small_classifier().fit(flags, y)
    assert clf.likelihood_ == "bernoulli"
    assert {str(dtype) for dtype in clf.sample(5)[0].dtypes} == {"bool"}
    both = pd.concat([flags, flags.add_suffix("2")], axis=1).assign(same="x", one=1.0)
    clf = small_classifier().fit(both, y)
    drawn = clf.sample(6)[0]
    assert set(drawn["same"]) == {"x"}
    assert set(drawn["one"]) == {1.0}
    assert list(drawn.dtypes) == list(both.dtypes)


def test_autoencoder_takes_data_frames():
    X, _, _ = survey()
    vae = VariationalAutoencoder(2, hidden_sizes=(16,), max_epochs=4, random_state=0)
    vae.fit(X)
    assert vae.likelihood_ == SURVEY_LIKELIHOODS
    assert not vae.impute(X).isna().any().any()
    assert list(vae.sample(4).dtypes) == list(X.dtypes)
    assert np.isfinite(vae.score(X))


def test_values_stay_within_the_limits_of_integer_types():
    y = np.arange(60) % 2
    big = pl.Series(
        [2**64 - 1 - i if i % 7 else None for i in range(60)], dtype=pl.UInt64
    )
    money = pl.Series([0.23 + i / 100 if i % 7 else None for i in range(60)])
    X = pl.DataFrame({"h": np.arange(60.0), "big": pl.Series(big, dtype=pl.UInt64)})
    X = X.with_columns(money=money.cast(pl.Decimal(10, 2)))
    clf = small_classifier().fit(X, y)
    assert clf.sample(20)[0].null_count().sum_horizontal()[0] == 0
    filled = clf.impute(X)
    assert filled.null_count().sum_horizontal()[0] == 0
    assert filled.schema == X.schema
    assert any(v != int(v) for v in filled["money"].gather(range(0, 60, 7)))


def test_sparse_columns_and_subclasses_of_data_frames():
    class Frame(pd.DataFrame):
        """A subclass of the frame of pandas."""

    X, _, few = survey(gaps=False)
    sub = small_classifier().fit(Frame(X), few)
    np.testing.assert_array_equal(
        sub.predict_proba(X), small_classifier().fit(X, few).predict_proba(X)
    )
    X["visits"] = X["visits"].astype(pd.SparseDtype(int, 0))
    X["height"] = X["height"].where(X["height"] > 0).astype(pd.SparseDtype(float))
    clf = small_classifier().fit(X, few)
    assert list(clf.sample(5)[0].dtypes) == list(X.dtypes)
    assert not clf.impute(X).isna().any().any()


def test_sparse_columns_of_pandas_are_read_without_a_warning():
    X = pd.DataFrame(np.random.RandomState(0).randn(N_TOWNS, 2), columns=["a", "b"])
    X[X < 0] = 0
    expected = small_classifier().fit(X, TOWN_LABELS).predict_proba(X)
    thin = X.astype(pd.SparseDtype("float64", 0.0))
    clf = small_classifier().fit(thin, TOWN_LABELS)
    np.testing.assert_array_equal(clf.predict_proba(thin), expected)
    assert list(clf.sample(2)[0].dtypes) == list(thin.dtypes)


@pytest.mark.parametrize("dtype", [pl.Int128, pl.UInt128])
@pytest.mark.parametrize("features", ["from_dtype", ["n"]])
def test_integers_of_128_bits_are_restored(dtype, features):
    numbers = [None if i % 5 == 0 else i % 7 for i in range(N_TOWNS)]
    X = pl.DataFrame(
        {"h": np.arange(N_TOWNS) * 0.5, "n": pl.Series(numbers, dtype=dtype)}
    )
    clf = small_classifier(categorical_features=features).fit(X, TOWN_LABELS)
    assert clf.sample(5)[0].schema == X.schema
    filled = clf.impute(X)
    assert filled.schema == X.schema
    assert filled["n"].null_count() == 0
    assert filled["n"].drop_nulls()[1:5].to_list() == [1, 2, 3, 4]


def test_object_columns_of_polars_are_restored():
    X = pl.from_pandas(towns())
    X = X.with_columns(town=pl.Series(X["town"].to_list(), dtype=pl.Object))
    clf = small_classifier().fit(X, TOWN_LABELS)
    assert clf.sample(5)[0].schema == X.schema


@pytest.mark.parametrize(
    "dtype",
    [
        "float16",
        "float32",
        "Float32",
        "float[pyarrow]",
        "halffloat[pyarrow]",
        pl.Float32,
    ],
)
def test_samples_stay_within_the_range_of_their_column_type(dtype):
    """The tails of a density over half of the type's range reach beyond it."""
    high = 6e4 if "16" in str(dtype) or "half" in str(dtype) else 3e38
    X = pd.DataFrame(
        {"a": np.where(np.arange(N_TOWNS) % 2, high, -high), "b": np.arange(N_TOWNS)}
    )
    if dtype is pl.Float32:
        X = pl.from_pandas(X).with_columns(pl.col("a").cast(dtype))
    else:
        X = X.astype({"a": dtype})
    drawn = small_classifier().fit(X, TOWN_LABELS).sample(50)[0]["a"]
    assert drawn.dtype == X["a"].dtype
    assert np.isfinite(np.asarray(drawn, dtype=float)).all()


def test_impute_keeps_column_index_and_attrs():
    X = towns()
    X.columns = pd.CategoricalIndex(X.columns, name="what")
    X.attrs["source"] = "a survey"
    filled = small_classifier().fit(X, TOWN_LABELS).impute(X)
    assert filled.columns.equals(X.columns)
    assert filled.columns.name == "what"
    assert filled.attrs == X.attrs


def test_the_same_numbers_in_another_type_give_the_same_predictions():
    X = towns()[["height", "weight"]]
    clf = small_classifier().fit(X, TOWN_LABELS)
    expected = clf.predict_proba(X)
    objects = X.astype(object).where(X.notna(), pd.NA)
    for same in (objects, X.astype("category"), X.astype("Float64")):
        np.testing.assert_allclose(clf.predict_proba(same), expected, rtol=1e-6)


def test_example_in_the_documentation_runs():
    page = Path(__file__).parents[2] / "docs" / "columns.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names = {}
    exec(code.replace("random_state=0", "random_state=0, max_epochs=2"), names)
    assert names["clf"].likelihood_ == [
        ("gaussian", ["age"]),
        ("categorical", ["job"]),
        ("poisson", ["visits"]),
    ]
    assert list(names["new"].dtypes) == list(names["X"].dtypes)
