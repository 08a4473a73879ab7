"""Methods of the accuracy panel.

All methods are fitted to the same rows, with scikit-learn's defaults except for the
settings in their names. `SSVAEClassifier` and its variants, which scale columns
themselves, see the columns as they are. Other methods see standardised columns. Those
that depend on the scale of the columns are also methods of their own on the columns as
they are, with `RAW` at the end of the name.
"""

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.semi_supervised import (
    LabelPropagation,
    LabelSpreading,
    SelfTrainingClassifier,
)
from sklearn.svm import SVC

from benchmarks.accuracy import graph_learning
from benchmarks.accuracy.ablations import make_variant
from benchmarks.accuracy.panel_references import REFERENCES, fit_and_predict
from benchmarks.common.plain import plain_m2


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

FROM_SPLIT = REFERENCES | graph_learning.METHODS
"""Functions from a split to predictions, by name. All but Laplace and Poisson learning
use the true classes: Poisson-MBO learning is told how many rows each has."""

RAW = "_raw"
DEPEND_ON_SCALE = (
    *("spreading", "knn7", "propagation", "self_lr", "self_svc", "lr", "svc"),
    *graph_learning.METHODS,
)
METHODS |= {n + RAW: METHODS[n] for n in DEPEND_ON_SCALE if n in METHODS}
FROM_SPLIT |= {n + RAW: FROM_SPLIT[n] for n in DEPEND_ON_SCALE if n in FROM_SPLIT}

STANDARDISED = {
    name
    for name in (*METHODS, *graph_learning.METHODS)
    if name not in ("ours", "m2", "network") and not name.endswith(RAW)
}
"""Methods that see standardised columns. The oracle tries several scales."""


def run_method(name, split, seed):
    """Fit a method and predict the training and test rows.

    Parameters
    ----------
    name : str
        One of `METHODS`, `FROM_SPLIT` or `ablations.VARIANTS`.
    split : panel_data.Split
        Rows and classes.
    seed : int
        Random state of the estimator.

    Returns
    -------
    panel_references.Predictions
    """
    if name in STANDARDISED:
        split = split.standardised()
    if name in FROM_SPLIT:
        return FROM_SPLIT[name](split)
    model = METHODS[name](seed) if name in METHODS else make_variant(name, seed)
    return fit_and_predict(model, split)
