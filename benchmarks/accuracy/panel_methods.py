"""Methods of the accuracy panel.

All methods are fitted to the same standardised rows, with scikit-learn's defaults
except for the settings in their names. The methods in `REFERENCES` use the true
labels: the oracle as an upper reference, the majority class as a lower one.
"""

import time
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import (
    LabelPropagation,
    LabelSpreading,
    SelfTrainingClassifier,
)
from sklearn.svm import SVC

from benchmarks.accuracy.ablations import make_variant
from benchmarks.common.plain import plain_m2

NEIGHBOURS = (5, 7, 10, 20)
ALPHAS = (0.2, 0.8, 0.99)
"""Settings of label spreading that the oracle chooses from. It also chooses between
standardised rows, rows in original units and rows scaled to [0, 1]."""


class Predictions(NamedTuple):
    """Predictions of a method.

    Attributes
    ----------
    transduction : ndarray of int64 of shape (n_train,)
        Classes of the training rows.
    predicted : ndarray of int64 of shape (n_test,)
        Classes of the test rows.
    proba : ndarray of shape (n_test, n_classes), or None
        Probabilities of the classes of the test rows.
    fit_seconds, predict_seconds : float
        Time of `fit`, and of predicting the test rows.
    """

    transduction: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray | None
    fit_seconds: float
    predict_seconds: float


class LabelledOnly(ClassifierMixin, BaseEstimator):
    """A supervised classifier that is fitted to the labelled rows only."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit the classifier to the labelled rows."""
        self.estimator.fit(X[y >= 0], y[y >= 0])
        return self

    def predict_proba(self, X):
        """Return the probabilities of the classifier."""
        return self.estimator.predict_proba(X)


class SoftSVC(SVC):
    """SVC whose probabilities are the softmax of its decision values.

    For two classes the decision values are minus and plus that of the SVC. The
    predicted class is the most probable one, so ties between votes are broken by the
    decision values.
    """

    sharpness = 1

    def predict_proba(self, X):
        """Return the softmax of the decision values."""
        values = self.decision_function(X)
        if values.ndim == 1:
            return softmax(np.column_stack([-values, values]), axis=1)
        return softmax(self.sharpness * values, axis=1)


class SharpSVC(SoftSVC):
    """`SoftSVC` that doubles the decision values of three or more classes.

    A class that wins all votes has a decision value that is about one larger than the
    next. Without the factor its probability does not reach 0.8.
    """

    sharpness = 2


class SelfTrainedSVC(SelfTrainingClassifier):
    """Self-training of `SharpSVC`; the fitted estimator predicts like `SoftSVC`."""

    def fit(self, X, y):
        """Fit."""
        super().fit(X, y)
        self.estimator_.sharpness = SoftSVC.sharpness
        return self


class PyroVED(ClassifierMixin, BaseEstimator):
    """pyroVED's ssiVAE with pyroVED's layer sizes, batches and step, for 100 epochs.

    It predicts classes, not probabilities.
    """

    def __init__(self, seed):
        from benchmarks.speed.peers import pyroved_ssivae  # takes seconds to import

        self.train, self.seed = pyroved_ssivae, seed

    def fit(self, X, y):
        """Train the model."""
        self.predict = self.train(
            X,
            y,
            int(y.max()) + 1,
            epochs=100,
            batch_size=100,
            hidden_sizes=(128, 128),
            latent_size=10,
            learning_rate=5e-4,
            likelihood="gaussian",
            seed=self.seed,
        )
        return self


def ssvae(seed, **parameters):
    """Return an SSVAEClassifier."""
    from sk_ssvae import SSVAEClassifier  # takes seconds to import

    return SSVAEClassifier(random_state=seed, **parameters)


def network_alone(seed):
    """Return an SSVAEClassifier without a teacher and an entropy term."""
    from sk_ssvae.training import ClassifierOptions

    return ssvae(seed, teacher=None, options=ClassifierOptions(entropy_weight=0.0))


def knn(n_neighbors, **parameters):
    """Return label spreading on a graph of nearest neighbours."""
    return LabelSpreading(kernel="knn", n_neighbors=n_neighbors, **parameters)


