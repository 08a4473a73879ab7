"""Rows as people have them: frames, categories, gaps, sparse arrays, other markers."""

import pickle
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder

N = 160


def quick(**params):
    given = {
        "latent_size": 2,
        "hidden_sizes": (16,),
        "classifier_hidden_sizes": (16,),
        "max_epochs": 4,
        "inner_size": 3,
        "pretrain_epochs": 3,
        "teacher": None,
        "random_state": 0,
    }
    return SSVAEClassifier(**given | params)


def people(gaps=True):
    """Return a frame of every kind of column, and classes."""
    rng = np.random.RandomState(0)
    y = rng.randint(0, 2, N)
    X = pd.DataFrame(
        {
            "height": rng.randn(N) + 2 * y,
            "colour": pd.Categorical(
                np.where(rng.rand(N) < 0.7, np.array(["red", "blue"])[y], "green"),
                categories=["red", "green", "blue", "never"],
            ),
            "town": np.array(["Oslo", "Rome", "Lima"])[rng.randint(0, 3, N)],
            "visits": rng.poisson(2 + 3 * y),
            "member": rng.rand(N) < 0.3 + 0.4 * y,
            "rank": pd.array(rng.randint(0, 9, N), dtype="Int64"),
        }
    )
    if gaps:
        X.loc[::7, "height"] = np.nan
        X.loc[::5, "colour"] = None
        X.loc[::11, "town"] = None
        X.loc[::13, "rank"] = pd.NA
    return X, y, np.where(np.arange(N) % 3 == 0, y, -1)


def frames():
    X, y, few = people()
    return {"pandas": (X, y, few), "polars": (pl.from_pandas(X), y, few)}


KINDS = [
    ("gaussian", ["height", "visits", "rank"]),
    ("categorical", ["colour", "town"]),
    ("bernoulli", ["member"]),
]
MODELS = ("m2", "m1+m2", "sdgm", "adgm")


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("model", MODELS)
def test_frames_come_back_as_they_were(library, model):
    X, _, few = frames()[library]
    clf = quick(model=model).fit(X, few)
    assert clf.likelihood_ == KINDS
    assert clf.feature_names_in_.tolist() == list(X.columns)
    assert clf.predict_proba(X).sum(1) == pytest.approx(np.ones(N))
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
def test_frames_of_either_library_are_the_same_rows(library):
    X, _, few = frames()["pandas"]
    other, _, _ = frames()[library]
    expected = quick().fit(X, few).predict_proba(X)
    np.testing.assert_array_equal(
        quick().fit(other, few).predict_proba(other), expected
    )
    fitted = quick().fit(X, few)
    np.testing.assert_array_equal(fitted.predict_proba(other), expected)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("model", MODELS)
def test_impute_fills_gaps_and_nothing_else(library, model):
    X, _, few = frames()[library]
    clf = quick(model=model).fit(X, few)
    before = X.clone() if library == "polars" else X.copy()
    filled = clf.impute(X)
    assert X.equals(before)
    assert type(filled) is type(X)
    assert list(filled.dtypes) == list(X.dtypes)
    for name in X.columns:
        was, now = list(X[name]), list(filled[name])
        gaps = [v is None or v is pd.NA or v != v for v in was]
        assert any(gaps) == (name in ("height", "colour", "town", "rank"))
        for gap, old, new in zip(gaps, was, now, strict=True):
            assert (new is not None and new == new) if gap else new == old
    again = clf.impute(filled)
    assert again.equals(filled)


def test_impute_takes_posterior_means_by_brute_force():
    """Importance weights over draws of z, classes by q(y | x), each by hand."""
    rng = np.random.RandomState(3)
    X = rng.randn(60, 3) @ rng.randn(3, 3)
    X[::4, 1] = np.nan
    y = (X[:, 0] > 0).astype(int)
    clf = quick(max_epochs=20).fit(X, y)
    rows = X[:8]
    filled = clf.impute(rows, n_draws=4000)
    q = clf.predict_proba(rows)
    z = np.random.RandomState(0).randn(40_000, 2)
    for row, answer, share in zip(rows, filled, q, strict=True):
        if not np.isnan(row[1]):
            np.testing.assert_array_equal(row, answer)
            continue
        expected = 0.0
        for code in (
            0,
            1,
        ):  # from the prior: p(z | x, y) is proportional to p(x | y, z)
            means = clf.inverse_transform(z, y=code)
            scale = clf._columns.scale
            part = clf.module_.likelihood.density()
            p = part(torch.from_numpy(clf._columns.encode(means))).parts[0]
            deviation = p.log_scale.exp().detach().numpy() * scale
            log_p = -0.5 * (((row - means) / deviation)[:, [0, 2]] ** 2).sum(1)
            w = np.exp(log_p - log_p.max())
            expected += share[code] * (w @ means[:, 1]) / w.sum()
        assert answer[1] == pytest.approx(expected, abs=0.05 * scale[1])


