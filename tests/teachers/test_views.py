"""Views of the opinion pool, one by one."""

import warnings

import numpy as np
import pytest
from few_labels import hide
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers import classifier_views
from sk_ssvae.teachers.classifier_views import N_WITHOUT_FOLD, LabelledRowsView
from sk_ssvae.teachers.graph_classifier import GraphClassifier
from sk_ssvae.teachers.graph_views import SupervisedProjectionView
from sk_ssvae.teachers.neighbour_graph import NeighbourGraph
from sk_ssvae.teachers.registry import (
    FIRST_STAGE_VIEWS,
    SECOND_STAGE_VIEWS,
    make_view,
    resolve_view_names,
)
from sk_ssvae.teachers.views import ViewSettings

SETTINGS = ViewSettings(n_neighbors=10, graph_rows=None, seed=0)


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


def probabilities_with_label(name, X, y, row, label):
    """Fit a view to labels, one of them changed, and to the others without it.

    The soft labels of the first fit depend on that label, those of the second do not.
    """
    labels, hidden = y.copy(), y.copy()
    labels[row], hidden[row] = label, -1
    soft_labels = [
        np.random.RandomState(seed).dirichlet([1, 1, 1], len(y)) for seed in (label, 2)
    ]
    view = make_view(name, X.shape, SETTINGS)
    return view.fit_predict_proba(X, [labels, hidden], 3, np.array(soft_labels))


@pytest.mark.parametrize("name", [*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS])
def test_held_out_labels_do_not_affect_a_view(iris, name):
    """The fit without a label is the same whatever that label was."""
    X, y, _ = iris
    row = np.flatnonzero(y == 0)[0]
    full, without = zip(
        *(probabilities_with_label(name, X - X.mean(0), y, row, k) for k in (0, 1)),
        strict=True,
    )
    np.testing.assert_array_equal(*without)
    assert not np.allclose(*full)


def test_the_forest_predicts_held_out_labels_out_of_bag(iris):
    X, y, _ = iris
    fold = np.flatnonzero(y >= 0)[::3]
    hidden = y.copy()
    hidden[fold] = -1
    view = make_view("forest", X.shape, SETTINGS)
    full, without = view.fit_predict_proba(X, [y, hidden], 3)
    labelled = np.flatnonzero(y >= 0)
    out_of_bag = dict(zip(labelled, view.fitted.oob_decision_function_, strict=True))
    np.testing.assert_allclose(full, view.fitted.predict_proba(X), atol=1e-6)
    # Other rows depend on the labels, so that the variance over folds can be estimated.
    unlabelled = np.flatnonzero(y < 0)
    small = RandomForestClassifier(N_WITHOUT_FOLD, random_state=SETTINGS.seed)
    small.fit(X[hidden >= 0], hidden[hidden >= 0])
    expected = small.predict_proba(X[unlabelled])
    np.testing.assert_allclose(without[unlabelled], expected, atol=1e-6)
    for row in fold:
        np.testing.assert_allclose(without[row], out_of_bag[row], atol=1e-6)
    assert (np.abs(without[fold] - full[fold]).max(axis=1) > 0.01).any()


def test_labels_without_signal_are_not_predicted():
    """In particular not by "discriminant", whose projection depends on other views.

    These predict the rows near a held-out row from its label, unless it is hidden.
    """
    random = np.random.RandomState(0)
    X = random.randn(400, 30)
    y = np.full(400, -1)
    y[:120] = random.permutation(np.repeat([0, 1, 2], 40))
    views = [*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS]
    pool = OpinionPoolClassifier(views=views, random_state=0).fit(X, y)
    for name, loss in pool.held_out_log_loss_.items():
        # The temperature is fitted to the same labels.
        assert loss > np.log(3) - 0.03, name


def two_label_vectors(y):
    """Return labels, and the same without half of them, with soft labels of each."""
    labelled = np.flatnonzero(y >= 0)
    hidden = y.copy()
    hidden[labelled[::2]] = -1
    soft_labels = np.random.RandomState(0).dirichlet([1, 1, 1], (2, len(y)))
    return [y, hidden], soft_labels


