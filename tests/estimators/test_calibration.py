"""Temperatures, and shares of classes that labels do not have."""

import numpy as np
import pandas as pd
import pytest
from few_labels import hide
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.estimators.calibration import (
    SPREAD,
    TEMPERATURE_WITH_TEACHER,
    adjust_log_proba,
    apply_temperature,
    cross_fitted_temperature,
    fit_temperature,
)
from sk_ssvae.model_selection import LabeledStratifiedKFold
from sk_ssvae.teachers import class_priors
from sk_ssvae.teachers.class_priors import estimate_prior_by_em, reweight_posterior
from sk_ssvae.teachers.pooling import make_folds


def random_answers(seed, n=40, n_classes=3, sharpness=2.0):
    rng = np.random.RandomState(seed)
    log_proba = log_softmax(sharpness * rng.randn(n, n_classes), axis=1)
    return log_proba, rng.randint(n_classes, size=n)


@given(st.integers(0, 20), st.floats(0.2, 20))
def test_a_temperature_keeps_the_order_and_moves_to_the_uniform(seed, temperature):
    log_proba, _ = random_answers(seed)
    warm = apply_temperature(log_proba, temperature)
    assert warm == pytest.approx(log_softmax(log_proba / temperature, axis=1))
    assert np.exp(warm).sum(axis=1) == pytest.approx(1)
    assert (warm.argsort(axis=1) == log_proba.argsort(axis=1)).all()
    sure = np.exp(log_proba).max(axis=1), np.exp(warm).max(axis=1)
    assert ((sure[0] >= sure[1] - 1e-12) == (temperature >= 1)).all()
    assert apply_temperature(log_proba, 1.0) is log_proba
    single = log_proba.astype(np.float32)
    assert apply_temperature(single, temperature).dtype == np.float32


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 8.0])
def test_the_temperature_is_the_most_probable_one(sharpness):
    log_proba, codes = random_answers(1, 60, sharpness=sharpness)
    rows = np.arange(60)

    def loss(log_t):
        likelihood = log_softmax(log_proba / np.exp(log_t), axis=1)[rows, codes].sum()
        return -likelihood + (log_t - np.log(TEMPERATURE_WITH_TEACHER)) ** 2 / (
            2 * SPREAD**2
        )

    best = minimize_scalar(loss, bounds=(np.log(1 / 4), np.log(16)), method="bounded")
    assert fit_temperature(log_proba, codes) == pytest.approx(np.exp(best.x), rel=0.02)


def test_labels_are_hidden_in_turn():
    codes = np.array([0, 1, -1, 0, 1, -1, 0, 1, 1])
    log_proba, _ = random_answers(2, len(codes), 2)
    seen = []

    def answer(hidden, fold):
        assert (hidden[fold] == -1).all()
        others = np.setdiff1d(np.arange(len(codes)), fold)
        assert np.array_equal(hidden[others], codes[others])
        assert set(hidden[hidden != -1]) == {0, 1}
        seen.extend(fold)
        return log_proba[fold]

    temperature = cross_fitted_temperature(answer, codes, seed=0)
    known = np.flatnonzero(codes != -1)
    assert sorted(seen) == known.tolist()
    assert temperature == fit_temperature(log_proba[seen], codes[seen])


def test_a_temperature_that_does_not_help_is_not_taken():
    codes = np.array([0, 0, 0, 1, 1, 1])
    right = np.log(np.where(np.eye(2)[codes] == 1, 0.99, 0.01))
    assert fit_temperature(right, codes) > 1  # the prior's
    temperature = cross_fitted_temperature(lambda hidden, fold: right[fold], codes, 0)
    assert temperature == 1
    single = np.array([0, 1, -1])
    assert (
        cross_fitted_temperature(lambda *a: 1 / 0, single, 0)
        == TEMPERATURE_WITH_TEACHER
    )


def test_only_probabilities_depend_on_the_temperature(iris, quick):
    X, y, _ = iris
    plain = quick(temperature=1.0).fit(X, y)
    warm = quick(temperature=2.5).fit(X, y)
    assert (plain.temperature_, warm.temperature_) == (1.0, 2.5)
    assert quick().fit(X, y).temperature_ == 1.0  # no teacher
    log_q = plain.predict_log_proba(X)
    assert np.array_equal(warm.predict_log_proba(X), apply_temperature(log_q, 2.5))
    assert np.array_equal(warm.predict_proba(X), np.exp(apply_temperature(log_q, 2.5)))
    hidden = y == -1
    assert np.array_equal(
        warm.label_distributions_[hidden], warm.predict_proba(X)[hidden]
    )
    for method in ("predict", "transform", "score_samples", "impute"):
        assert np.array_equal(getattr(plain, method)(X), getattr(warm, method)(X))
    assert np.array_equal(plain.sample(5)[0], warm.sample(5)[0])
    before = plain.module_.state_dict(), warm.module_.state_dict()
    assert all((before[0][k] == before[1][k]).all() for k in before[0])