def test_a_missing_cell_is_marginalised_in_the_score():
    """The density of the rest is the integral over the cell."""
    rng = np.random.RandomState(1)
    X = rng.randn(80, 2) * [1, 5] + [0, 20]
    X[:, 1] += X[:, 0]
    X[::6, 1] = np.nan
    clf = quick(max_epochs=30).fit(X, (X[:, 0] > 0).astype(int))
    grid = np.linspace(-40, 80, 6001)
    for x in (-1.0, 0.5):
        rows = np.column_stack([np.full_like(grid, x), grid])
        density = np.exp(clf.score_samples(rows, n_draws=400).astype(float))
        total = np.trapezoid(density, grid)
        alone = np.exp(clf.score_samples([[x, np.nan]], n_draws=400)[0])
        assert total == pytest.approx(alone, rel=0.03)


@pytest.mark.parametrize("model", MODELS)
def test_gaps_at_predict_only(model):
    """Whoever saw no gap in training fills one as well as it can."""
    X, y = load_iris(return_X_y=True)
    clf = quick(model=model, max_epochs=30, pretrain_epochs=60).fit(X, y)
    holed = X.copy()
    holed[::2, 3] = np.nan
    for answer in (
        clf.predict_proba(holed),
        clf.transform(holed),
        clf.score_samples(holed),
        clf.impute(holed),
    ):
        assert np.isfinite(answer).all()
    np.testing.assert_array_equal(
        clf.predict_proba(holed)[1::2], clf.predict_proba(X)[1::2]
    )
    hidden = X[::2, 3]
    error = np.abs(clf.impute(holed)[::2, 3] - hidden).mean()
    assert error < 0.8 * np.abs(hidden - X[1::2, 3].mean()).mean()


def test_masked_cells_are_missing():
    X, y = load_iris(return_X_y=True)
    mask = np.random.RandomState(0).rand(*X.shape) < 0.1
    holed = np.where(mask, np.nan, X)
    masked = np.ma.masked_array(np.where(mask, 1e6, X), mask)
    clf, expected = quick().fit(masked, y), quick().fit(holed, y)
    np.testing.assert_array_equal(
        clf.predict_proba(masked), expected.predict_proba(holed)
    )
    np.testing.assert_array_equal(clf.impute(masked), expected.impute(holed))


def test_what_was_never_seen_is_refused_by_name():
    X, _, few = people()
    with pytest.raises(ValueError) as error:
        quick().fit(X.assign(height=np.nan), few)
    assert str(error.value) == (
        "Every cell of the columns ['height'] is missing, so nothing can be learnt of "
        "them. Leave these columns out."
    )


def test_unknown_categories_are_missing_with_one_warning():
    X, _, few = people()
    clf = quick().fit(X, few)
    new = X.copy()
    new.loc[[1, 2], "town"] = ["Bonn", "Kyiv"]
    gone = X.copy()
    gone.loc[[1, 2], "town"] = None
    with pytest.warns(UserWarning, match="town") as caught:
        proba = clf.predict_proba(new)
    assert [str(w.message) for w in caught] == [
        "Column 'town' has categories that did not occur in fit; they are treated as "
        "missing: ['Bonn', 'Kyiv']."
    ]
    np.testing.assert_array_equal(proba, clf.predict_proba(gone))
    with pytest.warns(UserWarning, match="town"):
        assert clf.impute(new)["town"][1] == "Bonn"


def test_categories_by_position_mask_and_name():
    X, _, few = people(gaps=False)
    numbers = X[["height", "visits", "rank"]].astype(float)
    by_name = quick(categorical_features=["rank"]).fit(numbers, few)
    assert by_name.likelihood_ == [
        ("gaussian", ["height", "visits"]),
        ("categorical", ["rank"]),
    ]
    expected = by_name.predict_proba(numbers)
    for features in ([2], [False, False, True], np.array([2])):
        clf = quick(categorical_features=features).fit(numbers.to_numpy(), few)
        np.testing.assert_array_equal(clf.predict_proba(numbers.to_numpy()), expected)
    pairs = quick(likelihood=[("categorical", ["rank"])]).fit(numbers, few)
    np.testing.assert_array_equal(pairs.predict_proba(numbers), expected)


