"""Temperatures, and class priors estimated from unlabelled rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from few_labels import hide
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from skorch.callbacks import Callback

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
from sk_ssvae.estimators.calibration import (
    LOG_TEMPERATURE_STD,
    TEMPERATURE_WITH_TEACHER,
    adjust_log_proba,
    apply_temperature,
    cross_fitted_temperature,
    fit_temperature,
)
from sk_ssvae.model_selection import LabeledStratifiedKFold
from sk_ssvae.teachers.class_priors import reweight_posterior
from sk_ssvae.training import ClassifierOptions


def random_predictions(seed, n=40, n_classes=3, sharpness=2.0):
    """Log-probabilities, and labels that do not depend on them."""
    rng = np.random.RandomState(seed)
    log_proba = log_softmax(sharpness * rng.randn(n, n_classes), axis=1)
    return log_proba, rng.randint(n_classes, size=n)


def log_q(clf, X):
    """Compute log q(y | x) without temperature and prior correction."""
    rows = torch.from_numpy(clf.preprocessor_.scaling.encode(X))
    with torch.no_grad():
        return clf.module_(rows).numpy()


# Temperature


@given(st.integers(0, 20), st.floats(0.2, 20))
def test_temperature_keeps_the_order_of_classes_and_changes_confidence(
    seed, temperature
):
    log_proba, _ = random_predictions(seed)
    tempered = apply_temperature(log_proba, temperature)
    assert tempered == pytest.approx(log_softmax(log_proba / temperature, axis=1))
    assert np.exp(tempered).sum(axis=1) == pytest.approx(1)
    assert (tempered.argsort(axis=1) == log_proba.argsort(axis=1)).all()
    before, after = np.exp(log_proba).max(axis=1), np.exp(tempered).max(axis=1)
    assert ((before >= after - 1e-12) == (temperature >= 1)).all()
    assert apply_temperature(log_proba, 1.0) is log_proba
    single = log_proba.astype(np.float32)
    assert apply_temperature(single, temperature).dtype == np.float32


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 8.0])
def test_fitted_temperature_maximises_the_posterior(sharpness):
    log_proba, codes = random_predictions(1, 60, sharpness=sharpness)
    rows = np.arange(60)

    def loss(log_t):
        likelihood = log_softmax(log_proba / np.exp(log_t), axis=1)[rows, codes].sum()
        return -likelihood + (log_t - np.log(TEMPERATURE_WITH_TEACHER)) ** 2 / (
            2 * LOG_TEMPERATURE_STD**2
        )

    best = minimize_scalar(loss, bounds=(np.log(1 / 4), np.log(16)), method="bounded")
    assert fit_temperature(log_proba, codes) == pytest.approx(np.exp(best.x), rel=0.02)


def test_cross_fitting_holds_out_each_label_once():
    codes = np.array([0, 1, -1, 0, 1, -1, 0, 1, 1])
    log_proba, _ = random_predictions(2, len(codes), 2)
    held_out = []

    def predict_held_out(hidden, fold):
        assert (hidden[fold] == -1).all()
        rest = np.setdiff1d(np.arange(len(codes)), fold)
        assert np.array_equal(hidden[rest], codes[rest])
        assert set(hidden[hidden != -1]) == {0, 1}
        held_out.extend(fold)
        return log_proba[fold]

    temperature = cross_fitted_temperature(predict_held_out, codes, seed=0)
    assert sorted(held_out) == np.flatnonzero(codes != -1).tolist()
    assert temperature == fit_temperature(log_proba[held_out], codes[held_out])


def test_cross_fitted_temperature_is_one_if_that_has_a_higher_likelihood():
    codes = np.array([0, 0, 0, 1, 1, 1])
    correct = np.log(np.where(np.eye(2)[codes] == 1, 0.99, 0.01))
    assert fit_temperature(correct, codes) > 1  # because of the prior
    temperature = cross_fitted_temperature(lambda _, fold: correct[fold], codes, 0)
    assert temperature == 1


def test_cross_fitted_temperature_of_single_labels_is_the_default():
    def predict_held_out(hidden, fold):
        pytest.fail("No label can be held out.")

    codes = np.array([0, 1, -1])
    temperature = cross_fitted_temperature(predict_held_out, codes, 0)
    assert temperature == TEMPERATURE_WITH_TEACHER


def test_temperature_changes_probabilities_only(iris, quick):
    X, y, _ = iris
    plain = quick(temperature=1.0).fit(X, y)
    tempered = quick(temperature=2.5).fit(X, y)
    assert (plain.temperature_, tempered.temperature_) == (1.0, 2.5)
    expected = apply_temperature(plain.predict_log_proba(X), 2.5)
    assert np.array_equal(tempered.predict_log_proba(X), expected)
    assert np.array_equal(tempered.predict_proba(X), np.exp(expected))
    hidden = y == -1
    assert np.array_equal(
        tempered.label_distributions_[hidden], tempered.predict_proba(X)[hidden]
    )
    for method in ("predict", "transform", "score_samples", "impute"):
        assert np.array_equal(getattr(plain, method)(X), getattr(tempered, method)(X))
    assert np.array_equal(plain.sample(5)[0], tempered.sample(5)[0])
    weights, same = plain.module_.state_dict(), tempered.module_.state_dict()
    assert all((weights[name] == same[name]).all() for name in weights)


def test_default_temperature_depends_on_the_teacher(iris, quick):
    X, y, _ = iris
    teacher = SelfTrainingClassifier(LogisticRegression())
    assert quick(teacher=None).fit(X, y).temperature_ == 1.0
    taught = quick(teacher=teacher).fit(X, y)
    assert taught.temperature_ == TEMPERATURE_WITH_TEACHER == 1.6
    taught.partial_fit(X, y)
    assert taught.temperature_ == 1.6
    # partial_fit alone does not use the teacher.
    assert quick(teacher=teacher).partial_fit(X, y, [0, 1, 2]).temperature_ == 1.0


def test_partial_fit_uses_a_numeric_temperature_and_keeps_it(iris, quick):
    X, y, _ = iris
    clf = quick(temperature=3.0).partial_fit(X, y, [0, 1, 2])
    assert clf.temperature_ == 3.0
    clf.set_params(temperature=2.0).partial_fit(X, y)
    assert clf.temperature_ == 2.0
    clf.set_params(temperature="auto").partial_fit(X, y)
    assert clf.temperature_ == 2.0


def kinds_of_input():
    """X, y and sample weights by kind of container."""
    X, y_true = load_iris(return_X_y=True)
    y = hide(y_true, 5)
    names = np.array(["a", "b", "c", -1], dtype=object)[y]
    return {
        "array": (X, y, None),
        "list": (X.tolist(), y.tolist(), None),
        "frame": (pd.DataFrame(X, columns=list("pqrs")), names, None),
        "sparse": (sparse.csr_array(X), y, None),
        "weights": (X, y, np.linspace(0, 2, 150)),
    }


@pytest.mark.parametrize("kind", kinds_of_input())
def test_cross_fitting_trains_the_same_model_without_each_fold(quick, kind):
    X, y, weight = kinds_of_input()[kind]
    clf = quick(temperature="cross-fit", max_epochs=3, callbacks=[])
    clf.fit(X, y, sample_weight=weight)
    same = clone(clf).fit(X, y, sample_weight=weight)
    assert same.temperature_ == clf.temperature_
    codes = hide(load_iris().target, 5)
    if weight is not None:
        codes[weight == 0] = -1
    rows = np.array(X) if kind == "list" else X

    def predict_held_out(hidden, fold):
        model = quick(temperature=1.0, max_epochs=3, random_state=clf.net_.seed)
        model.fit(X, hidden, sample_weight=weight)
        part = rows.iloc[fold] if kind == "frame" else rows[fold]
        return model.predict_log_proba(part)

    expected = cross_fitted_temperature(predict_held_out, codes, clf.net_.seed)
    assert clf.temperature_ == expected
    plain = quick(max_epochs=3).fit(X, y, sample_weight=weight)
    assert np.array_equal(
        clf.predict_log_proba(X),
        apply_temperature(plain.predict_log_proba(X), clf.temperature_),
    )


def test_cross_fitting_ignores_the_correction_for_an_estimated_prior(quick):
    """Held-out labels have the class shares of labels, not the estimated ones."""
    X, y, _ = prior_shift()
    X, y = X[:400], y[:400]
    params = {"class_prior": "estimate", "max_epochs": 3}
    clf = quick(temperature="cross-fit", **params).fit(X, y)
    seed = clf.net_.seed

    def predict_held_out(hidden, fold):
        model = quick(temperature=1.0, random_state=seed, **params).fit(X, hidden)
        assert model.class_prior_[0] > 0.7
        return log_q(model, X[fold])

    assert clf.temperature_ == cross_fitted_temperature(predict_held_out, y, seed)


@pytest.mark.parametrize("container", ["coo_matrix", "bsr_array"])
def test_cross_fitting_takes_sparse_formats_without_row_indexing(quick, container):
    X, y, _ = kinds_of_input()["sparse"]
    clf, same = (
        quick(temperature="cross-fit", max_epochs=3).fit(rows, y)
        for rows in (X, getattr(sparse, container)(X))
    )
    assert clf.temperature_ == same.temperature_


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-300, np.inf, "cross", None])
def test_invalid_temperatures_are_errors(iris, quick, temperature):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(temperature=temperature).fit(X, y)
    assert str(error.value).startswith(
        "The 'temperature' parameter of SSVAEClassifier must be a str among"
    )


def test_scikit_learn_calibrates_with_labelled_folds(iris, quick):
    X, y, y_true = iris
    cv = LabeledStratifiedKFold(2, shuffle=True, random_state=0)
    calibrated = CalibratedClassifierCV(quick(max_epochs=30), cv=cv).fit(X, y)
    proba = calibrated.predict_proba(X)
    # scikit-learn counts -1 as a class, but no test fold contains it.
    assert calibrated.classes_.tolist() == [-1, 0, 1, 2]
    assert (proba[:, 0] == 0).all()
    assert proba.sum(axis=1) == pytest.approx(1)
    assert (calibrated.predict(X) == y_true).mean() > 0.6


def test_scikit_learn_calibrates_a_frozen_classifier_of_two_classes(iris, quick):
    """Without freezing, scikit-learn confuses the columns of -1 and two classes."""
    X, y, y_true = iris
    few, y_true = np.where(y == 2, 1, y), np.minimum(y_true, 1)
    held_out = np.flatnonzero(few != -1)[::2]
    rest = few.copy()
    rest[held_out] = -1
    frozen = FrozenEstimator(quick(max_epochs=30).fit(X, rest))
    calibrated = CalibratedClassifierCV(frozen, cv=2).fit(X[held_out], few[held_out])
    assert calibrated.classes_.tolist() == [0, 1]
    assert (calibrated.predict(X) == y_true).mean() > 0.6


# Estimated class prior


def two_normal_classes(n, shares, seed):
    """Rows of two normal classes, and their classes."""
    rng = np.random.RandomState(seed)
    y = rng.choice(2, n, p=shares)
    return rng.randn(n, 2) + np.outer(y, [2.5, 0]), y


def prior_shift():
    """X, y, and all labels of the unlabelled rows, of which 90 % are of class 0.

    The first 40 rows are labelled, 20 of each class.
    """
    X, y_true = two_normal_classes(700, [0.9, 0.1], seed=0)
    candidates, classes = two_normal_classes(400, [0.5, 0.5], seed=1)
    rows = np.concatenate([np.flatnonzero(classes == c)[:20] for c in (0, 1)])
    y = np.append(classes[rows], np.full(700, -1))
    return np.vstack([candidates[rows], X]), y, y_true


@pytest.mark.parametrize(
    "teacher", [None, SelfTrainingClassifier(LogisticRegression(), threshold=0.95)]
)
def test_estimated_prior_corrects_for_a_prior_shift(quick, teacher):
    X, y, y_true = prior_shift()
    params = {"teacher": teacher, "max_epochs": 10}
    params["options"] = ClassifierOptions(entropy_weight=0.0)
    clf = quick(class_prior="estimate", **params).fit(X, y)
    uniform = quick(class_prior="uniform", **params).fit(X, y)
    shares = np.array([0.9, 0.1])
    assert np.abs(clf.class_prior_ - shares).sum() < 0.15
    assert np.exp(clf.module_.log_prior.numpy()) == pytest.approx(clf.class_prior_)
    sampled = clf.sample(2000)[1]
    assert (sampled == 1).mean() == pytest.approx(clf.class_prior_[1], abs=0.03)
    accuracy, without = ((m.predict(X[40:]) == y_true).mean() for m in (clf, uniform))
    assert accuracy > without + 0.03
    error, without = (
        np.abs(m.predict_proba(X[40:]).mean(axis=0) - shares).sum()
        for m in (clf, uniform)
    )
    assert error < without - 0.05


def test_probabilities_are_adjusted_to_the_estimated_prior_without_a_teacher(
    iris, quick
):
    X, y, _ = iris
    clf = quick(class_prior="estimate", temperature=2.0).fit(X, y)
    shift = np.log(clf.class_prior_ * 3).astype(np.float32)
    expected = adjust_log_proba(log_q(clf, X), 2.0, shift)
    assert clf.predict_log_proba(X) == pytest.approx(expected, abs=1e-5)
    tempered = softmax(log_q(clf, X) / 2, axis=1).astype(float)
    adjusted = reweight_posterior(tempered, np.full(3, 1 / 3), clf.class_prior_)
    assert expected == pytest.approx(np.log(adjusted), abs=1e-4)


class TargetRecorder(Callback):
    """Record the soft targets, which are multiplied by their confidence."""

    def on_train_begin(self, net, X=None, **kwargs):
        self.soft_targets = X.soft_targets.numpy()


class LogisticRegressionTeacher(LogisticRegression):
    """Logistic regression of the labelled rows."""

    def fit(self, X, y):
        return super().fit(X[y >= 0], y[y >= 0])


def targets_for(quick, class_prior, teacher, X, y, sample_weight=None, **params):
    """Return the teacher's class probabilities in a fit with this class prior."""
    recorder = TargetRecorder()
    clf = quick(
        class_prior=class_prior, teacher=teacher, callbacks=[recorder], **params
    )
    clf.fit(X, y, sample_weight=sample_weight)
    total = recorder.soft_targets.sum(axis=1, keepdims=True)
    return recorder.soft_targets / np.where(total > 0, total, 1)


