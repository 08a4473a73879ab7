"""OpinionPoolClassifier: its contract, its views, and every error it raises."""

import warnings

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import check_param_validation

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.teachers.label_spreading import choose_members
from sk_ssvae.teachers.registry import GUIDED, OWN, make_view
from sk_ssvae.teachers.views import Settings

CHEAP = ("columns", "pca-4", "logistic", "linear-generative", "whitened")


@pytest.fixture
def digits():
    """X_train, y_train (5 labels a class), all labels, X_test, y_test."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    return X, hide(y, 5), y, X_test, y_test


@pytest.mark.parametrize("view", OWN)
def test_every_view_alone_learns_iris(iris, view):
    X, y, truth = iris
    pool = OpinionPoolClassifier(views=[view], random_state=0).fit(X, y)
    assert list(pool.weights_) == [view]
    assert accuracy_score(truth, pool.transduction_) > 0.8
    assert accuracy_score(truth, pool.predict(X)) > 0.8


@pytest.mark.parametrize("view", GUIDED)
def test_guided_views_follow_another(iris, view):
    X, y, truth = iris
    pool = OpinionPoolClassifier(views=["logistic", view], random_state=0).fit(X, y)
    assert set(pool.weights_) == {"logistic", view}
    assert accuracy_score(truth, pool.predict(X)) > 0.85


@pytest.mark.parametrize("name", [*OWN, *GUIDED])
def test_no_view_sees_the_label_that_is_hidden_from_it(iris, name):
    """With a label hidden, it does not matter what it was."""
    X, y, _ = iris
    settings = Settings(n_neighbors=10, alpha=0.95, members=None, seed=0)
    row = np.flatnonzero(y == 0)[0]
    hidden = y.copy()
    hidden[row] = -1
    guesses = np.random.RandomState(0).dirichlet([1, 1, 1], (2, 150))
    answers = []
    for truth in (0, 1):
        labels = y.copy()
        labels[row] = truth
        view = make_view(name, X.shape, settings)
        answers.append(view.fit(X - X.mean(0), [labels, hidden], 3, guesses))
    np.testing.assert_array_equal(answers[0][1], answers[1][1])
    assert not np.allclose(answers[0][0], answers[1][0])


@pytest.mark.slow
def test_it_beats_what_sees_labelled_rows_only_on_digits(digits):
    X, y, _, X_test, y_test = digits
    pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    for name in ("logistic", "svm", "forest"):
        alone = OpinionPoolClassifier(views=[name], random_state=0).fit(X, y)
        assert pool.score(X_test, y_test) > alone.score(X_test, y_test) + 0.02


def test_probabilities_and_fitted_state(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, y)
    p = pool.predict_proba(X)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-9)
    known = y >= 0
    np.testing.assert_array_equal(pool.label_distributions_[known], np.eye(3)[y[known]])
    np.testing.assert_array_equal(pool.transduction_[known], y[known])
    assert set(pool.held_out_log_loss_) == set(pool.weights_)
    np.testing.assert_allclose(pool.class_shares_.sum(), 1)


def test_strings_and_object_labels(iris):
    X, y, _ = iris
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    few = np.where(y >= 0, names[y], -1)
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, few)
    coded = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, y)
    np.testing.assert_array_equal(pool.transduction_, names[coded.transduction_])


def test_units_and_shifts_of_columns_do_not_matter(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0)
    scaled = X * [1, 1000, 0.001, 5] - [3, 0, 7, 100]
    np.testing.assert_allclose(
        clone(pool).fit(X, y).label_distributions_,
        clone(pool).fit(scaled, y).label_distributions_,
        atol=1e-3,
    )


def test_the_same_seed_gives_the_same_answers(iris, global_generators):
    X, y, _ = iris
    before = global_generators()
    p, again, other = (
        OpinionPoolClassifier(random_state=s).fit(X, y).label_distributions_
        for s in (0, 0, 1)
    )
    assert before == global_generators()
    np.testing.assert_array_equal(p, again)
    assert not np.array_equal(p, other)


def test_shares_follow_the_rows_not_the_labels():
    """Five labels of each class, nine rows in ten of the first."""
    X, truth = make_blobs(
        [450, 50], centers=[[0, 0], [3, 0]], cluster_std=1.0, random_state=0
    )
    y = hide(truth, 5)
    estimated = OpinionPoolClassifier(random_state=0).fit(X, y)
    labelled = OpinionPoolClassifier(shares="labelled", random_state=0).fit(X, y)
    np.testing.assert_array_equal(labelled.class_shares_, [0.5, 0.5])
    assert estimated.class_shares_[0] > 0.7
    score = [accuracy_score(truth, m.transduction_) for m in (estimated, labelled)]
    assert score[0] > score[1]


@pytest.mark.parametrize("per_class", [1, 2])
def test_one_or_two_labels_a_class(per_class):
    X, truth = load_iris(return_X_y=True)
    pool = OpinionPoolClassifier(random_state=0).fit(X, hide(truth, per_class))
    assert accuracy_score(truth, pool.transduction_) > 0.6
    assert bool(pool.held_out_log_loss_) == (per_class > 1)


def test_all_rows_labelled(iris):
    X, _, truth = iris
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, truth)
    np.testing.assert_array_equal(pool.transduction_, truth)
    assert pool.score(X, truth) > 0.9


@pytest.mark.parametrize("shape", [(4, 1), (6, 3), (40, 1), (12, 30)])
def test_odd_shapes(shape):
    rng = np.random.RandomState(0)
    X = rng.normal(size=shape)
    y = np.full(shape[0], -1)
    y[:4] = [0, 1, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    p = pool.predict_proba(rng.normal(size=(3, shape[1])))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1)


def test_constant_columns_and_copies_of_rows():
    X = np.hstack([np.repeat([[0.0], [1.0]], 30, axis=0), np.zeros((60, 2))])
    y = np.full(60, -1)
    y[[0, 1, 30, 31]] = [0, 0, 1, 1]
    pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    np.testing.assert_array_equal(pool.transduction_, np.repeat([0, 1], 30))


def test_few_rows_in_the_graphs(iris):
    X, y, truth = iris
    pool = OpinionPoolClassifier(max_graph_rows=60, random_state=0).fit(X, y)
    assert accuracy_score(truth, pool.transduction_) > 0.85


@pytest.mark.parametrize("max_graph_rows", [2, 7])
def test_hardly_any_rows_in_the_graphs(iris, max_graph_rows):
    X, y, _ = iris
    pool = OpinionPoolClassifier(max_graph_rows=max_graph_rows, random_state=0)
    pool.fit(X, y)
    assert np.isfinite(pool.label_distributions_).all()
    np.testing.assert_allclose(pool.label_distributions_.sum(1), 1)


def test_members_are_labelled_rows_first_the_rarest_class_surely():
    codes = np.full(1000, -1)
    codes[:300] = 0
    codes[300:303] = 1
    members = choose_members(codes, 100, seed=0)
    assert len(members) == len(set(members)) == 100
    assert {300, 301, 302} <= set(members)
    assert (codes[members] >= 0).sum() == 50
    assert choose_members(codes, 1000, seed=0) is None


def test_parameters_are_checked_as_scikit_learn_does():
    check_param_validation("OpinionPoolClassifier", OpinionPoolClassifier())


def test_errors_name_what_is_wrong(iris):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier(views=["column"]).fit(X, y)
    assert str(error.value) == (
        f"views must hold names out of {[*OWN, *GUIDED]}, got 'column'."
    )
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier(views=[["columns"]]).fit(X, y)
    assert str(error.value) == (
        "views must be a sequence of names, got [['columns']] with 2 dimensions."
    )
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier().fit(np.zeros((150, 4)), y)
    assert str(error.value) == (
        "Every column of X is constant in all 150 rows (to within rounding), so there "
        "is nothing to learn from. Give at least one column that varies."
    )
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier(views=["whitened"]).fit(X, y)
    assert str(error.value) == (
        f"views must hold at least one of {list(OWN)}: the others, "
        "['whitened', 'discriminant'], start from what these guess. Got ['whitened']."
    )
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier().fit(X, np.full(150, -1))
    assert str(error.value) == (
        "OpinionPoolClassifier needs labelled rows, but y is -1 (unlabelled) in all "
        "150 rows. Label at least one row of each class."
    )
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier().fit(X, np.where(y == 0, 0, -1))
    assert str(error.value) == (
        "OpinionPoolClassifier needs labelled rows of at least 2 classes, but the "
        "labelled rows of y hold one class only: [0]."
    )
    with pytest.raises(NotFittedError):
        OpinionPoolClassifier().predict(X)


def test_a_failed_fit_leaves_nothing_behind(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, y)
    before = pool.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        pool.fit(np.full((150, 2), np.nan), y)
    np.testing.assert_array_equal(pool.predict_proba(X), before)


def test_a_class_whose_rows_are_all_labelled_is_still_predicted():
    X, truth = make_blobs(300, 5, centers=3, random_state=0)
    few = np.where(truth == 2, 2, hide(truth, 5))
    pool = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, few)
    assert accuracy_score(truth, pool.predict(X)) > 0.95


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_the_output_that_transformers_are_set_to_does_not_matter(iris, output):
    X, y, _ = iris
    plain = OpinionPoolClassifier(random_state=0).fit(X, y)
    with config_context(transform_output=output):
        framed = OpinionPoolClassifier(random_state=0).fit(X, y)
        p = framed.predict_proba(X)
    np.testing.assert_array_equal(p, plain.predict_proba(X))


def test_the_state_of_torch_does_not_matter(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=["latent-gaussian"], random_state=0)
    expected = clone(pool).fit(X, y).predict_proba(X)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with (
            torch.device("meta"),
            torch.no_grad(),
            torch.autocast("cpu", dtype=torch.bfloat16),
        ):
            p = clone(pool).fit(X, y).predict_proba(X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(p, expected)


@pytest.mark.parametrize("unit", [1e160, 1e-200, 1e300])
def test_no_unit_is_too_large_or_too_small(iris, unit):
    X, y, _ = iris
    plain = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, y)
    other = OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X * unit, y)
    np.testing.assert_array_equal(plain.transduction_, other.transduction_)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e20, 1e200, -1e300])
def test_rows_however_far_off_get_probabilities(iris, factor):
    X, y, _ = iris
    answer = OpinionPoolClassifier(random_state=0).fit(X, y).predict_proba(X * factor)
    np.testing.assert_allclose(answer.sum(axis=1), 1)


def test_double_precision_by_default_does_not_matter(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=["latent-gaussian"], random_state=0)
    before = pool.fit(X, y).predict_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        after = pool.fit(X, y).predict_proba(X)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(before, after)


def test_many_classes_of_few_labels_and_no_warning(iris):
    X = np.random.RandomState(0).randn(60, 4)
    y = np.arange(60) % 30
    y[40:] = -1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OpinionPoolClassifier(views=CHEAP, random_state=0).fit(X, y)


def test_small_integers_of_numpy():
    X, truth = make_blobs(200, 3, centers=2, random_state=0)
    y = hide(truth, 5)
    small = OpinionPoolClassifier(
        views=["columns"], n_neighbors=np.int8(10), random_state=0
    )
    plain = OpinionPoolClassifier(views=["columns"], random_state=0)
    np.testing.assert_array_equal(
        small.fit(X, y).predict_proba(X), plain.fit(X, y).predict_proba(X)
    )