def test_named_categories_come_on_top_of_those_of_the_types():
    X, _, few = people()
    clf = quick(categorical_features=["member", "rank"]).fit(X, few)
    assert dict(clf.likelihood_)["categorical"] == ["colour", "town", "member", "rank"]
    assert set(clf.sample(20)[0]["member"]) <= {True, False}
    with pytest.raises(TypeError) as error:
        quick(categorical_features=None).fit(X, few)
    assert str(error.value).startswith("Column 'colour' has 'blue' of type str, but")


@pytest.mark.parametrize(
    "columns",
    [["visits"], [3], slice(3, 4), [False] * 3 + [True] + [False] * 2, lambda X: [3]],
)
def test_columns_of_a_likelihood_as_column_transformer_takes_them(columns):
    X, _, few = people()
    clf = quick(likelihood=[("poisson", columns)]).fit(X, few)
    assert ("poisson", ["visits"]) in clf.likelihood_
    assert (clf.sample(30)[0]["visits"] >= 0).all()
    again = pickle.loads(pickle.dumps(clone(clf))) if columns == [3] else clone(clf)
    assert again.get_params()["likelihood"] == [("poisson", columns)]


def test_selectors_choose_columns():
    X, _, few = people()
    pairs = [("negative_binomial", make_column_selector("visits"))]
    clf = quick(likelihood=pairs).fit(X, few)
    assert ("negative_binomial", ["visits"]) in clf.likelihood_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"likelihood": [("poisson", ["visits"]), ("gaussian", [3])]},
            "likelihood gives column 3 both to 'poisson' and to 'gaussian'.",
        ),
        (
            {"likelihood": [("normal", ["visits"])]},
            "likelihood must be one of ['bernoulli', 'categorical', 'gaussian', "
            "'negative_binomial', 'poisson'], got 'normal'.",
        ),
        (
            {"likelihood": [("gaussian", ["town"])]},
            "likelihood gives column 'town' to 'gaussian', but it holds categories. "
            "Leave it out of likelihood, or convert it to numbers.",
        ),
        (
            {"likelihood": [("poisson", ["height"])]},
            "likelihood='poisson' needs whole numbers from 0 to 1e9, but X has {} in "
            "row {}, column 0. Use likelihood='gaussian' for what is not counted.",
        ),
        (
            {"likelihood": [("gaussian", ["hat"])]},
            "likelihood gives 'gaussian' to columns ['hat'], which X has not: Some "
            "column names are not columns of the dataframe: {{'hat'}}",
        ),
        (
            {"categorical_features": ["hat"]},
            "categorical_features names columns that X does not have: ['hat'].",
        ),
        (
            {"categorical_features": [9]},
            "categorical_features has positions outside 0 ... 5: [9].",
        ),
        (
            {"categorical_features": [True]},
            "categorical_features is a mask of 1 columns, but X has 6.",
        ),
        (
            {"categorical_features": "town"},
            "categorical_features must be 'from_dtype', None, a mask, positions or "
            "names of columns, got 'town'.",
        ),
    ],
)
def test_refused(params, message):
    X, _, few = people()
    negative = X["height"][X["height"] != X["height"].round()].dropna()
    message = message.format(f"{negative.iloc[0]:.6g}", negative.index[0])
    clf = quick(**params)
    with pytest.raises(ValueError) as error:
        clf.fit(X, few)
    assert str(error.value) == message
    assert not hasattr(clf, "net_")


def test_strange_likelihoods_are_refused():
    with pytest.raises(TypeError) as error:
        quick(likelihood=[3]).fit(*people()[::2])
    assert str(error.value) == (
        "likelihood must be one of ['auto', 'bernoulli', 'categorical', 'gaussian', "
        "'negative_binomial', 'poisson'] or a list of pairs (name, columns), got [3]."
    )


def test_a_date_is_refused_by_name():
    X, _, few = people()
    X["born"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(N), "D")
    with pytest.raises(TypeError, match="Column 'born' has Timestamp"):
        quick().fit(X, few)


def test_gaps_must_be_there_from_the_start():
    X, y = load_iris(return_X_y=True)
    clf = quick(warm_start=True).fit(X, y)
    before = clf.predict_proba(X)
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X has missing values, or categories"):
        clf.fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(np.nan_to_num(X))[4:], before[4:])


def test_weights_of_zero_hide_categories():
    X, _, few = people()
    weight = np.ones(N)
    weight[:3] = 0
    odd = X.copy()
    odd.loc[:2, "town"] = "Bonn"
    with_row = quick().fit(odd, few, sample_weight=weight)
    without = quick().fit(X[3:], few[3:])
    assert with_row._table.categories == without._table.categories
    np.testing.assert_array_equal(
        with_row.predict_proba(X[3:]), without.predict_proba(X[3:])
    )


