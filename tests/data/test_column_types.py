"""The parameter `likelihood`: which columns have which, and the values they need."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from mixed_rows import TOWN_LABELS, small_classifier, survey, towns
from sklearn.base import clone
from sklearn.compose import make_column_selector


@pytest.mark.parametrize(
    "columns",
    [["visits"], [3], slice(3, 4), [False] * 3 + [True] + [False] * 2, lambda X: [3]],
)
def test_columns_are_selected_as_in_column_transformer(columns):
    X, _, few = survey()
    clf = small_classifier(likelihood=[("poisson", columns)]).fit(X, few)
    assert ("poisson", ["visits"]) in clf.likelihood_
    assert (clf.sample(30)[0]["visits"] >= 0).all()
    again = pickle.loads(pickle.dumps(clone(clf))) if columns == [3] else clone(clf)
    assert again.get_params()["likelihood"] == [("poisson", columns)]


def test_columns_are_selected_by_a_column_selector():
    X, _, few = survey()
    pairs = [("negative_binomial", make_column_selector("visits"))]
    clf = small_classifier(likelihood=pairs).fit(X, few)
    assert ("negative_binomial", ["visits"]) in clf.likelihood_


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"likelihood": [("poisson", ["visits"]), ("gaussian", [3])]},
            "likelihood assigns column 3 to both 'poisson' and 'gaussian'.",
        ),
        (
            {"likelihood": [("normal", ["visits"])]},
            "likelihood must be one of ['bernoulli', 'categorical', "
            "'censored_logistic', 'gaussian', 'negative_binomial', 'poisson'], got "
            "'normal'.",
        ),
        (
            {"likelihood": [("gaussian", ["town"])]},
            "likelihood assigns 'gaussian' to column 'town', which holds categories. "
            "Leave it out of likelihood, or convert it to numbers.",
        ),
        (
            {"likelihood": [("poisson", ["height"])]},
            "likelihood='poisson' needs whole numbers from 0 to 1e9, but X has {} in "
            "row {}, column 0. Use likelihood='gaussian' for columns that are not "
            "counts.",
        ),
        (
            {"likelihood": [("gaussian", ["hat"])]},
            "likelihood assigns 'gaussian' to columns ['hat'], which X does not have: "
            "Some column names are not columns of the dataframe: {{'hat'}}",
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
def test_wrong_columns_are_refused(params, message):
    X, _, few = survey()
    negative = X["height"][X["height"] != X["height"].round()].dropna()
    message = message.format(f"{negative.iloc[0]:.6g}", negative.index[0])
    clf = small_classifier(**params)
    with pytest.raises(ValueError) as error:
        clf.fit(X, few)
    assert str(error.value) == message
    assert not hasattr(clf, "net_")


def test_a_list_without_pairs_is_refused():
    with pytest.raises(TypeError) as error:
        small_classifier(likelihood=[3]).fit(*survey()[::2])
    assert str(error.value) == (
        "likelihood must be one of ['auto', 'bernoulli', 'categorical', "
        "'censored_logistic', 'gaussian', 'negative_binomial', 'poisson'] or a list of "
        "pairs (name, columns), got [3]."
    )


@pytest.mark.parametrize("mask", [[True], np.ones(4, dtype=bool), lambda X: [True]])
def test_a_mask_of_another_length_is_refused(mask):
    X = towns()
    n = 4 if isinstance(mask, np.ndarray) else 1
    with pytest.raises(ValueError) as error:
        small_classifier(likelihood=[("gaussian", mask)]).fit(X, TOWN_LABELS)
    assert str(error.value) == (
        f"likelihood assigns 'gaussian' by a mask of {n} columns, but X has 3."
    )


def test_an_equal_mask_allows_a_warm_start():
    X = towns()
    mask = np.array([False, True, False])
    clf = small_classifier(warm_start=True, likelihood=[("gaussian", mask)])
    clf.fit(X, TOWN_LABELS)
    clf.set_params(likelihood=[("gaussian", mask.copy())]).fit(X, TOWN_LABELS)
    assert clf.n_iter_ == 8
    other = [("gaussian", ~mask)]
    with pytest.raises(ValueError, match=r"^likelihood was "):
        clf.set_params(likelihood=other).fit(X, TOWN_LABELS)


def test_equal_pairs_allow_a_warm_start():
    X, _, few = survey()
    clf = small_classifier(warm_start=True, likelihood=[("poisson", ["visits"])])
    clf.fit(X, few)
    clf.set_params(likelihood=[("poisson", ["visits"])]).fit(X, few)
    assert clf.n_iter_ == 8


def test_decoder_offsets_are_weighted_frequencies_and_means():
    X = pd.DataFrame({"kind": list("aabbbc") * 4, "count": [0, 1, 2, 3, 4, 9] * 4})
    X["flag"] = pd.array([True, False, None] * 8, dtype="boolean")
    weight = np.tile([1.0, 2, 1, 1, 2, 1], 4)
    repeats = np.repeat(np.arange(24), weight.astype(int))
    y = np.arange(24) % 2
    clf = small_classifier(likelihood=[("poisson", ["count"]), ("bernoulli", ["flag"])])
    by_weight = clf.fit(X, y, sample_weight=weight).preprocessor_.layout
    repeated = X.iloc[repeats]
    by_rows = clf.fit(repeated, y[repeats]).preprocessor_.layout
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


@pytest.mark.parametrize("kind", ["poisson", "negative_binomial"])
def test_large_counts_are_distinguished_and_larger_ones_refused(kind):
    rng = np.random.RandomState(0)
    y = np.arange(60) % 2
    X = np.where(y == 0, 2e6, 9e6) + rng.randint(0, 1000, 60)
    X = np.c_[X, rng.poisson(3, 60)]
    clf = small_classifier(likelihood=kind, max_epochs=100).fit(X, y)
    assert clf.score(X, y) == 1
    assert (np.diff(clf.score_samples(np.c_[[5e6, 5e7, 5e8], [3, 3, 3]])) < 0).all()
    with pytest.raises(ValueError, match="needs whole numbers from 0 to 1e9"):
        clf.fit(X * 1e3, y)


@pytest.mark.parametrize("first", [0, 5])
def test_counts_that_vary_only_in_later_chunks(first):
    """Later rows of a column that was constant in the first chunk are not outliers."""
    rng = np.random.RandomState(0)
    y = np.arange(400) % 2
    X = rng.poisson(np.where(y == 0, 1, 4)[:, None], (400, 8)) * 1.0
    X[:200, 4:] = first
    clf = small_classifier(likelihood="poisson")
    clf.partial_fit(X[:200], y[:200], classes=[0, 1])
    encoded = torch.from_numpy(clf.preprocessor_.scaling.encode(X[200:]))
    with torch.no_grad():
        inputs = clf.module_.inputs(encoded)
    assert inputs.abs().max() < 10
    for _ in range(30):
        clf.partial_fit(X[200:], y[200:])
    assert clf.score(X[200:], y[200:]) > 0.95


def test_huge_measurements_with_counts_do_not_overflow():
    rng = np.random.RandomState(0)
    y = np.arange(60) % 2
    X = np.c_[rng.uniform(0.5, 1, 60) * 1e308, rng.poisson(1 + 3 * y)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf = small_classifier(likelihood=[("gaussian", [0]), ("poisson", [1])])
        clf.fit(X, y)
        assert np.isfinite(clf.score_samples(X)).all()