POOL = OpinionPoolClassifier(views=["columns", "forest"], random_state=0)


@pytest.mark.parametrize("teacher", [POOL, LabelSpreading(kernel="knn")])
@pytest.mark.parametrize("class_prior", [[0.9, 0.1], "uniform", "empirical"])
def test_soft_targets_are_adjusted_to_the_class_prior(quick, teacher, class_prior):
    X, y, _ = prior_shift()
    y[:5] = -1  # 15 labels of class 0 remain, and 20 of class 1
    shares, prior = np.array([15, 20]) / 35, [0.5, 0.5]
    if class_prior != "uniform":  # "empirical" changes the targets of the pool only
        prior = shares if class_prior == "empirical" else class_prior
    if teacher is POOL:
        shares = clone(POOL).fit(X, y).class_shares_
        assert shares[0] > 0.6
    unadjusted = targets_for(quick, "auto", teacher, X, y)
    adjusted = targets_for(quick, class_prior, teacher, X, y)
    reached = unadjusted.sum(axis=1) > 0
    expected = reweight_posterior(unadjusted[reached], shares, np.array(prior))
    assert adjusted[reached] == pytest.approx(expected, abs=1e-5)
    assert (adjusted[~reached] == 0).all()


def test_soft_targets_of_a_pool_in_a_pipeline_are_adjusted_from_its_shares(quick):
    X, y, _ = prior_shift()
    shares = clone(POOL).fit(X, y).class_shares_
    assert shares[0] > 0.6
    piped = make_pipeline(FunctionTransformer(), POOL)
    unadjusted = targets_for(quick, "auto", piped, X, y)
    expected = reweight_posterior(unadjusted, shares, np.array([0.9, 0.1]))
    adjusted = targets_for(quick, [0.9, 0.1], piped, X, y)
    assert adjusted == pytest.approx(expected, abs=1e-5)