def test_training_starts_from_weighted_shares_and_means():
    X = pd.DataFrame({"kind": list("aabbbc") * 4, "count": [0, 1, 2, 3, 4, 9] * 4})
    X["flag"] = pd.array([True, False, None] * 8, dtype="boolean")
    weight = np.tile([1.0, 2, 1, 1, 2, 1], 4)
    repeats = np.repeat(np.arange(24), weight.astype(int))
    y = np.arange(24) % 2
    clf = quick(likelihood=[("poisson", ["count"]), ("bernoulli", ["flag"])])
    by_weight = clf.fit(X, y, sample_weight=weight)._layout
    repeated = X.iloc[repeats]
    by_rows = clf.fit(repeated, y[repeats])._layout
    for one, other in zip(by_weight.groups, by_rows.groups, strict=True):
        assert one.kind == other.kind
        if one.offset is not None:
            np.testing.assert_allclose(one.offset, other.offset)
    np.testing.assert_allclose(by_weight.fill[1:], by_rows.fill[1:])
    np.testing.assert_allclose(by_weight.count_scale, by_rows.count_scale)
    shares = repeated["kind"].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(by_rows.groups[0].offset, np.log(shares))
    means = [repeated["count"].mean(), repeated["flag"].dropna().mean()]
    np.testing.assert_allclose(by_rows.fill[1:], means)


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix]
)
def test_sparse_rows_are_what_dense_ones_are(make):
    rng = np.random.RandomState(0)
    X = rng.poisson(0.3, size=(N, 30)).astype(float)
    y = (X[:, :5].sum(1) > 1).astype(int)
    few = np.where(np.arange(N) % 2 == 0, y, -1)
    for likelihood in ("gaussian", "negative_binomial", "poisson"):
        dense = quick(likelihood=likelihood).fit(X, few)
        clf = quick(likelihood=likelihood).fit(make(X), few)
        np.testing.assert_array_equal(
            clf.predict_proba(make(X)), dense.predict_proba(X)
        )
        np.testing.assert_array_equal(clf.predict_proba(X), dense.predict_proba(X))
        np.testing.assert_array_equal(
            clf.score_samples(make(X)), dense.score_samples(X)
        )
        assert sparse.issparse(clf.sample(4)[0])
        np.testing.assert_array_equal(clf.sample(4)[0].toarray(), dense.sample(4)[0])
    assert quick().fit(make(X), few).likelihood_ == "negative_binomial"
    assert quick().fit(make(X > 0), few).likelihood_ == "bernoulli"
    assert quick().fit(make(X * 1.5), few).likelihood_ == "gaussian"


def test_sparse_rows_with_a_teacher():
    rng = np.random.RandomState(0)
    y = np.arange(N) % 2
    X = sparse.csr_array(rng.poisson(0.2 + 0.6 * y[:, None], size=(N, 40)) * 1.0)
    few = np.where(np.arange(N) % 8 < 2, y, -1)
    for teacher in ("pool", LogisticRegressionThatTakes(), None):
        assert quick(teacher=teacher, max_epochs=20).fit(X, few).score(X, y) > 0.6


class LogisticRegressionThatTakes(LogisticRegression):
    """Takes -1, and sparse rows alone."""

    def fit(self, X, y):
        assert sparse.issparse(X)
        return super().fit(X[np.flatnonzero(y >= 0)], y[y >= 0])


def test_a_teacher_sees_gaps_filled_and_categories_as_columns():
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append(X)
            return super().fit(X[y >= 0], y[y >= 0])

    X, _, few = people()
    quick(teacher=Spy()).fit(X, few)
    assert seen[0].shape == (N, 4 + 6 + 4)
    assert np.isfinite(seen[0]).all()


@pytest.mark.parametrize(
    ("y", "unlabeled"),
    [
        (lambda y: pd.array(np.where(y < 0, None, y), dtype="Int64"), None),
        (lambda y: pd.Series(np.where(y < 0, None, y), dtype="Int64"), pd.NA),
        (lambda y: np.where(y < 0, np.nan, y), np.nan),
        (lambda y: np.where(y < 0, 99, y), 99),
        (lambda y: [None if v < 0 else int(v) for v in y], None),
        (lambda y: pl.Series([None if v < 0 else int(v) for v in y]), None),
    ],
)
def test_other_markers_of_unlabelled_rows(y, unlabeled):
    X, truth = load_iris(return_X_y=True)
    few = np.where(np.arange(150) % 3 == 0, truth, -1)
    plain = quick().fit(X, few)
    clf = quick(unlabeled=unlabeled).fit(X, y(few))
    np.testing.assert_array_equal(clf.classes_, plain.classes_)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(clf.transduction_, plain.transduction_)
    assert clf.score(X, y(few)) == plain.score(X, few)


