"""Classifiers with given results."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Fixed(ClassifierMixin, BaseEstimator):
    """Returns the same probabilities or labels for every row."""

    def __init__(self, row=None, classes=(0, 1, 2), label=None):
        self.row = row
        self.classes = classes
        self.label = label

    def fit(self, X, y):
        if self.classes is not None:
            self.classes_ = np.array(self.classes)

    def __sklearn_is_fitted__(self):
        return True

    @property
    def predict_proba(self):
        if self.row is None:
            raise AttributeError
        return lambda X: np.tile(self.row, (len(X), 1))

    def predict(self, X):
        return np.full(len(X), self.label)