METHODS = {
    "ours": ssvae,
    "m2": lambda seed: ssvae(seed, **plain_m2()),
    "network": lambda seed: LabelledOnly(network_alone(seed)),
    "spreading": lambda seed: LabelSpreading(),
    "knn7": lambda seed: knn(7),
    "knn20": lambda seed: make_pipeline(MinMaxScaler(), knn(20, alpha=0.2)),
    "propagation": lambda seed: LabelPropagation(kernel="knn", n_neighbors=7),
    "self_lr": lambda seed: SelfTrainingClassifier(
        LogisticRegression(max_iter=1000), threshold=0.8
    ),
    "self_svc": lambda seed: SelfTrainedSVC(SharpSVC(C=10), threshold=0.8),
    "lr": lambda seed: LabelledOnly(LogisticRegression(max_iter=1000)),
    "svc": lambda seed: LabelledOnly(SoftSVC(C=10)),
    "rf": lambda seed: LabelledOnly(RandomForestClassifier(200, random_state=seed)),
    "boosting": lambda seed: LabelledOnly(
        HistGradientBoostingClassifier(random_state=seed)
    ),
    "pyroved": PyroVED,
}
"""Functions from a seed to an estimator, by name."""


def run_method(name, X_train, y_few, X_test, seed):
    """Fit a method and predict the training and test rows.

    Parameters
    ----------
    name : str
        One of `METHODS` or of `ablations.VARIANTS`.
    X_train : ndarray of float32 of shape (n_train, n_features)
        Training rows.
    y_few : ndarray of int64 of shape (n_train,)
        Their classes, -1 where hidden.
    X_test : ndarray of float32 of shape (n_test, n_features)
        Held-out rows.
    seed : int
        Random state of the estimator.

    Returns
    -------
    Predictions
        The classes of the training rows are `transduction_` for label spreading, label
        propagation and SSVAEClassifier, and predictions for the other methods.
    """
    model = METHODS[name](seed) if name in METHODS else make_variant(name, seed)
    start = time.perf_counter()
    model.fit(X_train, y_few)
    fitted = time.perf_counter()
    proba, predicted = None, None
    if hasattr(model, "predict_proba"):
        proba = model.predict_proba(X_test)
    else:
        predicted = model.predict(X_test)
    seconds = fitted - start, time.perf_counter() - fitted
    if proba is None:
        return Predictions(model.predict(X_train), predicted, None, *seconds)
    proba = without_nan(proba)
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "transduction_") and not isinstance(last, SelfTrainingClassifier):
        transduction = last.transduction_
    else:  # transduction_ of self-training is -1 for rows below its threshold
        transduction = model.predict_proba(X_train).argmax(axis=1)
    return Predictions(transduction, proba.argmax(axis=1), proba, *seconds)


def without_nan(proba):
    """Replace rows of NaN by class 0, as label spreading's `predict` does.

    Label spreading divides 0 by 0 for rows that no label reaches.
    """
    lost = np.isnan(proba).any(axis=1)
    return np.where(lost[:, None], np.eye(proba.shape[1])[0], proba)


def oracle(split):
    """Return the best of 36 label spreadings, chosen by the classes of the test rows.

    The results are those of `knn(k, alpha=alpha)`, but the neighbours are searched only
    once for all settings, so ties may be broken differently.
    """
    start, best = time.perf_counter(), None
    zero_one = MinMaxScaler().fit(split.X_train)
    for change in (lambda X: X, lambda X: X * split.scale, zero_one.transform):
        X_train, X_test = change(split.X_train), change(split.X_test)
        search = NearestNeighbors(n_neighbors=max(NEIGHBOURS)).fit(X_train)
        of_train = search.kneighbors(X_train, return_distance=False)
        of_test = search.kneighbors(X_test, return_distance=False)
        for k, alpha in product(NEIGHBOURS, ALPHAS):
            model = spread_labels(X_train, split.y_few, of_train[:, :k], alpha)
            mass = model.label_distributions_[of_test[:, :k]].sum(axis=1)
            proba = without_nan(mass / mass.sum(axis=1, keepdims=True))
            accuracy = (proba.argmax(axis=1) == split.y_test).mean()
            if best is None or accuracy > best[0]:
                best = accuracy, model.transduction_, proba
    _, transduction, proba = best
    seconds = time.perf_counter() - start
    return Predictions(transduction, proba.argmax(axis=1), proba, seconds, 0.0)


def spread_labels(X, y, neighbours, alpha):
    """Fit label spreading to a graph with the given neighbours of each row."""
    n, k = neighbours.shape
    edges = np.ones(n * k), neighbours.ravel(), np.arange(0, n * k + 1, k)
    graph = sparse.csr_matrix(edges, shape=(n, n))
    return LabelSpreading(kernel=lambda *rows: graph, alpha=alpha).fit(X, y)


def majority(split):
    """Predict the class of most training rows, by their true classes."""
    shares = np.bincount(split.y_train) / len(split.y_train)
    proba = np.tile(shares, (len(split.y_test), 1))
    predicted = proba.argmax(axis=1)
    transduction = np.full_like(split.y_train, shares.argmax())
    return Predictions(transduction, predicted, proba, 0.0, 0.0)


REFERENCES = {"oracle": oracle, "majority": majority}
"""Functions from a split, true classes included, to predictions, by name."""