def test_a_boolean_is_no_marker():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError) as error:
        quick(unlabeled=True).fit(X, y)
    assert str(error.value) == (
        "unlabeled=True is a boolean, which cannot be told from the integers 0 and 1. "
        "Use a number, a string or None."
    )


def test_numbers_of_every_type_come_back_as_such():
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
        clf = quick().fit(frame, np.arange(40) % 2)
        assert list(clf.sample(9)[0].dtypes) == list(frame.dtypes)
        assert list(clf.impute(frame).dtypes) == list(frame.dtypes)


@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_strings_and_categoricals_can_mark(missing):
    X, truth = load_iris(return_X_y=True)
    names = np.array(["ant", "bee", "cat"], dtype=object)[truth]
    few = np.where(np.arange(150) % 3 == 0, names, missing)
    expected = quick().fit(X, np.where(np.arange(150) % 3 == 0, names, -1))
    for y in (few, pd.Series(few, dtype="category"), pd.Series(few)):
        clf = quick(unlabeled=None).fit(X, y)
        assert clf.classes_.tolist() == ["ant", "bee", "cat"]
        np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_minus_one_is_a_class_where_it_is_no_marker():
    X, truth = load_iris(return_X_y=True)
    y = np.where(truth == 0, -1.0, 1.0)
    y[::2] = 0
    clf = quick(unlabeled=0, max_epochs=30).fit(X, y)
    assert clf.classes_.tolist() == [-1, 1]
    assert set(clf.predict(X)) == {-1, 1}
    assert clf.score(X, y) > 0.9
    assert clf.sample(3, y=-1)[1].tolist() == [-1] * 3
    with pytest.raises(ValueError) as error:
        clf.score(X, np.zeros(150))
    assert str(error.value) == (
        "score needs labelled rows, but y is 0 (unlabelled) in all 150 rows."
    )


def test_missing_labels_are_refused_where_they_are_no_marker():
    X, truth = load_iris(return_X_y=True)
    y = pd.Series(truth, dtype="Int64")
    y[4] = pd.NA
    with pytest.raises(ValueError) as error:
        quick().fit(X, y)
    assert str(error.value) == (
        "y has a missing value in row 4. Mark unlabelled rows by the integer -1 "
        "(SSVAEClassifier also takes unlabeled=None)."
    )
    with pytest.raises(ValueError) as error:
        quick(unlabeled=7).fit(X, y)
    assert str(error.value) == (
        "y has a missing value in row 4, but unlabelled rows are marked by unlabeled=7."
        " Set unlabeled=None if missing means unlabelled."
    )


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scales_and_large_integers(scale):
    X, y = load_iris(return_X_y=True)
    plain = quick(max_epochs=20).fit(X, y)
    clf = quick(max_epochs=20).fit(X * scale, y)
    np.testing.assert_allclose(
        clf.predict_proba(X * scale), plain.predict_proba(X), atol=1e-4
    )
    whole = np.round(X * 10).astype(np.int64)
    far = quick(max_epochs=20).fit(whole + 2**40, y)  # float32 would keep no digit
    near = quick(max_epochs=20).fit(whole, y)
    np.testing.assert_allclose(
        far.predict_proba(whole + 2**40), near.predict_proba(whole), atol=1e-4
    )


def test_boolean_constant_and_repeated_columns():
    X, y = load_iris(return_X_y=True)
    flags = pd.DataFrame(X.mean(0) < X, columns=list("abcd"))
    clf = quick().fit(flags, y)
    assert clf.likelihood_ == "bernoulli"
    assert {str(dtype) for dtype in clf.sample(5)[0].dtypes} == {"bool"}
    both = pd.concat([flags, flags.add_suffix("2")], axis=1).assign(same="x", one=1.0)
    clf = quick().fit(both, y)
    drawn = clf.sample(6)[0]
    assert set(drawn["same"]) == {"x"}
    assert set(drawn["one"]) == {1.0}
    assert list(drawn.dtypes) == list(both.dtypes)


def test_the_autoencoder_takes_them_too():
    X, _, _ = people()
    vae = VariationalAutoencoder(2, hidden_sizes=(16,), max_epochs=4, random_state=0)
    vae.fit(X)
    assert vae.likelihood_ == KINDS
    assert not vae.impute(X).isna().any().any()
    assert list(vae.sample(4).dtypes) == list(X.dtypes)
    assert np.isfinite(vae.score(X))