def test_a_teacher_makes_answers_sharp(iris, quick):
    X, y, _ = iris
    teacher = SelfTrainingClassifier(LogisticRegression())
    taught = quick(teacher=teacher).fit(X, y)
    assert taught.temperature_ == TEMPERATURE_WITH_TEACHER == 1.7
    taught.partial_fit(X, y)
    assert taught.temperature_ == 1.7
    assert quick(teacher=teacher).partial_fit(X, y, [0, 1, 2]).temperature_ == 1.0
    streamed = quick(temperature=3.0).partial_fit(X, y, [0, 1, 2])
    assert streamed.temperature_ == 3.0
    streamed.set_params(temperature=2.0).partial_fit(X, y)
    assert streamed.temperature_ == 2.0  # as in a fit that goes on
    streamed.set_params(temperature="auto").partial_fit(X, y)
    assert streamed.temperature_ == 2.0


def kinds_of_rows():
    X, truth = load_iris(return_X_y=True)
    y = hide(truth, 5)
    names = np.array(["a", "b", "c", -1], dtype=object)[y]
    weight = np.linspace(0, 2, 150)
    return {
        "array": (X, y, None),
        "list": (X.tolist(), y.tolist(), None),
        "frame": (pd.DataFrame(X, columns=list("pqrs")), names, None),
        "sparse": (sparse.csr_array(X), y, None),
        "weights": (X, y, weight),
    }


@pytest.mark.parametrize("kind", kinds_of_rows())
def test_a_cross_fitted_temperature(quick, kind):
    X, y, weight = kinds_of_rows()[kind]
    clf = quick(temperature="cross-fit", max_epochs=3, callbacks=[])
    clf.fit(X, y, sample_weight=weight)
    again = clone(clf).fit(X, y, sample_weight=weight)
    assert again.temperature_ == clf.temperature_
    codes = hide(load_iris().target, 5)
    if weight is not None:
        codes[weight == 0] = -1
    rows = np.array(X) if kind == "list" else X

    def answer(hidden, fold):
        model = quick(temperature=1.0, max_epochs=3, random_state=clf._seed)
        model.fit(X, hidden, sample_weight=weight)
        part = rows.iloc[fold] if kind == "frame" else rows[fold]
        return model.predict_log_proba(part)

    assert clf.temperature_ == cross_fitted_temperature(answer, codes, clf._seed)
    plain = quick(max_epochs=3).fit(X, y, sample_weight=weight)
    assert np.array_equal(
        clf.predict_log_proba(X),
        apply_temperature(plain.predict_log_proba(X), clf.temperature_),
    )


def test_a_temperature_is_fitted_to_answers_that_are_not_moved(quick):
    """Labels that are hidden have the shares that labels have, not the estimated."""
    X, y, _ = shifted()
    X, y = X[:400], y[:400]
    given = {"class_prior": "estimate", "max_epochs": 3}
    clf = quick(temperature="cross-fit", **given).fit(X, y)

    def answer(hidden, fold):
        model = quick(temperature=1.0, random_state=clf._seed, **given).fit(X, hidden)
        assert model.class_prior_[0] > 0.7
        return model.module_(model._encoder()(_rows(X[fold]))).detach().numpy()

    assert clf.temperature_ == cross_fitted_temperature(answer, y, clf._seed)


@pytest.mark.parametrize("form", ["coo_matrix", "bsr_array"])
def test_sparse_forms_for_a_cross_fitted_temperature(quick, form):
    X, y, _ = kinds_of_rows()["sparse"]
    rows = getattr(sparse, form)(X)
    clf, same = (
        quick(temperature="cross-fit", max_epochs=3).fit(given, y)
        for given in (X, rows)
    )
    assert clf.temperature_ == same.temperature_


def test_folds_for_a_temperature_are_three(iris):
    _, y, _ = iris
    assert [len(fold) for fold in make_folds(y, 0, 3)] == [5, 5, 5]


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-300, np.inf, "cross", None])
def test_temperatures_that_are_none(iris, quick, temperature):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(temperature=temperature).fit(X, y)
    assert str(error.value).startswith(
        "The 'temperature' parameter of SSVAEClassifier must be a str among"
    )


def test_calibrated_by_scikit_learn_with_labelled_folds(iris, quick):
    X, y, truth = iris
    cv = LabeledStratifiedKFold(2, shuffle=True, random_state=0)
    calibrated = CalibratedClassifierCV(quick(max_epochs=30), cv=cv).fit(X, y)
    proba = calibrated.predict_proba(X)
    # scikit-learn takes -1 among the labels for a class; no test fold has it
    assert calibrated.classes_.tolist() == [-1, 0, 1, 2]
    assert (proba[:, 0] == 0).all()
    assert proba.sum(axis=1) == pytest.approx(1)
    assert (calibrated.predict(X) == truth).mean() > 0.6