def test_label_shares_of_soft_targets_have_sample_weights_but_no_class_weights(quick):
    """Training multiplies soft targets by the weights of the classes."""
    X, y, _ = prior_shift()
    weight = np.where(y == 1, 3.0, 1.0)
    teacher = LogisticRegressionTeacher()
    targets = {
        name: targets_for(quick, name, teacher, X, y, sample_weight=weight)
        for name in ("auto", "empirical")
    }
    expected = reweight_posterior(
        targets["auto"], np.array([0.5, 0.5]), np.array([0.25, 0.75])
    )
    assert targets["empirical"] == pytest.approx(expected, abs=1e-5)
    heavy = targets_for(
        quick,
        "empirical",
        teacher,
        X,
        y,
        sample_weight=weight,
        class_weight={1: 10.0},
    )
    expected = expected * [1.0, 10.0]
    expected /= expected.sum(axis=1, keepdims=True)
    assert heavy == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("class_prior", ["empirical", "estimate"])
def test_soft_targets_are_adjusted_to_the_prior_that_warm_start_keeps(
    quick, class_prior
):
    X, y, y_true = prior_shift()
    recorder, teacher = TargetRecorder(), LogisticRegressionTeacher()
    clf = quick(class_prior=class_prior, teacher=teacher, warm_start=True).fit(X, y)
    y[40:60] = y_true[:20]
    shares = np.bincount(y[y >= 0]) / (y >= 0).sum()
    assert shares[0] > 0.6
    clf.set_params(callbacks=[recorder]).fit(X, y)
    soft = clone(teacher).fit(X, y).predict_proba(X[60:])
    expected = reweight_posterior(soft, shares, clf.class_prior_)
    expected *= expected.max(axis=1, keepdims=True)
    assert recorder.soft_targets == pytest.approx(expected, abs=1e-5)