def test_weights_are_routed():
    X, y = load_iris(return_X_y=True)
    weight = np.where(np.arange(150) % 4 == 0, 3.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = quick().set_fit_request(sample_weight=True)
        routed = make_pipeline(clf).fit(X, y, sample_weight=weight)
    expected = quick().fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(routed.predict_proba(X), expected.predict_proba(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (expected.predict_proba(X) != quick().fit(X, y).predict_proba(X)).any()


def test_the_example_of_the_document_runs():
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


@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_large_counts_are_told_apart_and_larger_ones_refused(kind):
    rng = np.random.RandomState(0)
    y = np.arange(60) % 2
    X = np.where(y == 0, 2e6, 9e6) + rng.randint(0, 1000, 60)
    X = np.c_[X, rng.poisson(3, 60)]
    clf = quick(likelihood=kind, max_epochs=100).fit(X, y)
    assert clf.score(X, y) == 1
    assert (np.diff(clf.score_samples(np.c_[[5e6, 5e7, 5e8], [3, 3, 3]])) < 0).all()
    with pytest.raises(ValueError, match="needs whole numbers from 0 to 1e9"):
        clf.fit(X * 1e3, y)


def test_a_column_of_labels_keeps_its_marker():
    X, truth = load_iris(return_X_y=True)
    few = np.where(np.arange(150) % 3 == 0, truth, 99)
    expected = quick(unlabeled=99).fit(X, few)
    for column in (few[:, None], pd.DataFrame({"y": few}), pl.DataFrame({"y": few})):
        with pytest.warns(DataConversionWarning):
            clf = quick(unlabeled=99).fit(X, column)
        assert clf.classes_.tolist() == [0, 1, 2]
        np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_sparse_rows_with_categories_and_gaps():
    rng = np.random.RandomState(0)
    dense = np.c_[rng.randn(60), rng.choice([3.0, 5.0, 9.0], 60), rng.poisson(0.3, 60)]
    y = np.arange(60) % 2
    dense[::5, 1] = np.nan
    X = sparse.csr_array(dense)
    clf = quick(categorical_features=[1])
    clf.fit(X, y, sample_weight=np.ones(60))
    assert set(clf.sample(30)[0].toarray()[:, 1]) <= {3.0, 5.0, 9.0}
    filled = clf.impute(X).toarray()
    assert set(filled[:, 1]) <= {3.0, 5.0, 9.0}
    np.testing.assert_array_equal(filled[~np.isnan(dense)], dense[~np.isnan(dense)])
    vae = VariationalAutoencoder(2, max_epochs=2, likelihood="gaussian", random_state=0)
    vae.fit(dense[:, [0, 2]] * [1000, 1])
    row = np.array([[np.nan, 0.5]])
    alone = vae.score_samples(sparse.csr_array(row))
    np.testing.assert_array_equal(alone, vae.score_samples(row))
    counts = rng.poisson(0.5, (60, 4)) * 1.0
    counts[::5, 0] = np.nan
    clf = quick().fit(sparse.csr_array(counts), y)
    assert clf.likelihood_ == "negative_binomial"


def test_integers_beyond_floats_stay_apart_as_categories():
    y = np.arange(60) % 2
    X = pd.DataFrame({"h": np.arange(60.0), "c": np.array([2**60, 2**60 + 1])[y]})
    for frame in (X, pl.from_pandas(X)):
        clf = quick(categorical_features=["c"]).fit(frame, y)
        assert set(clf.sample(60)[0]["c"]) == {2**60, 2**60 + 1}


def test_limits_of_integer_types():
    y = np.arange(60) % 2
    big = pl.Series(
        [2**64 - 1 - i if i % 7 else None for i in range(60)], dtype=pl.UInt64
    )
    money = pl.Series([0.23 + i / 100 if i % 7 else None for i in range(60)])
    X = pl.DataFrame({"h": np.arange(60.0), "big": pl.Series(big, dtype=pl.UInt64)})
    X = X.with_columns(money=money.cast(pl.Decimal(10, 2)))
    clf = quick().fit(X, y)
    assert clf.sample(20)[0].null_count().sum_horizontal()[0] == 0
    filled = clf.impute(X)
    assert filled.null_count().sum_horizontal()[0] == 0
    assert filled.schema == X.schema
    assert any(v != int(v) for v in filled["money"].gather(range(0, 60, 7)))


def test_gaps_are_filled_in_columns_of_other_types():
    X, _, few = people()
    clf = quick().fit(X, few)
    empty = pl.DataFrame({name: [None, None] for name in X.columns})
    assert clf.impute(empty).null_count().sum_horizontal()[0] == 0
    odd = pl.from_pandas(X[:4]).with_columns(
        town=pl.Series([None] * 4, dtype=pl.Enum(["Bonn"]))
    )
    assert set(clf.impute(odd)["town"]) <= {"Oslo", "Rome", "Lima"}
    read = X[:4].assign(town=np.nan)  # as read_csv makes of an empty column
    assert set(clf.impute(read)["town"]) <= {"Oslo", "Rome", "Lima"}


def test_sparse_columns_of_a_frame_and_frames_of_a_subclass():
    class Frame(pd.DataFrame):
        """Not pandas' own."""

    X, _, few = people(gaps=False)
    sub = quick().fit(Frame(X), few)
    np.testing.assert_array_equal(
        sub.predict_proba(X), quick().fit(X, few).predict_proba(X)
    )
    X["visits"] = X["visits"].astype(pd.SparseDtype(int, 0))
    X["height"] = X["height"].where(X["height"] > 0).astype(pd.SparseDtype(float))
    clf = quick().fit(X, few)
    assert list(clf.sample(5)[0].dtypes) == list(X.dtypes)
    assert not clf.impute(X).isna().any().any()


def test_na_in_arrays_of_objects_is_missing():
    rows = [[1.0, pd.NA], [2.0, 3.0], [4.0, None]] * 20
    floats = np.array([[1, np.nan], [2, 3], [4, np.nan]] * 20)
    y = np.arange(60) % 2
    expected = quick().fit(floats, y).predict_proba(floats)
    for X in (rows, np.array(rows, dtype=object)):
        clf = quick().fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), expected)


def test_equal_pairs_go_on_and_lazy_frames_are_refused():
    X, _, few = people()
    clf = quick(warm_start=True, likelihood=[("poisson", ["visits"])]).fit(X, few)
    clf.set_params(likelihood=[("poisson", ["visits"])]).fit(X, few)
    assert clf.n_iter_ == 8
    with pytest.raises(TypeError) as error:
        quick().fit(pl.from_pandas(X).lazy(), few)
    assert str(error.value) == (
        "X is a LazyFrame, which is not evaluated yet. Pass X.collect()."
    )


def nested():
    cells = np.empty((N, 2), dtype=object)
    for i in range(N):
        cells[i] = [1.0, [1, 2]]
    return cells


REMEDY = (
    "Arrays hold numbers, but for columns that categorical_features names. Name it "
    "there, give a data frame, or convert it (argument must be a string or a number)."
)
STRANGE = {
    "ragged": (
        lambda: [[1.0, 2.0]] * (N - 1) + [[1.0]],
        ValueError,
        f"X has rows of different lengths: row 0 has 2 values, row {N - 1} has 1.",
    ),
    "structured": (
        lambda: np.array([(1, 2.0)] * N, dtype=[("a", int), ("b", float)]),
        TypeError,
        "X is a structured array with the fields ['a', 'b']. Make a data frame of it: "
        "pandas.DataFrame(X).",
    ),
    "text": (
        lambda: np.array([["1", "2"]] * (N - 1) + [["1", "b"]]),
        ValueError,
        f"X has 'b' of type str in row {N - 1}, column 1. {REMEDY}",
    ),
    "objects": (
        lambda: np.array([[1, 2.5]] * (N - 1) + [["b", 1]], dtype=object),
        ValueError,
        f"X has 'b' of type str in row {N - 1}, column 0. {REMEDY}",
    ),
    "lists in cells": (
        nested,
        TypeError,
        f"X has [1, 2] of type list in row 0, column 1. {REMEDY}",
    ),
    "dates": (
        lambda: np.full((N, 2), np.datetime64("2000-01-01", "D")),
        TypeError,
        "X is an array of datetime64[D]. Convert dates to numbers, for instance to "
        "days since one of them.",
    ),
    "equal names": (
        lambda: pd.DataFrame(np.ones((N, 3)), columns=["a", "b", "a"]),
        ValueError,
        "X has several columns of the same name: ['a']. Give each column a name of "
        "its own.",
    ),
    "mixture": (
        lambda: pd.DataFrame({"a": [1, "x", None] * (N // 3)}),
        TypeError,
        "Column 'a' mixes values of the types ['int', 'str']. Convert it to one type, "
        "for instance to strings, or to a categorical type.",
    ),
    "arrays in a frame": (
        lambda: pd.DataFrame({"a": [[1, 2]] * N}),
        TypeError,
        "Column 'a' has [1, 2] of type list. A category must be a string, a number or "
        "a boolean (argument must be a string or a number). Convert the column, for "
        "instance dates to days since a reference date.",
    ),
    "dict": (
        lambda: {"a": [1.0] * N},
        TypeError,
        "X must be an array, a sparse array or a data frame, got a dict.",
    ),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_cannot_be_rows(kind):
    make, error_type, message = STRANGE[kind]
    few = people()[2]
    clf = quick()
    with pytest.raises(error_type) as error:
        clf.fit(make(), few)
    assert str(error.value) == message
    assert not hasattr(clf, "net_")


def test_what_cannot_be_rows_to_predict():
    X, y = load_iris(return_X_y=True)
    clf = quick().fit(X, y)
    with pytest.raises(ValueError) as error:
        clf.predict([[1, 2, 3, "b"]])
    assert str(error.value) == (f"X has 'b' of type str in row 0, column 3. {REMEDY}")
    with pytest.raises(TypeError) as error:
        clf.predict(np.full((2, 4), np.timedelta64(1, "s")))
    assert str(error.value) == (
        "X is an array of timedelta64[s]. Convert dates to numbers, for instance to "
        "days since one of them."
    )


def test_numbers_written_as_text_are_numbers():
    X, y = load_iris(return_X_y=True)
    clf = quick().fit(X, y)
    assert np.array_equal(clf.predict(X.astype(str)), clf.predict(X))


def test_a_declared_category_may_hold_several_types():
    few = people()[2]
    mixed = pd.Categorical([1, "x", None, "x"] * (N // 4))
    clf = quick().fit(pd.DataFrame({"a": mixed}), few)
    assert set(clf.sample(20)[0]["a"]) <= {1, "x"}


def test_errors_in_labels_do_not_blame_text_that_is_allowed():
    cells = np.array([["a", 1.5], ["b", 2.5]] * (N // 2), dtype=object)
    with pytest.raises(ValueError, match="y is -1"):
        quick(categorical_features=[0]).fit(cells, np.full(len(cells), -1))


def test_nulls_of_polars_among_labels_are_refused():
    X, y = load_iris(return_X_y=True)
    labels = pl.Series([None if v == 2 else int(v) for v in y])
    with pytest.raises(ValueError) as error:
        quick().fit(X, labels)
    assert str(error.value) == (
        "Input y contains NaN or None (row 100: None). Mark unlabelled rows by the "
        "integer -1 (SSVAEClassifier also takes unlabeled=None)."
    )
    assert quick(unlabeled=None).fit(X, labels).classes_.tolist() == [0, 1]
    whole = quick().fit(X, pl.Series(y))
    assert np.array_equal(whole.predict(X), quick().fit(X, y).predict(X))


def test_gaps_in_a_constant_column_do_not_stop_training():
    """No network sees that column."""
    X, y = load_iris(return_X_y=True)
    X = np.c_[X, np.ones(150)]
    X[::5, 4] = np.nan
    clf = quick(warm_start=True).fit(X, y).fit(X, y)
    assert clf.n_iter_ == 8
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match="X has missing values, or categories"):
        clf.fit(X, y)


@pytest.mark.parametrize("first", [0, 5])
def test_counts_that_vary_only_in_later_chunks(first):
    """Of a chunk's constant columns the next rows are no outliers."""
    rng = np.random.RandomState(0)
    y = np.arange(400) % 2
    X = rng.poisson(np.where(y == 0, 1, 4)[:, None], (400, 8)) * 1.0
    X[:200, 4:] = first
    clf = quick(likelihood="poisson").partial_fit(X[:200], y[:200], classes=[0, 1])
    with torch.no_grad():
        shown = clf.module_.inputs(torch.from_numpy(clf._columns.encode(X[200:])))
    assert shown.abs().max() < 10
    for _ in range(30):
        clf.partial_fit(X[200:], y[200:])
    assert clf.score(X[200:], y[200:]) > 0.95


def test_huge_measurements_beside_counts_do_not_overflow():
    rng = np.random.RandomState(0)
    y = np.arange(60) % 2
    X = np.c_[rng.uniform(0.5, 1, 60) * 1e308, rng.poisson(1 + 3 * y)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = quick(likelihood=[("gaussian", [0]), ("poisson", [1])]).fit(X, y)
        assert np.isfinite(clf.score_samples(X)).all()


def test_gaps_at_predict_only_are_shown_as_means_of_zeros_and_ones():
    """A zero would be news where nearly all are ones."""
    rng = np.random.RandomState(0)
    y = np.arange(800) % 2
    X = (rng.rand(800, 20) < np.where(y == 0, 0.83, 0.97)[:, None]) * 1.0
    clf = quick(max_epochs=60).fit(X[:400], y[:400])
    assert clf.likelihood_ == "bernoulli"
    fill = clf.module_.inputs.fill.numpy()
    np.testing.assert_allclose(fill, X[:400].mean(0), rtol=1e-6)
    holed = np.where(rng.rand(400, 20) < 0.3, np.nan, X[400:])
    assert clf.score(holed, y[400:]) > 0.65