def test_two_classes_are_calibrated_by_scikit_learn_frozen(iris, quick):
    """With -1 beside two classes it takes a column for another: docs say so."""
    X, y, truth = iris
    few, truth = np.where(y == 2, 1, y), np.minimum(truth, 1)
    held_out = np.flatnonzero(few != -1)[::2]
    rest = few.copy()
    rest[held_out] = -1
    frozen = FrozenEstimator(quick(max_epochs=30).fit(X, rest))
    calibrated = CalibratedClassifierCV(frozen, cv=2).fit(X[held_out], few[held_out])
    assert calibrated.classes_.tolist() == [0, 1]
    assert (calibrated.predict(X) == truth).mean() > 0.6


# Shares of classes.


@given(st.integers(0, 30), st.integers(2, 4))
def test_shares_are_the_most_likely_ones(seed, n_classes):
    rng = np.random.RandomState(seed)
    posterior = softmax(2 * rng.randn(30, n_classes), axis=1)
    before = rng.dirichlet(np.full(n_classes, 5.0))
    weight = rng.rand(30)
    shares = estimate_prior_by_em(posterior, before, weight)
    assert shares.sum() == pytest.approx(1)

    def loss(logits):
        return -weight @ np.log(posterior @ (softmax(logits) / before))

    found = minimize(loss, np.zeros(n_classes), method="BFGS", tol=1e-10)
    assert loss(np.log(shares)) <= found.fun + 0.005  # no share may be 0
    if shares.min() > 1e-3:
        assert shares == pytest.approx(softmax(found.x), abs=2e-3)
        # the answers for them have them as their mean
        mean = np.average(
            reweight_posterior(posterior, before, shares), axis=0, weights=weight
        )
        assert mean == pytest.approx(shares, abs=1e-6)


def test_a_class_that_is_not_there_does_not_keep_em_going(monkeypatch):
    posterior = np.tile([[0.9, 0.0999, 1e-4], [0.0999, 0.9, 1e-4]], (10, 1))
    steps = []

    def counted(*args):
        steps.append(1)
        return reweight_posterior(*args)

    monkeypatch.setattr(class_priors, "reweight_posterior", counted)
    shares = estimate_prior_by_em(posterior, np.full(3, 1 / 3))
    assert shares == pytest.approx([0.5, 0.5, 1e-4], abs=1e-4)
    assert len(steps) < 100


def test_weights_of_rows_are_repetitions():
    rng = np.random.RandomState(0)
    posterior = softmax(rng.randn(20, 3), axis=1)
    counts = rng.randint(1, 4, size=20)
    before = np.full(3, 1 / 3)
    assert estimate_prior_by_em(posterior, before, counts) == pytest.approx(
        estimate_prior_by_em(np.repeat(posterior, counts, axis=0), before)
    )


def world(n, shares, seed, distance=2.5):
    """Two normal classes: rows, classes, and their posterior for equal shares."""
    rng = np.random.RandomState(seed)
    y = rng.choice(2, n, p=shares)
    X = rng.randn(n, 2) + np.outer(y, [distance, 0])
    log_odds = distance * X[:, 0] - distance**2 / 2
    return X, y, softmax(np.stack([0 * log_odds, log_odds], axis=1), axis=1)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.9])
def test_known_shares_are_found_by_exact_posteriors(share):
    _, y, posterior = world(20_000, [1 - share, share], 0)
    found = estimate_prior_by_em(posterior, np.array([0.5, 0.5]))
    assert found[1] == pytest.approx((y == 1).mean(), abs=0.01)


def shifted(seed=0):
    """Twenty labels a class; nine of ten of the other rows are of class 0."""
    X, truth, _ = world(1500, [0.9, 0.1], seed)
    few = np.full(1500, -1)
    labelled, classes, _ = world(400, [0.5, 0.5], seed + 1)
    rows = np.concatenate([np.flatnonzero(classes == c)[:20] for c in (0, 1)])
    return np.vstack([labelled[rows], X]), np.append(classes[rows], few), truth


