"""Classifiers of the user as views of the opinion pool."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from few_labels import hide
from fixed_classifiers import Fixed
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import (
    LogisticRegression,
    RidgeClassifier,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
from sk_ssvae.teachers.pooling import make_folds

LOG = []
"""What the classifiers and transformers below were called with."""


@pytest.fixture(autouse=True)
def log():
    LOG.clear()
    return LOG


class Recorder(ClassifierMixin, BaseEstimator):
    """Records the rows and labels that it is fitted to."""

    def fit(self, X, y):
        LOG.append((X, y))
        self.classes_ = np.unique(y[y >= 0])
        return self

    def predict_proba(self, X):
        LOG.append((X,))
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


def pool(*views, **params):
    return OpinionPoolClassifier(views=list(views), **{"random_state": 0} | params)


def fits():
    return [entry for entry in LOG if len(entry) == 2]


def logistic():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


# What a view computes.


def test_the_classifier_of_a_built_in_view_gives_the_same_probabilities(iris):
    """On rows that are standardised already: the scaler of the pool uses all rows."""
    X, y, _ = iris
    X = StandardScaler().fit_transform(X)
    expected = pool("logistic").fit(X, y)
    own = pool(("own", LogisticRegression(max_iter=1000))).fit(X, y)
    for method in ("predict_proba", "predict"):
        np.testing.assert_allclose(
            getattr(own, method)(X), getattr(expected, method)(X), atol=1e-5
        )
    np.testing.assert_allclose(
        own.label_distributions_, expected.label_distributions_, atol=1e-5
    )
    both = pool("logistic", ("own", LogisticRegression(max_iter=1000)), "whitened")
    both.fit(X, y)
    assert list(both.weights_) == ["logistic", "own", "whitened"]
    for values in (both.weights_, both.held_out_log_loss_):
        assert values["own"] == pytest.approx(values["logistic"], abs=1e-4)


def test_margins_are_those_of_the_built_in_view(iris):
    X, y, truth = iris
    X = StandardScaler().fit_transform(X)
    expected = pool("svm").fit(X, y)
    own = pool(("own", SVC(C=10))).fit(X, y)
    np.testing.assert_allclose(
        own.predict_proba(X), expected.predict_proba(X), atol=1e-4
    )
    own.fit(X[:100], np.where(y == 2, -1, y)[:100])  # the margin of two classes
    assert own.score(X[:100], truth[:100]) == 1


def test_hidden_labels_are_hidden(iris):
    """The folds are those of the pool, and no fit sees the labels of its fold."""
    X, y, _ = iris
    X = X + np.arange(150)[:, None] / 1e6  # no two rows are the same
    fitted = pool(("labelled", Recorder()), ("all", Recorder(), "all")).fit(X, y)
    assert set(fitted.weights_) == {"labelled", "all"}
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    hidden = [np.array([], dtype=int), *make_folds(y, seed)]
    assert len(hidden) == 6
    for i, fold in enumerate(hidden):
        seen = y.copy()
        seen[fold] = -1
        rows, labels = fits()[i]
        np.testing.assert_array_equal(rows, X[seen >= 0])
        np.testing.assert_array_equal(labels, seen[seen >= 0])
        rows, labels = fits()[6 + i]
        np.testing.assert_array_equal(rows, X)
        np.testing.assert_array_equal(labels, seen)


@pytest.mark.parametrize(
    ("classifier", "rows"),
    [
        (GaussianNB(), "labelled"),
        (logistic(), "labelled"),
        (LabelSpreading(kernel="knn"), "all"),
        (SelfTrainingClassifier(GaussianNB()), "all"),
        (make_pipeline(StandardScaler(), LabelSpreading(kernel="knn")), "all"),
        (make_pipeline(make_pipeline(LabelSpreading(kernel="knn"))), "all"),
        (pool("logistic"), "all"),
        (SSVAEClassifier(2, hidden_sizes=(4,), max_epochs=1, teacher=None), "all"),
    ],
)
def test_semi_supervised_classifiers_are_fitted_to_all_rows(iris, classifier, rows):
    X, y, _ = iris
    record = FunctionTransformer(_record)
    fitted = pool(("own", make_pipeline(record, classifier))).fit(X, y)
    assert len(LOG[0]) == (150 if rows == "all" else 15)
    assert fitted.score(X, y) > 0.3


def test_the_third_element_overrides_the_rows(iris):
    X, y, _ = iris
    spreading = make_pipeline(
        FunctionTransformer(_record), LabelSpreading(kernel="knn", n_neighbors=3)
    )
    pool(("own", spreading, "labelled")).fit(X, y)
    assert len(LOG[0]) == 15


class Transductive(Fixed):
    """Has other probabilities for the rows of `fit`."""

    def fit(self, X, y):
        super().fit(X, y)
        self.label_distributions_ = np.tile([0.6, 0.3, 0.1], (len(X), 1))


@pytest.mark.parametrize("wrap", [lambda c: c, make_pipeline])
def test_transductive_classifiers_have_their_label_distributions(iris, wrap):
    X, _, truth = iris
    y = hide(truth, 1)  # no folds: the temperature is 1
    view = wrap(Transductive([0.1, 0.2, 0.7]))
    fitted = pool(("own", view, "all"), shares="labelled").fit(X, y)
    p = fitted.label_distributions_[y < 0]
    np.testing.assert_allclose(p, np.tile([0.6, 0.3, 0.1], (len(p), 1)), rtol=1e-5)
    np.testing.assert_allclose(fitted.predict_proba(X)[0], [0.1, 0.2, 0.7], rtol=1e-5)
    labelled = pool(("own", view, "labelled"), shares="labelled").fit(X, y)
    np.testing.assert_allclose(
        labelled.label_distributions_[y < 0][0], [0.1, 0.2, 0.7], rtol=1e-5
    )


def _record(X):
    LOG.append(X)
    return X


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_classifiers_see_the_rows_as_they_were_passed(iris, dtype):
    X, y, _ = iris
    X = (1000 * X - 7).astype(dtype)
    X[:, 2] = 5  # a constant column, which built-in views do not see
    before = X.copy()
    view = make_pipeline(FunctionTransformer(_record), GaussianNB())
    fitted = pool("columns", ("own", view)).fit(X, y)
    np.testing.assert_array_equal(LOG[0], X[y >= 0])
    np.testing.assert_array_equal(LOG[1], X)
    assert {rows.dtype for rows in LOG} == {np.dtype(dtype)}
    LOG.clear()
    fitted.predict_proba(X[:3])
    np.testing.assert_array_equal(LOG[0], X[:3])
    np.testing.assert_array_equal(X, before)


def test_lists_are_arrays(iris):
    X, y, _ = iris
    view = make_pipeline(FunctionTransformer(_record), GaussianNB())
    pool(("own", view)).fit(X.tolist(), y.tolist())
    np.testing.assert_array_equal(LOG[1], X)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_data_frames_stay_data_frames(iris, library):
    X, y, _ = iris
    names = ["a", "b", "c", "d"]
    columns = dict(zip(names, X.T, strict=True))
    frame = {
        "pandas": lambda: pd.DataFrame(columns, index=np.arange(150)[::-1]),
        "polars": lambda: pl.DataFrame(columns),
        "pyarrow": lambda: pa.table(columns),
    }[library]()
    recorder = pool(("own", Recorder())).fit(frame, y)
    assert {type(entry[0]) for entry in LOG} == {type(frame)}
    np.testing.assert_array_equal(fits()[0][0], X[y >= 0])
    np.testing.assert_array_equal(recorder.predict_proba(frame).shape, (150, 3))
    if library == "pyarrow":
        return  # scikit-learn's transformers select columns of the others only
    petals = make_column_transformer((StandardScaler(), ["c", "d"]))
    named = pool(("own", make_pipeline(petals, GaussianNB()))).fit(frame, y)
    array = pool(("own", GaussianNB())).fit(X[:, 2:], y)
    np.testing.assert_allclose(
        named.predict_proba(frame), array.predict_proba(X[:, 2:]), atol=1e-4
    )


def test_steps_that_work_in_place_change_no_rows(iris):
    X, y, _ = iris
    frames = pd.DataFrame(X), pl.DataFrame(X)
    for rows in (X, X.astype(np.float32), *frames, pa.table(frames[0])):
        before = np.array(rows)
        view = make_pipeline(StandardScaler(copy=False), GaussianNB())
        fitted = pool(("own", view), "logistic").fit(rows, y)
        alone = pool("logistic").fit(rows, y)
        fitted.predict_proba(rows)
        np.testing.assert_array_equal(np.asarray(rows), before)
        assert (
            fitted.held_out_log_loss_["logistic"]
            == alone.held_out_log_loss_["logistic"]
        )


def test_rows_in_blocks(iris, monkeypatch):
    X, y, _ = iris
    expected = pool(("own", GaussianNB())).fit(X, y).predict_proba(X)
    monkeypatch.setattr("sk_ssvae.teachers.blocks.MAX_CELLS", 100)
    monkeypatch.setattr("sk_ssvae.teachers.blocks.BLOCK_CELLS", 100)
    fitted = pool(("own", GaussianNB())).fit(X, y)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-6)


def test_labels_are_encoded(iris):
    X, y, _ = iris
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    fitted = pool(("own", Recorder())).fit(X, np.where(y >= 0, names[y], -1))
    assert {label for _, labels in fits() for label in labels} == {0, 1, 2}
    assert set(fitted.predict(X)) <= set(names)


def test_one_hot_labels_of_a_classifier_without_probabilities(iris):
    X, y, _ = iris
    fitted = pool(("own", Fixed(label=1)), shares="labelled").fit(X, y)
    p = fitted.predict_proba(X)
    assert (p.argmax(axis=1) == 1).all()
    np.testing.assert_array_equal(p[:, 0], p[:, 2])


@pytest.mark.parametrize(
    ("row", "classes", "expected"),
    [
        ([2.0, 6.0, 2.0], (0, 1, 2), [0.2, 0.6, 0.2]),
        ([0.75, 0.25], (0, 2), [0.75, 0, 0.25]),
        ([0.25, 0.75], (2, 0), [0.75, 0, 0.25]),
        ([0.3, np.nan, 0.1], (0, 1, 2), [0.75, 0, 0.25]),
        ([3, -1, 1], (0, 1, 2), [0.75, 0, 0.25]),
        ([0.2, 0.6, 0.2], None, [0.2, 0.6, 0.2]),
    ],
)
def test_missing_classes_and_invalid_probabilities(iris, row, classes, expected):
    X, y, _ = iris
    y = hide(iris[2], 1)  # no folds: the temperature is 1
    fitted = pool(("own", Fixed(row, classes)), shares="labelled").fit(X, y)
    p = fitted.predict_proba(X[:1])[0]
    np.testing.assert_allclose(p, np.array(expected), atol=2e-4)


class SometimesNan(LogisticRegression):
    """Has no probabilities for some rows."""

    def predict_proba(self, X):
        p = super().predict_proba(X)
        p[X[:, 0] > 6] = np.nan
        p[X[:, 0] < 5] = 0
        return p


def test_rows_without_probabilities_have_no_effect_on_the_pool(iris):
    X, y, _ = iris
    y = hide(iris[2], 1)
    both = pool("logistic", ("own", SometimesNan()), shares="labelled").fit(X, y)
    alone = pool("logistic", ("own", Fixed([1, 1, 1])), shares="labelled").fit(X, y)
    p, expected = both.predict_proba(X), alone.predict_proba(X)
    gaps = (X[:, 0] > 6) | (X[:, 0] < 5)
    np.testing.assert_allclose(p[gaps], expected[gaps], rtol=1e-5)
    assert not np.allclose(p[~gaps], expected[~gaps], rtol=1e-2)
    assert np.isfinite(both.label_distributions_).all()
    only_gaps = both.predict_proba(X[gaps])
    np.testing.assert_allclose(only_gaps, p[gaps], rtol=1e-6)


def test_a_classifier_alone_is_enough_for_the_second_stage(iris):
    X, y, _ = iris
    fitted = pool("whitened", ("own", logistic())).fit(X, y)
    assert list(fitted.weights_) == ["own", "whitened"]
    assert fitted.score(X, iris[2]) > 0.85


def test_many_classes_with_few_labels_raise_no_warning():
    X = np.random.RandomState(0).randn(60, 4)
    y = np.arange(60) % 30
    y[40:] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool(("own", LogisticRegression())).fit(X, y)


# Copies and random states.


def test_the_objects_of_the_user_are_not_changed(iris):
    X, y, _ = iris
    forest = RandomForestClassifier(3)
    scaled = make_pipeline(StandardScaler(), forest)
    views = ["columns", ("own", scaled)]
    fitted = OpinionPoolClassifier(views=views).fit(X, y)
    assert fitted.views is views
    assert views == ["columns", ("own", scaled)]
    assert forest.random_state is None
    assert not hasattr(forest, "classes_")
    assert not hasattr(scaled[0], "mean_")


def test_random_states_that_are_none_follow_the_pool(iris, global_generators):
    X, y, _ = iris

    def proba(seed, *views):
        return pool(*views, random_state=seed).fit(X, y).predict_proba(X)

    forest = RandomForestClassifier(5)
    before = global_generators()
    first = proba(0, ("a", forest))
    np.testing.assert_array_equal(first, proba(0, ("a", forest)))
    assert global_generators() == before
    assert not np.array_equal(first, proba(1, ("a", forest)))
    # Two classifiers differ, and the name, not the place, is what matters.
    assert not np.array_equal(first, proba(0, ("b", forest)))
    both = pool(("a", forest), ("b", forest)).fit(X, y)
    turned = pool(("b", forest), ("a", forest)).fit(X, y)
    assert both.held_out_log_loss_ == turned.held_out_log_loss_
    assert len(set(both.held_out_log_loss_.values())) == 2
    one_fold = hide(iris[2], 1)  # the seed of the pool has no other effect
    fixed = [
        pool(("a", RandomForestClassifier(5, random_state=0)), random_state=seed)
        .fit(X, one_fold)
        .predict_proba(X)
        for seed in (0, 1)
    ]
    np.testing.assert_array_equal(*fixed)


def test_built_in_views_are_the_same_beside_a_classifier(iris):
    X, y, _ = iris
    alone = pool("columns", "svm").fit(X, y)
    beside = pool("columns", ("own", GaussianNB()), "svm").fit(X, y)
    assert list(beside.weights_) == ["columns", "svm", "own"]
    for name, loss in alone.held_out_log_loss_.items():
        assert beside.held_out_log_loss_[name] == loss


class Surroundings(GaussianNB):
    """Records global settings."""

    def fit(self, X, y):
        LOG.append((torch.get_num_threads(), get_config()["transform_output"]))
        return super().fit(X, y)


def test_classifiers_have_the_global_settings_of_the_user(iris):
    X, y, _ = iris
    expected = pool("columns", ("own", GaussianNB()), "whitened").fit(X, y)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with config_context(transform_output="pandas"):
            fitted = pool("columns", ("own", Surroundings()), "whitened").fit(X, y)
            p = fitted.predict_proba(X)
    finally:
        torch.set_num_threads(before)
    assert set(LOG) == {(2, "pandas")}
    np.testing.assert_array_equal(p, expected.predict_proba(X))


class Margins(ClassifierMixin, BaseEstimator):
    """Returns infinite or missing margins for some rows."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        margins = np.zeros((len(X), 3))
        margins[::4, 0] = np.inf
        margins[1::4, 1] = np.nan
        margins[2::4, 2] = 1e308
        margins[3::4, 2] = 1
        return margins


