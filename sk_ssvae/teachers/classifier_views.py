"""Views that fit a classifier to the labelled rows, or start from one."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.blocks import row_blocks
from sk_ssvae.teachers.classifiers import margins_to_probabilities
from sk_ssvae.teachers.discriminant_analysis import SemiSupervisedLDA
from sk_ssvae.teachers.views import View, ViewSettings, fit_pca
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "BaggedView",
    "LabelledRowsView",
    "LinearGenerativeView",
    "logistic_regression",
    "no_warning_of_many_classes",
]

MAX_LABELLED_ROWS = 2000
"""Number of labelled rows to which classifiers of `LabelledRowsView` are fitted."""

N_WITHOUT_FOLD = 20
"""Number of base classifiers of `BaggedView` that are fitted without a fold."""

MAX_LINEAR_DIMENSIONS = 64
"""Wider rows are reduced to as many principal components for `LinearGenerativeView`."""


class LabelledRowsView(View):
    """A scikit-learn classifier of the labelled rows alone.

    Parameters
    ----------
    classifier : estimator
        It has `predict_proba` or `decision_function`. Copies of it are fitted.
    settings : ViewSettings
        Settings that all views share.
    """

    def __init__(self, classifier: BaseEstimator, settings: ViewSettings) -> None:
        super().__init__(settings)
        self.classifier = classifier

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`."""
        fitted = [self._fit_classifier(X, codes) for codes in label_vectors]
        self.fitted, self.n_classes = fitted[0], n_classes
        return np.stack([_class_probabilities(c, X, n_classes) for c in fitted])

    def _labelled_rows(self, codes: IntArray) -> IntArray:
        """Return the labelled rows, or a random choice of them if there are many."""
        labelled = np.flatnonzero(codes != UNLABELED)
        if len(labelled) > MAX_LABELLED_ROWS:
            random = np.random.RandomState(self.settings.seed)
            labelled = random.permutation(labelled)[:MAX_LABELLED_ROWS]
        return labelled

    def _fit_classifier(self, X: Array, codes: IntArray) -> Any:
        """Fit a copy of the classifier to the labelled rows, or to some of them."""
        labelled = self._labelled_rows(codes)
        with no_warning_of_many_classes(codes[labelled]):
            return clone(self.classifier).fit(X[labelled], codes[labelled])

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return _class_probabilities(self.fitted, X, self.n_classes)


class BaggedView(LabelledRowsView):
    """Bagged classifiers of the labelled rows, held out by bootstrap, not by folds.

    Each label is missing in the bootstrap samples of about a third of the base
    classifiers; the mean of these is the out-of-bag prediction (Breiman 2001, "Random
    forests", section 3.1). It is the prediction of a held-out row. Other rows need
    predictions without the labels of each fold, too: these show how much the pool
    depends on the labels. They are from small ensembles that are fitted without them.

    Parameters
    ----------
    classifier : estimator
        With ``oob_score=True``, so that it has ``oob_decision_function_``. Fitted to
        all labels, and with `N_WITHOUT_FOLD` base classifiers without each fold.
    settings : ViewSettings
        Settings that all views share.
    """

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`."""
        codes, *without_fold = label_vectors
        self.fitted, self.n_classes = self._fit_classifier(X, codes), n_classes
        p = _class_probabilities(self.fitted, X, n_classes)
        out_of_bag = p.copy()
        rows = np.ix_(self._labelled_rows(codes), self.fitted.classes_)
        out_of_bag[rows] = self.fitted.oob_decision_function_
        small = LabelledRowsView(
            clone(self.classifier).set_params(
                n_estimators=N_WITHOUT_FOLD, oob_score=False
            ),
            self.settings,
        )
        probabilities = [p]
        for fold_codes in without_fold:
            (without,) = small.fit_predict_proba(X, [fold_codes], n_classes)
            is_hidden = (fold_codes != codes)[:, None]
            probabilities.append(np.where(is_hidden, out_of_bag, without))
        return np.stack(probabilities)


class LinearGenerativeView(View):
    """`SemiSupervisedLDA`, initialised by logistic regression on the labelled rows."""

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`."""
        logistic = LabelledRowsView(logistic_regression(), self.settings)
        initial = logistic.fit_predict_proba(X, label_vectors, n_classes)
        self.pca = None
        if X.shape[1] > MAX_LINEAR_DIMENSIONS:
            self.pca = fit_pca(X, MAX_LINEAR_DIMENSIONS, self.settings.seed)
            X = self.pca.transform(X)
        lda = SemiSupervisedLDA(X, seed=self.settings.seed)
        posteriors = [
            lda.fit(codes, start)
            for codes, start in zip(label_vectors, initial, strict=True)
        ]
        self.posterior = posteriors[0]
        return np.stack([posterior.predict_proba(X) for posterior in posteriors])

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return self.posterior.predict_proba(
            X if self.pca is None else self.pca.transform(X)
        )


def logistic_regression() -> LogisticRegression:
    """Return logistic regression with enough iterations for scaled rows."""
    return LogisticRegression(max_iter=1000)


@contextmanager
def no_warning_of_many_classes(codes: IntArray) -> Iterator[None]:
    """Suppress scikit-learn's warning that labels look like a regression target.

    It is raised if more than half of the labels are distinct, which is normal for one
    or two labels per class.
    """
    with WARNING_FILTERS_LOCK.taken():
        if 2 * len(np.unique(codes)) < len(codes):
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of unique classes")
            yield


def _class_probabilities(classifier: Any, X: Array, n_classes: int) -> Array:
    """Return float32 probabilities of all classes, from a fitted classifier."""
    # A class may be missing if the number of labelled rows is limited.
    probabilities = np.zeros((len(X), n_classes), dtype=np.float32)
    for block in row_blocks(*X.shape):
        p = _own_probabilities(classifier, X[block])
        probabilities[block, classifier.classes_] = p
    return probabilities


def _own_probabilities(classifier: Any, X: Array) -> Array:
    """Return probabilities of the classes that the classifier has seen.

    Without `predict_proba`, they are computed from the margins.
    """
    if hasattr(classifier, "predict_proba"):
        with WARNING_FILTERS_LOCK.taken():
            probabilities: Array = classifier.predict_proba(X)
        return probabilities
    return margins_to_probabilities(classifier.decision_function(X))
