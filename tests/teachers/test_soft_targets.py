"""Teachers: whom we can ask, what they answer, and how much it counts."""

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


def test_a_transductive_teacher_is_asked_for_its_own_answer(blobs):
    X, y, _ = blobs
    teacher = LabelSpreading(kernel="knn", max_iter=100)
    alone = LabelSpreading(kernel="knn", max_iter=100).fit(X, y)
    guess = fit_soft_targets(teacher, X, y, 3, seed=0)
    np.testing.assert_allclose(guess, alone.label_distributions_, atol=1e-6)
    assert not hasattr(teacher, "classes_")  # a clone was fitted
    pipeline = make_pipeline(StandardScaler(), teacher)
    scaled = StandardScaler().fit_transform(X)
    alone.fit(scaled, y)
    guess = fit_soft_targets(pipeline, X, y, 3, seed=0)
    np.testing.assert_allclose(guess, alone.label_distributions_, atol=1e-6)


def test_a_teacher_with_probabilities(blobs):
    X, y, _ = blobs
    alone = SelfTrainingClassifier(LogisticRegression()).fit(X, y)
    guess = fit_soft_targets(
        SelfTrainingClassifier(LogisticRegression()), X, y, 3, seed=0
    )
    np.testing.assert_allclose(guess, alone.predict_proba(X), atol=1e-6)


class Committed(ClassifierMixin, BaseEstimator):
    """Predicts, without probabilities."""

    def fit(self, X, y):
        self.ridge_ = RidgeClassifier().fit(X[y >= 0], y[y >= 0])
        return self

    def predict(self, X):
        return self.ridge_.predict(X)


def test_a_teacher_without_probabilities(blobs):
    X, y, _ = blobs
    guess = fit_soft_targets(Committed(), X, y, 3, seed=0)
    np.testing.assert_array_equal(guess.argmax(1), Committed().fit(X, y).predict(X))
    assert set(guess.ravel()) == {0.0, 1.0}


def test_rows_without_an_answer_count_nothing():
    """Two islands, one label: LabelSpreading leaves the other island at zero."""
    X = np.concatenate([np.linspace(0, 1, 12), np.linspace(100, 101, 12)])[:, None]
    y = np.full(24, -1)
    y[0], y[11] = 0, 1
    guess = fit_soft_targets(
        LabelSpreading(kernel="knn", n_neighbors=3), X, y, 2, seed=0
    )
    assert (guess[12:] == 0).all()
    assert (confidence(guess)[12:] == 0).all()
    np.testing.assert_allclose(guess[:12].sum(1), 1, rtol=1e-6)


class Silent(ClassifierMixin, BaseEstimator):
    """Answers NaN."""

    def fit(self, X, y):
        self.classes_ = np.array([0, 2])
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)

    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)


def test_nan_is_no_answer(blobs):
    X, y, _ = blobs
    assert (fit_soft_targets(Silent(), X, y, 3, seed=0) == 0).all()


def test_a_teacher_that_takes_minus_one_for_a_class_is_refused(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError) as error:
        fit_soft_targets(LogisticRegression(), X, y, 3, seed=0)
    assert str(error.value) == (
        "The teacher LogisticRegression answered with classes [-1, 0, 1, 2] in an "
        "array of shape (120, 4), but was given the codes 0 ... 2 for 120 rows, -1 "
        "where unlabelled. A teacher must be a classifier that takes -1 for unlabelled "
        "rows, such as LabelSpreading or SelfTrainingClassifier."
    )


def test_open_random_states_get_the_seed(blobs, global_generators):
    X, y, _ = blobs
    teacher = SelfTrainingClassifier(RandomForestClassifier(5))
    before = global_generators()
    first = fit_soft_targets(teacher, X, y, 3, seed=1)
    assert before == global_generators()
    assert teacher.estimator.random_state is None
    np.testing.assert_array_equal(first, fit_soft_targets(teacher, X, y, 3, seed=1))
    assert not np.array_equal(first, fit_soft_targets(teacher, X, y, 3, seed=2))
    given = SelfTrainingClassifier(RandomForestClassifier(5, random_state=3))
    np.testing.assert_array_equal(
        fit_soft_targets(given, X, y, 3, seed=1),
        fit_soft_targets(given, X, y, 3, seed=2),
    )


def test_trust_is_the_root_of_one_minus_the_relative_entropy():
    guess = np.array([[1, 0, 0], [1 / 3] * 3, [0, 0, 0], [0.5, 0.5, 0]], np.float32)
    expected = [1, 0, 0, np.sqrt(1 - np.log(2) / np.log(3))]
    np.testing.assert_allclose(confidence(guess), expected, atol=1e-6)


class Unasked(ClassifierMixin, BaseEstimator):
    """A teacher that takes hours."""

    def fit(self, X, y):
        pytest.fail("The teacher was asked, though there was an error to find.")

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
def test_errors_come_before_the_teacher_is_asked(blobs, parameters, change, message):
    X, y, _ = blobs
    with pytest.raises(ValueError, match=message):
        SSVAEClassifier(teacher=Unasked(), **parameters).fit(X * change, y)


def test_what_cannot_go_on_is_said_before_the_teacher_is_asked(blobs):
    X, y, _ = blobs
    clf = SSVAEClassifier(teacher=None, max_epochs=1, warm_start=True).fit(X, y)
    clf.set_params(teacher=Unasked(), latent_size=3)
    with pytest.raises(ValueError, match=r"^latent_size was"):
        clf.fit(X, y)
