"""OpinionPoolClassifier: accuracy, fitted state, unusual inputs, and errors."""

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
from sk_ssvae.teachers.registry import FIRST_STAGE_VIEWS, SECOND_STAGE_VIEWS

FAST_VIEWS = ("columns", "pca-4", "logistic", "linear-generative", "whitened")


@pytest.fixture
def digits():
    """X_train, y_train with five labels per class, X_test, y_test."""
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )
    return X, hide(y, 5), X_test, y_test


@pytest.mark.slow
def test_pool_beats_classifiers_of_the_labelled_rows_on_digits(digits):
    X, y, X_test, y_test = digits
    pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    for name in ("logistic", "svm", "forest"):
        alone = OpinionPoolClassifier(views=[name], random_state=0).fit(X, y)
        assert pool.score(X_test, y_test) > alone.score(X_test, y_test) + 0.02


def test_probabilities_sum_to_one_and_labelled_rows_keep_their_labels(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, y)
    p = pool.predict_proba(X)
    assert p.dtype == np.float64
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-9)
    labelled = y >= 0
    np.testing.assert_array_equal(
        pool.label_distributions_[labelled], np.eye(3)[y[labelled]]
    )
    np.testing.assert_array_equal(pool.transduction_[labelled], y[labelled])
    assert set(pool.held_out_log_loss_) == set(pool.weights_)
    np.testing.assert_allclose(pool.class_shares_.sum(), 1)


def test_string_labels_give_the_same_classes_as_integers(iris):
    X, y, _ = iris
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    few = np.where(y >= 0, names[y], -1)
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, few)
    coded = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, y)
    np.testing.assert_array_equal(pool.transduction_, names[coded.transduction_])


def test_units_and_offsets_of_columns_do_not_matter(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0)
    scaled = X * [1, 1000, 0.001, 5] - [3, 0, 7, 100]
    np.testing.assert_allclose(
        clone(pool).fit(X, y).label_distributions_,
        clone(pool).fit(scaled, y).label_distributions_,
        atol=1e-3,
    )


def test_results_depend_on_the_seed_only(iris, global_generators):
    X, y, _ = iris
    before = global_generators()
    p, same, other = (
        OpinionPoolClassifier(random_state=s).fit(X, y).label_distributions_
        for s in (0, 0, 1)
    )
    assert before == global_generators()
    np.testing.assert_array_equal(p, same)
    assert not np.array_equal(p, other)


def test_class_shares_are_estimated_from_the_unlabelled_rows():
    """Five labels of each class, but 90 % of the rows belong to the first."""
    X, y_true = make_blobs(
        [450, 50], centers=[[0, 0], [3, 0]], cluster_std=1.0, random_state=0
    )
    y = hide(y_true, 5)
    estimated = OpinionPoolClassifier(random_state=0).fit(X, y)
    labelled = OpinionPoolClassifier(shares="labelled", random_state=0).fit(X, y)
    np.testing.assert_array_equal(labelled.class_shares_, [0.5, 0.5])
    assert estimated.class_shares_[0] > 0.7
    score = [accuracy_score(y_true, m.transduction_) for m in (estimated, labelled)]
    assert score[0] > score[1]


@pytest.mark.parametrize("per_class", [1, 2])
def test_one_or_two_labels_per_class(per_class):
    X, y_true = load_iris(return_X_y=True)
    pool = OpinionPoolClassifier(random_state=0).fit(X, hide(y_true, per_class))
    assert accuracy_score(y_true, pool.transduction_) > 0.6
    assert bool(pool.held_out_log_loss_) == (per_class > 1)


def test_fit_without_unlabelled_rows(iris):
    X, _, y_true = iris
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, y_true)
    np.testing.assert_array_equal(pool.transduction_, y_true)
    assert pool.score(X, y_true) > 0.9


@pytest.mark.parametrize("shape", [(4, 1), (6, 3), (40, 1), (12, 30)])
def test_few_rows_or_columns(shape):
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


def test_constant_columns_and_duplicate_rows():
    X = np.hstack([np.repeat([[0.0], [1.0]], 30, axis=0), np.zeros((60, 2))])
    y = np.full(60, -1)
    y[[0, 1, 30, 31]] = [0, 0, 1, 1]
    pool = OpinionPoolClassifier(random_state=0).fit(X, y)
    np.testing.assert_array_equal(pool.transduction_, np.repeat([0, 1], 30))


def test_small_samples_are_accurate(iris):
    X, y, y_true = iris
    pool = OpinionPoolClassifier(max_rows=60, random_state=0).fit(X, y)
    assert accuracy_score(y_true, pool.transduction_) > 0.85


