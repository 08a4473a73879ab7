"""Soft targets: kinds of teachers, invalid teachers, and confidence."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier
from sk_ssvae.teachers.soft_targets import confidence, fit_soft_targets


def soft_targets_of(*args, **kwargs):
    """Return `fit_soft_targets` without the fitted teacher."""
    return fit_soft_targets(*args, **kwargs)[0]


def test_label_distributions_of_a_transductive_teacher_are_used(blobs):
    X, y, _ = blobs
    teacher = LabelSpreading(kernel="knn", max_iter=100)
    alone = LabelSpreading(kernel="knn", max_iter=100).fit(X, y)
    targets = soft_targets_of(teacher, X, y, 3, seed=0)
    np.testing.assert_allclose(targets, alone.label_distributions_, atol=1e-6)
    assert not hasattr(teacher, "classes_")  # a clone was fitted
    pipeline = make_pipeline(StandardScaler(), teacher)
    scaled = StandardScaler().fit_transform(X)
    alone.fit(scaled, y)
    targets = soft_targets_of(pipeline, X, y, 3, seed=0)
    np.testing.assert_allclose(targets, alone.label_distributions_, atol=1e-6)


def test_predict_proba_of_an_inductive_teacher_is_used(blobs):
    X, y, _ = blobs
    alone = SelfTrainingClassifier(LogisticRegression()).fit(X, y)
    targets = soft_targets_of(
        SelfTrainingClassifier(LogisticRegression()), X, y, 3, seed=0
    )
    np.testing.assert_allclose(targets, alone.predict_proba(X), atol=1e-6)


class WithoutProbabilities(ClassifierMixin, BaseEstimator):
    """A classifier without `predict_proba`."""

    def fit(self, X, y):
        self.ridge_ = RidgeClassifier().fit(X[y >= 0], y[y >= 0])
        return self

    def predict(self, X):
        return self.ridge_.predict(X)


def test_predictions_are_one_hot_encoded_without_predict_proba(blobs):
    X, y, _ = blobs
    targets = soft_targets_of(WithoutProbabilities(), X, y, 3, seed=0)
    predicted = WithoutProbabilities().fit(X, y).predict(X)
    np.testing.assert_array_equal(targets, np.eye(3)[predicted])


def test_rows_that_no_label_reaches_have_zero_targets_and_confidence():
    """LabelSpreading gives zeros to a component of the graph without labels."""
    X = np.concatenate([np.linspace(0, 1, 12), np.linspace(100, 101, 12)])[:, None]
    y = np.full(24, -1)
    y[0], y[11] = 0, 1
    teacher = LabelSpreading(kernel="knn", n_neighbors=3)
    targets = soft_targets_of(teacher, X, y, 2, seed=0)
    assert (targets[12:] == 0).all()
    assert (confidence(targets)[12:] == 0).all()
    np.testing.assert_allclose(targets[:12].sum(1), 1, rtol=1e-6)


class NanProbabilities(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are NaN."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 2])
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


def test_nan_probabilities_give_zero_targets(blobs):
    X, y, _ = blobs
    assert (soft_targets_of(NanProbabilities(), X, y, 3, seed=0) == 0).all()


def test_a_teacher_that_treats_minus_one_as_a_class_is_an_error(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError) as error:
        soft_targets_of(LogisticRegression(), X, y, 3, seed=0)
    assert str(error.value) == (
        "The teacher LogisticRegression returned probabilities of shape (120, 4) for "
        "the classes [-1, 0, 1, 2], but was fitted to 120 rows with the classes "
        "0 ... 2, and -1 for unlabelled rows. Use a classifier that takes -1 for "
        "unlabelled rows, such as LabelSpreading or SelfTrainingClassifier."
    )


def test_unset_random_states_are_set_from_the_seed(blobs, global_generators):
    X, y, _ = blobs
    teacher = SelfTrainingClassifier(RandomForestClassifier(5))
    before = global_generators()
    first = soft_targets_of(teacher, X, y, 3, seed=1)
    assert before == global_generators()
    assert teacher.estimator.random_state is None
    np.testing.assert_array_equal(first, soft_targets_of(teacher, X, y, 3, seed=1))
    assert not np.array_equal(first, soft_targets_of(teacher, X, y, 3, seed=2))
    fixed = SelfTrainingClassifier(RandomForestClassifier(5, random_state=3))
    np.testing.assert_array_equal(
        soft_targets_of(fixed, X, y, 3, seed=1),
        soft_targets_of(fixed, X, y, 3, seed=2),
    )


def test_confidence_is_the_largest_probability():
    targets = np.array([[1, 0, 0], [1 / 3] * 3, [0, 0, 0], [0.5, 0.5, 0]], np.float32)
    expected = [1, 1 / 3, 0, 0.5]
    np.testing.assert_allclose(confidence(targets), expected, atol=1e-6)


class NeverFitted(ClassifierMixin, BaseEstimator):
    """A teacher that must not be fitted."""

    def fit(self, X, y):
        pytest.fail("The teacher was fitted before an error was raised.")

    def predict(self, X):
        return X


@pytest.mark.parametrize(
    ("parameters", "change", "message"),
    [
        ({"hidden_sizes": (0,)}, 1, "hidden_sizes must hold positive integers"),
        ({"classifier_hidden_sizes": (0,)}, 1, "classifier_hidden_sizes must hold"),
        ({}, 0, "Every column of X is constant"),
        ({"likelihood": "bernoulli"}, 1, "likelihood='bernoulli'"),
    ],
)
def test_invalid_parameters_and_rows_are_found_before_the_teacher_is_fitted(
    blobs, parameters, change, message
):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        SSVAEClassifier(teacher=NeverFitted(), **parameters).fit(X * change, y)


def test_warm_start_errors_are_found_before_the_teacher_is_fitted(blobs):
    X, y, _ = blobs
    clf = SSVAEClassifier(teacher=None, max_epochs=1, warm_start=True).fit(X, y)
    clf.set_params(teacher=NeverFitted(), latent_size=3)
    with pytest.raises(ValueError, match=r"^latent_size was"):
        clf.fit(X, y)
