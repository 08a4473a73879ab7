"""Sparse arrays: identical to dense ones, with categories and missing values."""

import numpy as np
import pytest
from mixed_rows import N_SURVEY, N_TOWNS, TOWN_LABELS, small_classifier, survey, towns
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from sk_ssvae import OpinionPoolClassifier, VariationalAutoencoder


@pytest.mark.parametrize(
    "make", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix]
)
def test_sparse_and_dense_rows_give_identical_results(make):
    rng = np.random.RandomState(0)
    X = rng.poisson(0.3, size=(N_SURVEY, 30)).astype(float)
    y = (X[:, :5].sum(1) > 1).astype(int)
    few = np.where(np.arange(N_SURVEY) % 2 == 0, y, -1)
    for likelihood in ("gaussian", "negative_binomial", "poisson"):
        dense = small_classifier(likelihood=likelihood).fit(X, few)
        clf = small_classifier(likelihood=likelihood).fit(make(X), few)
        np.testing.assert_array_equal(
            clf.predict_proba(make(X)), dense.predict_proba(X)
        )
        np.testing.assert_array_equal(clf.predict_proba(X), dense.predict_proba(X))
        np.testing.assert_array_equal(
            clf.score_samples(make(X)), dense.score_samples(X)
        )
        assert sparse.issparse(clf.sample(4)[0])
        np.testing.assert_array_equal(clf.sample(4)[0].toarray(), dense.sample(4)[0])
    assert small_classifier().fit(make(X), few).likelihood_ == "negative_binomial"
    assert small_classifier().fit(make(X > 0), few).likelihood_ == "bernoulli"
    assert small_classifier().fit(make(X * 1.5), few).likelihood_ == "gaussian"


FORMATS = ("bsr", "coo", "csc", "csr", "dia", "dok", "lil")


@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_all_sparse_formats_give_identical_results(kind):
    X = np.random.RandomState(0).poisson(0.3, size=(N_TOWNS, 6)).astype(float)
    weight = np.ones(N_TOWNS)
    vae = VariationalAutoencoder(2, hidden_sizes=(8,), max_epochs=2, random_state=0)
    expected = None
    for name in FORMATS:
        rows = getattr(sparse, f"{name}_{kind}")(X)
        clf = small_classifier(max_epochs=2).fit(rows, TOWN_LABELS, weight)
        results = [
            *(
                clf.predict_proba(rows),
                clf.score_samples(rows),
                vae.fit_transform(rows),
            ),
            *(vae.score_samples(rows), [clf.score(rows, TOWN_LABELS)]),
            clf.partial_fit(rows, TOWN_LABELS).predict_proba(rows),
            *(clf.impute(rows).toarray(), vae.impute(rows).toarray()),
        ]
        expected = results if expected is None else expected
        for result, of_first in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, of_first)


@pytest.mark.parametrize("name", FORMATS)
def test_missing_entries_of_all_sparse_formats_are_imputed(name):
    X = np.random.RandomState(0).randn(N_TOWNS, 6)
    X[::5, 2] = np.nan
    rows = getattr(sparse, f"{name}_array")(X)
    filled = small_classifier().fit(X, TOWN_LABELS).impute(rows).toarray()
    np.testing.assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(filled).all()


def test_sparse_rows_with_a_teacher():
    rng = np.random.RandomState(0)
    y = np.arange(N_SURVEY) % 2
    X = sparse.csr_array(rng.poisson(0.2 + 0.6 * y[:, None], size=(N_SURVEY, 40)) * 1.0)
    few = np.where(np.arange(N_SURVEY) % 8 < 2, y, -1)
    for teacher in ("pool", SparseLogisticRegression(), None):
        clf = small_classifier(teacher=teacher, max_epochs=20).fit(X, few)
        assert clf.score(X, y) > 0.6


class SparseLogisticRegression(LogisticRegression):
    """Takes only sparse rows, and ignores the unlabelled ones."""

    def fit(self, X, y):
        assert sparse.issparse(X)
        return super().fit(X[np.flatnonzero(y >= 0)], y[y >= 0])


def test_a_teacher_gets_filled_values_and_one_hot_categories():
    passed = []

    class Teacher(LogisticRegression):
        def fit(self, X, y):
            passed.append(X)
            return super().fit(X[y >= 0], y[y >= 0])

    X, _, few = survey()
    small_classifier(teacher=Teacher()).fit(X, few)
    assert passed[0].shape == (N_SURVEY, 4 + 6 + 4)
    assert np.isfinite(passed[0]).all()


def test_sparse_rows_with_categories_and_missing_values():
    rng = np.random.RandomState(0)
    dense = np.c_[rng.randn(60), rng.choice([3.0, 5.0, 9.0], 60), rng.poisson(0.3, 60)]
    y = np.arange(60) % 2
    dense[::5, 1] = np.nan
    X = sparse.csr_array(dense)
    clf = small_classifier(categorical_features=[1])
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
    clf = small_classifier().fit(sparse.csr_array(counts), y)
    assert clf.likelihood_ == "negative_binomial"


def test_duplicate_entries_are_summed():
    X = sparse.csr_array(np.random.RandomState(0).poisson(0.6, (N_TOWNS, 5)) * 1.0)
    halves = np.repeat(X.data / 2, 2)
    halves[:2] = np.nan, 1  # their sum is missing
    parts = sparse.csr_array(
        (halves, np.repeat(X.indices, 2), X.indptr * 2), shape=X.shape
    )
    whole = sparse.csr_array(parts.toarray())
    before = parts.copy()
    clf = small_classifier().fit(parts, TOWN_LABELS)
    expected = small_classifier().fit(whole, TOWN_LABELS)
    assert clf.likelihood_ == expected.likelihood_ == "negative_binomial"
    for rows in (parts, whole, parts.tocsc()):
        np.testing.assert_array_equal(
            clf.predict_proba(rows), expected.predict_proba(whole)
        )
        np.testing.assert_array_equal(
            clf.impute(rows).toarray(), expected.impute(whole).toarray()
        )
    np.testing.assert_array_equal(parts.data, before.data)
    np.testing.assert_array_equal(parts.indices, before.indices)


def test_a_sparse_array_cannot_be_filled_with_strings():
    clf = small_classifier().fit(towns(), TOWN_LABELS)
    gaps = sparse.csr_array(np.full((2, 3), np.nan))
    with (
        pytest.warns(UserWarning, match="X does not have valid feature names"),
        pytest.raises(TypeError) as error,
    ):
        clf.impute(gaps)
    assert str(error.value) == (
        "X is a sparse array, which holds numbers, but column 'town' has categories "
        "such as 'Oslo'. Pass a data frame, as in fit."
    )


def test_a_pool_that_is_passed_takes_sparse_rows_as_the_default_teacher_does():
    X = sparse.random(60, 8, density=0.4, format="csr", random_state=0)
    y = np.where(np.arange(60) < 20, np.arange(60) % 2, -1)
    by_name, passed = (
        small_classifier(teacher=teacher, max_epochs=1, random_state=0).fit(X, y)
        for teacher in ("pool", OpinionPoolClassifier())
    )
    np.testing.assert_array_equal(by_name.predict_proba(X), passed.predict_proba(X))