@pytest.mark.parametrize("max_rows", [2, 7])
def test_tiny_samples_give_finite_probabilities(iris, max_rows):
    X, y, _ = iris
    pool = OpinionPoolClassifier(max_rows=max_rows, random_state=0)
    pool.fit(X, y)
    assert np.isfinite(pool.label_distributions_).all()
    np.testing.assert_allclose(pool.label_distributions_.sum(1), 1)


def test_parameters_are_validated():
    check_param_validation("OpinionPoolClassifier", OpinionPoolClassifier())


def test_error_messages(iris):
    X, y, _ = iris
    available = [*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS]
    with pytest.raises(ValueError) as error:
        OpinionPoolClassifier(views=["column"]).fit(X, y)
    assert str(error.value) == (
        f"views must contain only names from {available}, and pairs of a name and a "
        "classifier, got 'column'."
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
        f"views must contain a classifier or at least one of {list(FIRST_STAGE_VIEWS)},"
        " because ['whitened', 'discriminant'] are computed from their probabilities. "
        "Got ['whitened']."
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


def test_a_failed_fit_keeps_the_previous_state(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, y)
    before = pool.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        pool.fit(np.full((150, 2), np.nan), y)
    np.testing.assert_array_equal(pool.predict_proba(X), before)


def test_a_class_without_unlabelled_rows_is_predicted():
    X, y_true = make_blobs(300, 5, centers=3, random_state=0)
    few = np.where(y_true == 2, 2, hide(y_true, 5))
    pool = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, few)
    assert accuracy_score(y_true, pool.predict(X)) > 0.95


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_transform_output_setting_does_not_matter(iris, output):
    X, y, _ = iris
    plain = OpinionPoolClassifier(random_state=0).fit(X, y)
    with config_context(transform_output=output):
        p = OpinionPoolClassifier(random_state=0).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(p, plain.predict_proba(X))


def test_global_settings_of_torch_do_not_matter(iris):
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
def test_extreme_units_of_columns(iris, unit):
    X, y, _ = iris
    plain = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X, y)
    other = OpinionPoolClassifier(views=FAST_VIEWS, random_state=0).fit(X * unit, y)
    np.testing.assert_array_equal(plain.transduction_, other.transduction_)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e20, 1e200, -1e300])
def test_extreme_new_rows_get_probabilities(iris, factor):
    X, y, _ = iris
    p = OpinionPoolClassifier(random_state=0).fit(X, y).predict_proba(X * factor)
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_default_dtype_of_torch_does_not_matter(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=["latent-gaussian"], random_state=0)
    before = pool.fit(X, y).predict_proba(X)
    torch.set_default_dtype(torch.float64)
    try:
        after = pool.fit(X, y).predict_proba(X)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(before, after)


def test_score_is_the_accuracy_over_the_labelled_rows(iris):
    X, y, true = iris
    pool = OpinionPoolClassifier(views=["logistic"], random_state=0).fit(X, y)
    few = np.where(np.arange(len(y)) % 3 == 0, true, -1)
    shown = few >= 0
    right = pool.predict(X) == true
    assert pool.score(X, true) == right.mean()
    assert pool.score(X, few) == right[shown].mean()
    weight = np.arange(len(y)) % 7
    expected = np.average(right[shown], weights=weight[shown])
    np.testing.assert_allclose(pool.score(X, few, weight), expected)
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)
    named = OpinionPoolClassifier(views=["logistic"], random_state=0)
    named.fit(X, np.where(y >= 0, names[y], -1))
    assert named.score(X, np.where(shown, names[true], -1)) == right[shown].mean()


def test_score_without_labelled_rows_is_refused(iris):
    X, y, _ = iris
    pool = OpinionPoolClassifier(views=["logistic"], random_state=0).fit(X, y)
    with pytest.raises(ValueError) as error:
        pool.score(X, np.full(len(X), -1))
    assert str(error.value) == (
        "score needs labelled rows, but y is -1 (unlabelled) in all 150 rows."
    )
    with pytest.raises(ValueError) as error:
        pool.score(X, y, (y < 0).astype(float))
    assert str(error.value) == (
        "score needs labelled rows with a positive sample_weight, but it is 0 for all "
        f"{(y >= 0).sum()} labelled rows."
    )
    with pytest.raises(ValueError) as error:
        pool.score(X, np.array(["a", "b"] * 75))
    assert str(error.value) == (
        "y has labels such as 'a', but the classes are [0, 1, 2]."
    )
