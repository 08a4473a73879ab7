"""Methods of the accuracy panel.

Every one gets the same standardised rows, and scikit-learn's defaults but for what its
name says. The two of `TOLD` are no methods: they see the true labels, as a ceiling and
a floor.
"""

import time
from itertools import product
from typing import NamedTuple

import numpy as np
from ablations import variant
from plain import PLAIN_M2
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

# Settings of label spreading that the oracle chooses from, on rows that are
# standardised, as they were before, or brought to [0, 1].
NEIGHBOURS = (5, 7, 10, 20)
ALPHAS = (0.2, 0.8, 0.99)


class Answer(NamedTuple):
    """What a method says of the training rows and of the test rows, and its seconds.

    Classes are 0 ... n_classes - 1, every one of which has a label. `proba` is of the
    test rows, or None.
    """

    transduced: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray | None
    fit_seconds: float
    predict_seconds: float


class LabelledOnly(ClassifierMixin, BaseEstimator):
    """A supervised classifier, fitted to the labelled rows alone."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit to the rows that have a label."""
        self.estimator.fit(X[y >= 0], y[y >= 0])
        return self

    def predict_proba(self, X):
        """Ask the classifier."""
        return self.estimator.predict_proba(X)


class SoftSVC(SVC):
    """SVC whose probabilities are the softmax of its decision values.

    For two classes these are minus and plus the decision value. The class is the most
    probable one: ties between votes are broken by the decision values.
    """

    sharpness = 1

    def predict_proba(self, X):
        """Softmax of decision values."""
        values = self.decision_function(X)
        if values.ndim == 1:
            return softmax(np.column_stack([-values, values]), axis=1)
        return softmax(self.sharpness * values, axis=1)


class SharpSVC(SoftSVC):
    """With twice the decision values of three classes or more.

    A class that has all votes leads by one or a little more; without the factor its
    probability does not come to 0.8.
    """

    sharpness = 2


class SelfTrainedSVC(SelfTrainingClassifier):
    """Self-training of `SharpSVC`, which answers as `SoftSVC` when it is done."""

    def fit(self, X, y):
        """Fit."""
        super().fit(X, y)
        self.estimator_.sharpness = SoftSVC.sharpness
        return self


class PyroVED(ClassifierMixin, BaseEstimator):
    """pyroVED's ssiVAE with its own widths, batches and step size, for 100 epochs.

    It gives classes, not probabilities.
    """

    def __init__(self, seed):
        from peers import pyroved_ssivae  # takes seconds

        self.train, self.seed = pyroved_ssivae, seed

    def fit(self, X, y):
        """Train."""
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


def ours(seed, **parameters):
    """SSVAEClassifier; imported here, since torch takes seconds."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(random_state=seed, **parameters)


def knn(n_neighbors, **parameters):
    """Label spreading on a graph of nearest neighbours."""
    return LabelSpreading(kernel="knn", n_neighbors=n_neighbors, **parameters)


METHODS = {
    "ours": ours,
    "m2": lambda seed: ours(seed, **PLAIN_M2),
    "network": lambda seed: LabelledOnly(ours(seed, teacher=None, entropy_weight=0.0)),
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
"""By name: maps a seed to an estimator."""


def answer(name, X_train, y_few, X_test, seed):
    """Fit one of `METHODS`, and ask it.

    Parameters
    ----------
    name : str
        Of the method, or one of `ablations.VARIANTS`.
    X_train : ndarray of float32 of shape (n_rows, n_features)
        Rows to learn from.
    y_few : ndarray of int64 of shape (n_rows,)
        Their classes, -1 where hidden.
    X_test : ndarray of float32 of shape (n_test_rows, n_features)
        Held-out rows.
    seed : int
        The estimator's random state.

    Returns
    -------
    Answer
        Of label spreading, label propagation and SSVAEClassifier, training rows have
        the classes of `transduction_`, else those that are predicted.
    """
    model = METHODS[name](seed) if name in METHODS else variant(name, seed)
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
        return Answer(model.predict(X_train), predicted, None, *seconds)
    proba = without_nan(proba)
    last = model[-1] if hasattr(model, "steps") else model
    if hasattr(last, "transduction_") and not isinstance(last, SelfTrainingClassifier):
        transduced = last.transduction_
    else:  # that of self-training has -1 where it never was certain
        transduced = model.predict_proba(X_train).argmax(axis=1)
    return Answer(transduced, proba.argmax(axis=1), proba, *seconds)


def without_nan(proba):
    """Put class 0 where there is no probability, as label spreading's `predict` does.

    It divides 0 by 0 for rows that no label reaches.
    """
    lost = np.isnan(proba).any(axis=1)
    return np.where(lost[:, None], np.eye(proba.shape[1])[0], proba)


def oracle(split):
    """Label spreading, the best of 36 settings by the true classes of the test rows.

    The answers are those of `knn(k, alpha=alpha)`; it is only that neighbours are not
    searched for again with every setting, so that ties may be broken in another way.
    """
    start, best = time.perf_counter(), None
    zero_one = MinMaxScaler().fit(split.X_train)
    for change in (lambda X: X, lambda X: X * split.scale, zero_one.transform):
        X_train, X_test = change(split.X_train), change(split.X_test)
        search = NearestNeighbors(n_neighbors=max(NEIGHBOURS)).fit(X_train)
        of_train = search.kneighbors(X_train, return_distance=False)
        of_test = search.kneighbors(X_test, return_distance=False)
        for k, alpha in product(NEIGHBOURS, ALPHAS):
            model = spread(X_train, split.y_few, of_train[:, :k], alpha)
            mass = model.label_distributions_[of_test[:, :k]].sum(axis=1)
            proba = without_nan(mass / mass.sum(axis=1, keepdims=True))
            right = (proba.argmax(axis=1) == split.y_test).mean()
            if best is None or right > best[0]:
                best = right, model.transduction_, proba
    _, transduced, proba = best
    seconds = time.perf_counter() - start
    return Answer(transduced, proba.argmax(axis=1), proba, seconds, 0.0)


def spread(X, y, neighbours, alpha):
    """Label spreading with the neighbours given."""
    n, k = neighbours.shape
    edges = np.ones(n * k), neighbours.ravel(), np.arange(0, n * k + 1, k)
    graph = sparse.csr_matrix(edges, shape=(n, n))
    return LabelSpreading(kernel=lambda *rows: graph, alpha=alpha).fit(X, y)


def majority(split):
    """Say the class that most training rows are of, by their true classes."""
    shares = np.bincount(split.y_train) / len(split.y_train)
    proba = np.tile(shares, (len(split.y_test), 1))
    predicted = proba.argmax(axis=1)
    transduced = np.full_like(split.y_train, shares.argmax())
    return Answer(transduced, predicted, proba, 0.0, 0.0)


TOLD = {"oracle": oracle, "majority": majority}
"""By name: maps a split, true classes and all, to an answer."""