@pytest.mark.parametrize(
    "teacher", [None, SelfTrainingClassifier(LogisticRegression(), threshold=0.95)]
)
def test_a_known_shift_is_estimated(quick, teacher):
    X, y, truth = shifted()
    parameters = {"teacher": teacher, "max_epochs": 15, "entropy_weight": 0.0}
    clf = quick(class_prior="estimate", **parameters).fit(X, y)
    uniform = quick(class_prior="uniform", **parameters).fit(X, y)
    true = np.array([0.9, 0.1])
    assert np.abs(clf.class_prior_ - true).sum() < 0.15
    assert np.exp(clf.module_.log_prior.numpy()) == pytest.approx(clf.class_prior_)
    assert (clf.sample(2000)[1] == 1).mean() == pytest.approx(
        clf.class_prior_[1], abs=0.03
    )
    right, without = (
        (model.predict(X[40:]) == truth).mean() for model in (clf, uniform)
    )
    assert right > without + 0.03
    mean = clf.predict_proba(X[40:]).mean(axis=0)
    other = uniform.predict_proba(X[40:]).mean(axis=0)
    assert np.abs(mean - true).sum() < np.abs(other - true).sum() - 0.05


def test_without_a_teacher_answers_are_moved_to_the_estimate(iris, quick):
    X, y, _ = iris
    clf = quick(class_prior="estimate", temperature=2.0).fit(X, y)
    log_q = clf.module_(clf._encoder()(_rows(X))).detach().numpy()
    shift = np.log(clf.class_prior_ * 3).astype(np.float32)
    expected = adjust_log_proba(log_q, 2.0, shift)
    assert clf.predict_log_proba(X) == pytest.approx(expected, abs=1e-5)
    assert expected == pytest.approx(
        np.log(
            reweight_posterior(
                softmax(log_q / 2, axis=1).astype(float),
                np.full(3, 1 / 3),
                clf.class_prior_,
            )
        ),
        abs=1e-4,
    )


def _rows(X):
    import torch

    return torch.from_numpy(X)


def test_an_estimate_where_there_is_nothing_to_estimate(iris, quick):
    X, y, truth = iris
    clf = quick(class_prior="estimate").fit(X[:120], truth[:120])
    assert clf.class_prior_ == pytest.approx([50 / 120, 50 / 120, 20 / 120])
    streamed = quick(class_prior="estimate").partial_fit(X, y, [0, 1, 2])
    assert streamed.class_prior_ == pytest.approx([1 / 3] * 3)
    weight = np.where(y == -1, 0.0, 1.0)
    alone = quick(class_prior="estimate").fit(X, y, sample_weight=weight)
    assert alone.class_prior_ == pytest.approx([1 / 3] * 3)


def test_a_teacher_without_answers_leaves_the_labels_shares(iris, quick):
    X, y, _ = iris
    y = y.copy()
    y[np.flatnonzero(y == 0)[0]] = -1
    teacher = LabelSpreading(kernel=lambda a, b: np.eye(len(a)))
    clf = quick(class_prior="estimate", teacher=teacher).fit(X, y)
    assert clf.class_prior_ == pytest.approx(np.bincount(y[y != -1]) / (y != -1).sum())


@pytest.mark.parametrize("teacher", [None, LabelSpreading()])
def test_training_goes_on_with_fewer_classes_beside_an_estimate(iris, quick, teacher):
    X, y, _ = iris
    clf = quick(class_prior="estimate", teacher=teacher, warm_start=True).fit(X, y)
    prior, shift = clf.class_prior_, clf._log_shift
    clf.fit(X, np.where(y == 2, -1, y))
    assert clf.class_prior_ is prior
    assert clf._log_shift is shift


def test_rows_without_weight_do_not_count_in_the_estimate(quick):
    X, y, _ = shifted()
    kept = np.arange(len(y)) % 3 != 0
    kept[:40] = True
    weight = kept.astype(float)
    clf = quick(class_prior="estimate").fit(X, y, sample_weight=weight)
    fewer = quick(class_prior="estimate").fit(X[kept], y[kept])
    assert clf.class_prior_ == pytest.approx(fewer.class_prior_, abs=1e-6)


@pytest.mark.parametrize("heavy", [0, 1])
def test_answers_are_moved_from_the_shares_that_weights_give(quick, heavy):
    X, y, _ = shifted()
    weight = np.where(y == heavy, 9.0, 1.0)
    parameters = {"class_prior": "estimate", "max_epochs": 20, "entropy_weight": 0.0}
    clf = quick(**parameters).fit(X, y, sample_weight=weight)
    plain = quick(**parameters).fit(X, y)
    assert clf.class_prior_ == pytest.approx(plain.class_prior_)
    learnt = np.where(np.arange(2) == heavy, 0.9, 0.1)
    assert clf._log_shift == pytest.approx(np.log(plain.class_prior_ / learnt))
    means = [m.predict_proba(X[40:]).mean(axis=0) for m in (clf, plain)]
    assert np.abs(means[0] - means[1]).max() < 0.06


def test_the_pool_is_asked_for_labelled_shares():
    X, y, _ = shifted()
    X, y = X[:240], y[:240]
    clf = SSVAEClassifier(
        2, class_prior="estimate", max_epochs=2, random_state=0, temperature=1.0
    ).fit(X, y)
    assert clf.class_prior_[0] > 0.7
