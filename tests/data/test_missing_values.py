"""Missing values: read, marginalised, and filled by `impute`."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from mixed_rows import N_TOWNS, TOWN_LABELS, small_classifier, survey, survey_in, towns
from sklearn.datasets import load_iris

from sk_ssvae import VariationalAutoencoder

MODELS = ("m2", "m1+m2", "sdgm", "adgm")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("model", MODELS)
def test_impute_changes_only_missing_values(library, model):
    X, _, few = survey_in(library)
    clf = small_classifier(model=model).fit(X, few)
    before = X.clone() if library == "polars" else X.copy()
    filled = clf.impute(X)
    assert X.equals(before)
    assert type(filled) is type(X)
    assert list(filled.dtypes) == list(X.dtypes)
    for name in X.columns:
        old_values, new_values = list(X[name]), list(filled[name])
        missing = [v is None or v is pd.NA or v != v for v in old_values]
        assert any(missing) == (name in ("height", "colour", "town", "rank"))
        for is_missing, old, new in zip(missing, old_values, new_values, strict=True):
            assert (new is not None and new == new) if is_missing else new == old
    again = clf.impute(filled)
    assert again.equals(filled)


def test_impute_computes_posterior_means():
    """Compare with importance weighting of draws of z from the prior."""
    rng = np.random.RandomState(3)
    X = rng.randn(60, 3) @ rng.randn(3, 3)
    X[::4, 1] = np.nan
    y = (X[:, 0] > 0).astype(int)
    clf = small_classifier(max_epochs=20).fit(X, y)
    rows = X[:8]
    filled = clf.impute(rows, n_draws=4000)
    q = clf.predict_proba(rows)
    z = np.random.RandomState(0).randn(40_000, 2)
    scaling = clf.preprocessor_.scaling
    for row, imputed, proba in zip(rows, filled, q, strict=True):
        if not np.isnan(row[1]):
            np.testing.assert_array_equal(row, imputed)
            continue
        expected = 0.0
        for code in (0, 1):  # p(z | x, y) is proportional to p(z) p(x | y, z)
            means = clf.inverse_transform(z, y=code)
            density = clf.module_.likelihood.density()
            p = density(torch.from_numpy(scaling.encode(means))).parts[0]
            deviation = p.log_scale.exp().detach().numpy() * scaling.scale
            log_p = -0.5 * (((row - means) / deviation)[:, [0, 2]] ** 2).sum(1)
            w = np.exp(log_p - log_p.max())
            expected += proba[code] * (w @ means[:, 1]) / w.sum()
        assert imputed[1] == pytest.approx(expected, abs=0.05 * scaling.scale[1])


def test_score_samples_marginalises_missing_cells():
    """The density of the observed cells is the integral over the missing one."""
    rng = np.random.RandomState(1)
    X = rng.randn(80, 2) * [1, 5] + [0, 20]
    X[:, 1] += X[:, 0]
    X[::6, 1] = np.nan
    clf = small_classifier(max_epochs=30).fit(X, (X[:, 0] > 0).astype(int))
    grid = np.linspace(-40, 80, 6001)
    for x in (-1.0, 0.5):
        rows = np.column_stack([np.full_like(grid, x), grid])
        density = np.exp(clf.score_samples(rows, n_draws=400).astype(float))
        total = np.trapezoid(density, grid)
        alone = np.exp(clf.score_samples([[x, np.nan]], n_draws=400)[0])
        assert total == pytest.approx(alone, rel=0.03)


@pytest.mark.parametrize("model", MODELS)
def test_score_samples_of_a_row_without_cells_is_zero(model):
    """It is the logarithm of the probability of observing nothing, in any units."""
    X, y = load_iris(return_X_y=True)
    clf = small_classifier(model=model).fit(100 * X, y)
    scores = clf.score_samples([[np.nan] * 4, [510.0, np.nan, np.nan, np.nan]])
    assert abs(scores[0]) < 1e-12
    assert scores[1] < -4
    auto = VariationalAutoencoder(max_epochs=1, random_state=0).fit(100 * X)
    assert auto.score_samples([[np.nan] * 4]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_missing_values_only_after_fit(model):
    """A model fitted on complete rows still uses the rest of incomplete ones."""
    X, y = load_iris(return_X_y=True)
    clf = small_classifier(model=model, max_epochs=30, pretrain_epochs=60).fit(X, y)
    incomplete = X.copy()
    incomplete[::2, 3] = np.nan
    for method in (clf.predict_proba, clf.transform, clf.score_samples, clf.impute):
        assert np.isfinite(method(incomplete)).all()
    np.testing.assert_array_equal(
        clf.predict_proba(incomplete)[1::2], clf.predict_proba(X)[1::2]
    )
    hidden = X[::2, 3]
    error = np.abs(clf.impute(incomplete)[::2, 3] - hidden).mean()
    assert error < 0.8 * np.abs(hidden - X[1::2, 3].mean()).mean()


def test_missing_binary_cells_are_replaced_by_means():
    """A zero would be informative where nearly all cells are ones."""
    rng = np.random.RandomState(0)
    y = np.arange(800) % 2
    X = (rng.rand(800, 20) < np.where(y == 0, 0.83, 0.97)[:, None]) * 1.0
    clf = small_classifier(max_epochs=60).fit(X[:400], y[:400])
    assert clf.likelihood_ == "bernoulli"
    fill = clf.module_.inputs.fill.numpy()
    np.testing.assert_allclose(fill, X[:400].mean(0), rtol=1e-6)
    incomplete = np.where(rng.rand(400, 20) < 0.3, np.nan, X[400:])
    assert clf.score(incomplete, y[400:]) > 0.65


def test_masked_cells_are_missing():
    X, y = load_iris(return_X_y=True)
    mask = np.random.RandomState(0).rand(*X.shape) < 0.1
    incomplete = np.where(mask, np.nan, X)
    masked = np.ma.masked_array(np.where(mask, 1e6, X), mask)
    clf = small_classifier().fit(masked, y)
    expected = small_classifier().fit(incomplete, y)
    np.testing.assert_array_equal(
        clf.predict_proba(masked), expected.predict_proba(incomplete)
    )
    np.testing.assert_array_equal(clf.impute(masked), expected.impute(incomplete))


def test_a_column_without_values_is_refused_by_name():
    X, _, few = survey()
    with pytest.raises(ValueError) as error:
        small_classifier().fit(X.assign(height=np.nan), few)
    assert str(error.value) == (
        "Every cell of the columns ['height'] is missing, so they carry no "
        "information. Remove these columns."
    )


def test_first_missing_values_in_a_warm_start_are_refused():
    X, y = load_iris(return_X_y=True)
    clf = small_classifier(warm_start=True).fit(X, y)
    before = clf.predict_proba(X)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X has missing values or unknown categories"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(np.nan_to_num(X))[4:], before[4:])


def test_missing_values_in_a_constant_column_do_not_prevent_a_warm_start():
    """The networks do not take constant columns."""
    X, y = load_iris(return_X_y=True)
    X = np.c_[X, np.ones(150)]
    X[::5, 4] = np.nan
    clf = small_classifier(warm_start=True).fit(X, y).fit(X, y)
    assert clf.n_iter_ == 8
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X has missing values or unknown categories"):
        clf.fit(X, y)


def test_pandas_na_in_object_arrays_is_missing():
    rows = [[1.0, pd.NA], [2.0, 3.0], [4.0, None]] * 20
    floats = np.array([[1, np.nan], [2, 3], [4, np.nan]] * 20)
    y = np.arange(60) % 2
    expected = small_classifier().fit(floats, y).predict_proba(floats)
    for X in (rows, np.array(rows, dtype=object)):
        clf = small_classifier().fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), expected)


@pytest.mark.parametrize("gap", [pd.NA, pd.NaT, None])
@pytest.mark.parametrize("rows", [list, tuple, lambda X: [np.array(r) for r in X]])
def test_missing_values_in_nested_sequences(gap, rows):
    cells = [(float(i), gap if i % 5 == 0 else i % 7) for i in range(N_TOWNS)]
    floats = [(i, np.nan if i % 5 == 0 else i % 7) for i in range(N_TOWNS)]
    clf = small_classifier().fit(rows(cells), TOWN_LABELS)
    expected = small_classifier().fit(floats, TOWN_LABELS)
    np.testing.assert_array_equal(
        clf.predict_proba(rows(cells)), expected.predict_proba(floats)
    )
    filled = clf.impute(rows(cells))
    np.testing.assert_array_equal(filled.astype(float), expected.impute(floats))


def test_missing_numbers_among_strings_are_filled():
    X = towns()[["height", "weight"]]
    clf = small_classifier().fit(X.to_numpy(), TOWN_LABELS)
    expected = clf.impute(X.to_numpy())
    strings = X.to_numpy().astype(str)
    np.testing.assert_array_equal(clf.impute(strings).astype(float), expected)
    frame = X.astype({"height": str}).replace("nan", " NaN ")
    clf = small_classifier(categorical_features=None).fit(frame, TOWN_LABELS)
    assert clf.impute(frame)["height"].astype(float).notna().all()


def test_empty_columns_of_another_type_are_filled():
    X, _, few = survey()
    clf = small_classifier().fit(X, few)
    empty = pl.DataFrame({name: [None, None] for name in X.columns})
    assert clf.impute(empty).null_count().sum_horizontal()[0] == 0
    odd = pl.from_pandas(X[:4]).with_columns(
        town=pl.Series([None] * 4, dtype=pl.Enum(["Bonn"]))
    )
    assert set(clf.impute(odd)["town"]) <= {"Oslo", "Rome", "Lima"}
    read = X[:4].assign(town=np.nan)  # as read_csv reads an empty column
    assert set(clf.impute(read)["town"]) <= {"Oslo", "Rome", "Lima"}


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
def test_impute_keeps_the_float_type(dtype):
    X = towns().astype({"height": dtype})
    filled = small_classifier().fit(X, TOWN_LABELS).impute(X)
    assert list(filled.dtypes) == list(X.dtypes)
    assert not filled.isna().any().any()
    observed = X["height"].notna()
    assert (filled["height"][observed] == X["height"][observed]).all()


@pytest.mark.parametrize(
    "dtype",
    ["float32", "Int64", "boolean", "datetime64[s]", "string", "str", "int64[pyarrow]"],
)
@pytest.mark.parametrize("name", ["town", "height"])
def test_an_empty_pandas_column_is_filled_whatever_its_type(name, dtype):
    """Readers such as read_csv guess the type of an empty column."""
    X = towns()
    clf = small_classifier().fit(X, TOWN_LABELS)
    empty = X.assign(**{name: pd.Series([None] * N_TOWNS, dtype=object).astype(dtype)})
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
def test_an_empty_polars_column_is_filled_whatever_its_type(name, dtype):
    X = pl.from_pandas(towns())
    clf = small_classifier().fit(X, TOWN_LABELS)
    empty = X.with_columns(pl.Series(name, [None] * N_TOWNS, dtype=dtype))
    filled = clf.impute(empty)[name]
    assert filled.null_count() == 0
    if name == "town":
        assert set(filled) <= {"Oslo", "Rome"}
    else:
        assert filled.dtype.is_numeric() or filled.dtype == pl.Boolean


def test_observed_values_of_another_type_are_kept():
    X = towns()
    clf = small_classifier().fit(X, TOWN_LABELS)
    numerals = X.astype({"height": "string"})
    filled = clf.impute(numerals)["height"]
    assert filled.dtype == "string"
    assert np.isfinite(filled.astype(float)).all()
    other = pl.from_pandas(X).with_columns(
        pl.col("height").cast(pl.String),
        town=pl.Series([None, datetime.date(2000, 1, 1)] * (N_TOWNS // 2)),
    )
    with pytest.warns(UserWarning, match="'town' has categories that did not occur"):
        both = clf.impute(other)
    assert both["height"].dtype == pl.String
    assert both["height"].cast(float).is_finite().all()
    assert both["town"][1] == "2000-01-01"
    assert set(both["town"][::2]) <= {"Oslo", "Rome"}


@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_impute_checks_the_support_in_rows_with_missing_values(kind):
    X = towns().assign(visits=np.arange(N_TOWNS) % 5)
    clf = small_classifier(likelihood=[(kind, ["visits"])]).fit(X, TOWN_LABELS)
    X.loc[1, "visits"] = -3  # in a row without missing values
    assert not clf.impute(X).isna().any().any()
    X.loc[5, "visits"] = -2
    with pytest.raises(ValueError) as error:
        clf.impute(X)
    assert str(error.value) == (
        f"likelihood={kind!r} needs whole numbers from 0 to 1e9, but X has -2 in row "
        "5, column 3. Use likelihood='gaussian' for columns that are not counts."
    )