class NeverFitted(ClassifierMixin, BaseEstimator):
    """A teacher that must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("the teacher was fitted")

    def predict(self, X):
        raise AssertionError("the teacher was asked")


def test_an_invalid_class_prior_is_an_error_before_the_teacher_is_fitted(quick):
    X, y, _ = prior_shift()
    labels = np.where(y == -1, -1, np.array(["no", "yes"], dtype=object)[y])
    with pytest.raises(ValueError) as error:
        quick(class_prior=[0.5, 0.4], teacher=NeverFitted()).fit(X, labels)
    assert str(error.value) == (
        "class_prior must hold 2 positive numbers with sum 1, one for each of the "
        "classes ['no', 'yes']; got [0.5, 0.4]."
    )


def test_estimated_prior_without_unlabelled_rows_is_that_of_the_labels(iris, quick):
    X, y, y_true = iris
    clf = quick(class_prior="estimate").fit(X[:120], y_true[:120])
    assert clf.class_prior_ == pytest.approx([50 / 120, 50 / 120, 20 / 120])
    weight = np.where(y == -1, 0.0, 1.0)
    weighted = quick(class_prior="estimate").fit(X, y, sample_weight=weight)
    assert weighted.class_prior_ == pytest.approx([1 / 3] * 3)


def test_estimated_prior_is_uniform_in_partial_fit(iris, quick):
    X, y, _ = iris
    few = np.where(np.arange(150) < 60, y, -1)
    clf = quick(class_prior="estimate").partial_fit(X, few, [0, 1, 2])
    assert clf.class_prior_ == pytest.approx([1 / 3] * 3)


def test_estimated_prior_is_that_of_the_labels_without_soft_targets(iris, quick):
    X, y, _ = iris
    y = y.copy()
    y[np.flatnonzero(y == 0)[0]] = -1
    teacher = LabelSpreading(kernel=lambda a, b: np.eye(len(a)))
    clf = quick(class_prior="estimate", teacher=teacher).fit(X, y)
    assert clf.class_prior_ == pytest.approx(np.bincount(y[y != -1]) / (y != -1).sum())


@pytest.mark.parametrize("class_prior", ["estimate", "empirical", [0.2, 0.3, 0.5]])
@pytest.mark.parametrize("teacher", [None, LabelSpreading(), POOL])
def test_warm_start_keeps_the_prior_if_a_class_has_no_label(
    iris, quick, teacher, class_prior
):
    X, y, _ = iris
    clf = quick(class_prior=class_prior, teacher=teacher, warm_start=True).fit(X, y)
    prior, shift = clf.class_prior_, clf.log_prior_shift_
    clf.fit(X, np.where(y == 2, -1, y))
    assert clf.class_prior_ is prior
    assert clf.log_prior_shift_ is shift


def test_rows_of_weight_zero_do_not_affect_the_estimated_prior(quick):
    X, y, _ = prior_shift()
    kept = np.arange(len(y)) % 3 != 0
    kept[:40] = True
    clf = quick(class_prior="estimate").fit(X, y, sample_weight=kept.astype(float))
    fewer = quick(class_prior="estimate").fit(X[kept], y[kept])
    assert clf.class_prior_ == pytest.approx(fewer.class_prior_, abs=1e-6)


@pytest.mark.parametrize("heavy", [0, 1])
def test_weighted_label_shares_are_the_prior_that_is_corrected(quick, heavy):
    """The classifier learns them, so the correction starts from them."""
    X, y, _ = prior_shift()
    weight = np.where(y == heavy, 9.0, 1.0)
    params = {"class_prior": "estimate", "max_epochs": 10}
    params["options"] = ClassifierOptions(entropy_weight=0.0)
    clf = quick(**params).fit(X, y, sample_weight=weight)
    plain = quick(**params).fit(X, y)
    assert clf.class_prior_ == pytest.approx(plain.class_prior_)
    learnt = np.where(np.arange(2) == heavy, 0.9, 0.1)
    assert clf.log_prior_shift_ == pytest.approx(np.log(plain.class_prior_ / learnt))
    means = [m.predict_proba(X[40:]).mean(axis=0) for m in (clf, plain)]
    assert np.abs(means[0] - means[1]).max() < 0.06


def test_prior_is_estimated_with_the_default_teacher():
    """The pool keeps the shares of the labels, which EM starts from."""
    X, y, _ = prior_shift()
    X, y = X[:240], y[:240]
    clf = SSVAEClassifier(
        2, class_prior="estimate", max_epochs=2, random_state=0, temperature=1.0
    ).fit(X, y)
    assert clf.class_prior_[0] > 0.7