def test_margins_that_are_not_finite_have_no_effect(iris):
    X, _, truth = iris
    fitted = pool(("own", Margins()), shares="labelled").fit(X, hide(truth, 1))
    p = fitted.predict_proba(X[:4])
    np.testing.assert_allclose(p[:3], 1 / 3, rtol=1e-6)
    assert p[3].argmax() == 2


def test_ridge_has_margins(iris):
    X, y, truth = iris
    fitted = pool(("own", RidgeClassifier())).fit(X, y)
    assert fitted.score(X, truth) > 0.75


def test_pairwise_margins_are_not_taken_for_those_of_classes(iris):
    """With three classes there are as many pairs as classes."""
    X, y, truth = iris
    pairwise = make_pipeline(StandardScaler(), SVC(decision_function_shape="ovo"))
    assert pairwise.fit(X, truth).decision_function(X).shape == (150, 3)
    assert pool(("own", pairwise)).fit(X, y).score(X, truth) > 0.85


class Stepwise(GaussianNB):
    """A classifier with a parameter that pipelines have as an attribute."""

    def __init__(self, steps=3):
        super().__init__()
        self.steps = steps


def test_a_classifier_with_steps_is_no_pipeline(iris):
    X, y, truth = iris
    assert pool(("own", Stepwise())).fit(X, y).score(X, truth) > 0.85
