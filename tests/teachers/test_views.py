"""Views of the opinion pool, one by one."""

import warnings

import numpy as np
import pytest
from few_labels import hide
from sklearn.datasets import make_blobs
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers import views
from sk_ssvae.teachers.registry import (
    FIRST_STAGE_VIEWS,
    SECOND_STAGE_VIEWS,
    make_view,
    resolve_view_names,
)
from sk_ssvae.teachers.views import ViewSettings

SETTINGS = ViewSettings(n_neighbors=10, alpha=0.95, graph_rows=None, seed=0)


@pytest.mark.parametrize("view", FIRST_STAGE_VIEWS)
def test_each_first_stage_view_alone_is_accurate_on_iris(iris, view):
    X, y, y_true = iris
    pool = OpinionPoolClassifier(views=[view], random_state=0).fit(X, y)
    assert list(pool.weights_) == [view]
    assert accuracy_score(y_true, pool.transduction_) > 0.8
    assert accuracy_score(y_true, pool.predict(X)) > 0.8


@pytest.mark.parametrize("view", SECOND_STAGE_VIEWS)
def test_each_second_stage_view_is_accurate_after_logistic_regression(iris, view):
    X, y, y_true = iris
    pool = OpinionPoolClassifier(views=["logistic", view], random_state=0).fit(X, y)
    assert set(pool.weights_) == {"logistic", view}
    assert accuracy_score(y_true, pool.predict(X)) > 0.85


@pytest.mark.parametrize("name", [*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS])
def test_held_out_labels_do_not_affect_a_view(iris, name):
    """The fit without a label is the same whatever that label was."""
    X, y, _ = iris
    row = np.flatnonzero(y == 0)[0]
    hidden = y.copy()
    hidden[row] = -1
    soft_labels = np.random.RandomState(0).dirichlet([1, 1, 1], (2, 150))
    probabilities = []
    for label in (0, 1):
        labels = y.copy()
        labels[row] = label
        view = make_view(name, X.shape, SETTINGS)
        probabilities.append(
            view.fit_predict_proba(X - X.mean(0), [labels, hidden], 3, soft_labels)
        )
    np.testing.assert_array_equal(probabilities[0][1], probabilities[1][1])
    assert not np.allclose(probabilities[0][0], probabilities[1][0])


@pytest.mark.parametrize("name", SECOND_STAGE_VIEWS)
def test_second_stage_views_require_soft_labels(iris, name):
    X, y, _ = iris
    with pytest.raises(TypeError) as error:
        make_view(name, X.shape, SETTINGS).fit_predict_proba(X, [y], 3)
    assert (
        str(error.value) == "SupervisedProjectionView requires soft_labels, got None."
    )


def test_a_view_of_an_unknown_name_is_an_error():
    with pytest.raises(ValueError) as error:
        make_view("column", (150, 4), SETTINGS)
    assert str(error.value) == "There is no view named 'column'."


def test_default_views_have_fewer_principal_components_than_columns():
    def component_views(n_features):
        names = resolve_view_names(None, n_features)
        return [name for name in names if name.startswith("pca-")]

    assert component_views(4) == []
    assert component_views(5) == ["pca-4"]
    assert component_views(17) == ["pca-4", "pca-8", "pca-16"]


def test_small_numpy_integers_for_the_number_of_neighbours():
    X, y_true = make_blobs(200, 3, centers=2, random_state=0)
    y = hide(y_true, 5)
    small, plain = (
        OpinionPoolClassifier(views=["columns"], n_neighbors=k, random_state=0)
        for k in (np.int8(10), 10)
    )
    np.testing.assert_array_equal(
        small.fit(X, y).predict_proba(X), plain.fit(X, y).predict_proba(X)
    )


def test_classifiers_are_fitted_to_a_limited_number_of_labelled_rows(monkeypatch):
    monkeypatch.setattr(views, "MAX_LABELLED_ROWS", 3)
    X = np.arange(8.0)[:, None]
    codes = np.array([0, 0, 0, 0, 0, 0, 1, -1])
    view = views.LabelledRowsView(KNeighborsClassifier(1), SETTINGS)
    p = view.fit_predict_proba(X, [codes], 2)
    assert view.fitted.n_samples_fit_ == 3
    # All classes have a column, even if no row of the second was chosen.
    assert p.shape == (1, 8, 2)
    np.testing.assert_array_equal(p.sum(2), 1)


def test_many_classes_with_few_labels_raise_no_warning():
    X = np.random.RandomState(0).randn(60, 4)
    y = np.arange(60) % 30
    y[40:] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OpinionPoolClassifier(views=["logistic", "svm"], random_state=0).fit(X, y)