def test_each_label_vector_has_the_projection_of_its_soft_labels(iris):
    X, y, _ = iris
    vectors, soft_labels = two_label_vectors(y)
    seen = []

    def projection(Z, posterior):
        seen.append(posterior)
        return np.eye(Z.shape[1])

    view = SupervisedProjectionView(projection, 4, SETTINGS)
    view.fit_predict_proba(X, vectors, 3, soft_labels)
    np.testing.assert_array_equal(seen, soft_labels)


@pytest.mark.parametrize("name", SECOND_STAGE_VIEWS)
def test_new_rows_have_the_projection_and_the_labels_of_the_first_vector(iris, name):
    X, y, _ = iris
    vectors, soft_labels = two_label_vectors(y)
    both, first, second = (make_view(name, X.shape, SETTINGS) for _ in range(3))
    both.fit_predict_proba(X, vectors, 3, soft_labels)
    first.fit_predict_proba(X, vectors[:1], 3, soft_labels[:1])
    second.fit_predict_proba(X, vectors[1:], 3, soft_labels[1:])
    new = X[:20] + 0.1
    np.testing.assert_array_equal(both.predict_proba(new), first.predict_proba(new))
    assert not np.allclose(both.predict_proba(new), second.predict_proba(new))


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
        names = resolve_view_names(None, (100, n_features))
        return [name for name in names if name.startswith("pca-")]

    assert component_views(4) == []
    assert component_views(5) == ["pca-4"]
    assert component_views(17) == ["pca-4", "pca-8", "pca-16"]


@pytest.mark.parametrize(
    ("n_rows", "one_scale", "extreme_share", "left_out"),
    [
        (9_999, False, 1, {"columns", "latent-gaussian", "latent-bernoulli"}),
        (9_999, True, 0, {"unscaled", "latent-gaussian", "latent-bernoulli"}),
        (10_000, False, 0.3, {"columns", "latent-bernoulli"}),
        (10_000, False, 0.4, {"columns", "latent-gaussian"}),
    ],
)
def test_default_views(n_rows, one_scale, extreme_share, left_out):
    names = resolve_view_names(
        None, (n_rows, 20), one_scale=one_scale, extreme_share=extreme_share
    )
    available = {*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS}
    assert available - set(names) == left_out | {"logistic"}


def test_the_unscaled_view_measures_distances_in_the_units_of_the_user():
    X, y_true = make_blobs(200, 3, centers=2, random_state=0)
    X *= [1.0, 10.0, 0.1]
    y = hide(y_true, 5)
    pool = OpinionPoolClassifier(views=["unscaled"], random_state=0).fit(X, y)
    # One factor for all columns does not change a graph.
    same = OpinionPoolClassifier(views=["unscaled"], random_state=0).fit(8 * X + 3, y)
    np.testing.assert_allclose(
        pool.label_distributions_, same.label_distributions_, atol=1e-5
    )
    p = GraphClassifier(NeighbourGraph(X, 7)).fit_predict_proba([y], 2)[0]
    unlabelled = y == -1
    np.testing.assert_array_equal(
        pool.transduction_[unlabelled], p.argmax(axis=1)[unlabelled]
    )
    standardised = StandardScaler().fit_transform(X)
    columns = OpinionPoolClassifier(views=["columns"], random_state=0).fit(X, y)
    same = OpinionPoolClassifier(views=["unscaled"], random_state=0)
    np.testing.assert_allclose(
        columns.label_distributions_,
        same.fit(standardised, y).label_distributions_,
        atol=1e-5,
    )


@pytest.mark.parametrize(("factor", "view"), [(1.0, "columns"), (2.0, "unscaled")])
def test_columns_of_one_scale_have_a_single_view(factor, view):
    X, y_true = make_blobs(100, 3, centers=2, random_state=0)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    X[:, 0] *= factor
    pool = OpinionPoolClassifier(random_state=0).fit(X, hide(y_true, 5))
    assert {"columns", "unscaled"} & set(pool.weights_) == {view}


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
    monkeypatch.setattr(classifier_views, "MAX_LABELLED_ROWS", 3)
    X = np.arange(8.0)[:, None]
    codes = np.array([0, 0, 0, 0, 0, 0, 1, -1])
    view = LabelledRowsView(KNeighborsClassifier(1), SETTINGS)
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
