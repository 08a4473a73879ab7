"""References of the accuracy panel, which use the true labels.

The oracle is an upper reference, the majority class a lower one.
"""

import time
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

__all__ = ["REFERENCES", "Predictions", "fit_and_predict", "without_nan"]

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
        Probabilities of the classes of the test rows; None for methods without.
    fit_seconds, predict_seconds : float
        Time of `fit`, and of predicting the test rows.
    """

    transduction: np.ndarray
    predicted: np.ndarray
    proba: np.ndarray | None
    fit_seconds: float
    predict_seconds: float


def without_nan(proba):
    """Replace rows of NaN by class 0, as label spreading's `predict` does.

    Label spreading divides 0 by 0 for rows that no label reaches.
    """
    lost = np.isnan(proba).any(axis=1)
    return np.where(lost[:, None], np.eye(proba.shape[1])[0], proba)


def fit_and_predict(model, split):
    """Fit an estimator, and predict the training and test rows.

    The classes of the training rows are `transduction_` for label spreading, label
    propagation and SSVAEClassifier, and predictions for other estimators.
    """
    X_train, y_few, _, X_test, _ = split
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


def oracle(split):
    """Return the best of 36 label spreadings, chosen by the classes of the test rows.

    The results are those of `knn(k, alpha=alpha)`, but the neighbours are searched only
    once for all settings, so ties may be broken differently.
    """
    start, best = time.perf_counter(), None
    zero_one = MinMaxScaler().fit(split.X_train)
    scaled = split._replace(
        X_train=zero_one.transform(split.X_train),
        X_test=zero_one.transform(split.X_test),
    )
    for X_train, _, _, X_test, _ in (split.standardised(), split, scaled):
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


def told_shares(split):
    """Fit SSVAEClassifier with the true class shares of the training rows as prior."""
    from sk_ssvae import SSVAEClassifier  # takes seconds to import

    shares = np.bincount(split.y_train) / len(split.y_train)
    model = SSVAEClassifier(class_prior=shares, random_state=0)
    return fit_and_predict(model, split)


REFERENCES = {"oracle": oracle, "majority": majority, "ours_told": told_shares}
"""Functions from a split, true classes included, to predictions, by name."""
