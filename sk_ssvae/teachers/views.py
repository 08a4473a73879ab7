"""Views of the opinion pool: classifiers that each use one representation of the rows.

A view is fitted to several label vectors for the same rows: all labels, and all labels
without each fold. Computations that do not depend on labels (a graph, a scatter matrix)
are shared between them.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.blocks import row_blocks, transformed
from sk_ssvae.teachers.classifiers import margins_to_probabilities
from sk_ssvae.teachers.discriminant_analysis import SemiSupervisedLDA
from sk_ssvae.teachers.label_spreading import NeighbourGraph
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array, IntArray

__all__ = [
    "BaggedView",
    "LabelledRowsView",
    "LinearGenerativeView",
    "SpreadingView",
    "SupervisedProjectionView",
    "View",
    "ViewSettings",
    "logistic_regression",
    "no_warning_of_many_classes",
]

MAX_LABELLED_ROWS = 2000
"""Number of labelled rows to which classifiers of `LabelledRowsView` are fitted."""

N_WITHOUT_FOLD = 20
"""Number of base classifiers of `BaggedView` that are fitted without a fold."""

MAX_LINEAR_DIMENSIONS = 64
"""Wider rows are reduced to as many principal components for `LinearGenerativeView`."""


class ViewSettings(NamedTuple):
    """Settings that all views share.

    Attributes
    ----------
    n_neighbors, alpha : int, float
        As in `sk_ssvae.OpinionPoolClassifier`.
    graph_rows : ndarray of int64 or None
        Sorted indices of the rows in graphs. None uses all rows.
    seed : int
        Seed for all random choices.
    unit_scale : ndarray of float64 of shape (n_features,) or None
        Standard deviations of the columns, relative to the largest, which undo the
        standardisation up to a common factor. None if they are all equal.
    """

    n_neighbors: int
    alpha: float
    graph_rows: IntArray | None
    seed: int
    unit_scale: Array | None = None


class View(ABC):
    """Base class of views.

    Parameters
    ----------
    settings : ViewSettings
        Settings that all views share.
    """

    is_user_defined: ClassVar[bool] = False
    """Whether the view is a classifier of the user. It then takes the rows as they were
    passed to the pool, and computes under the user's global settings."""

    def __init__(self, settings: ViewSettings) -> None:
        self.settings = settings

    @abstractmethod
    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """Return class probabilities of all rows, for each label vector.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_rows, n_features)
            Standardised rows, unless the view is user-defined.
        label_vectors : sequence of ndarray of int64 of shape (n_rows,)
            Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows. The first
            vector holds all labels; `predict_proba` uses the fit to it.
        n_classes : int
            Number of classes.
        soft_labels : ndarray of shape (n_vectors, n_rows, n_classes), default=None
            Class probabilities from other views, for each label vector. Only
            `SupervisedProjectionView` uses and requires them.

        Returns
        -------
        probabilities : ndarray of shape (n_vectors, n_rows, n_classes)
            Class probabilities.
        """

    @abstractmethod
    def predict_proba(self, X: Array) -> Array:
        """Return class probabilities of new rows, from the first label vector.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_new, n_features)
            Standardised rows, unless the view is user-defined.

        Returns
        -------
        probabilities : ndarray of shape (n_new, n_classes)
            Class probabilities.
        """

    def _graph(self, Z: Array) -> NeighbourGraph:
        return NeighbourGraph(Z, self.settings.n_neighbors, self.settings.graph_rows)


class SpreadingView(View):
    """Label spreading in a representation that does not depend on labels.

    Parameters
    ----------
    transformer : transformer or None
        Computes the representation. None uses the rows themselves.
    settings : ViewSettings
        Settings that all views share.
    """

    def __init__(self, transformer: Any, settings: ViewSettings) -> None:
        super().__init__(settings)
        self.transformer = transformer

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`."""
        if self.transformer is None:
            Z = X
        elif len(list(row_blocks(*X.shape))) == 1:
            Z = self.transformer.fit_transform(X)
        else:
            Z = transformed(self.transformer.fit(X), X)
        self.graph = self._graph(Z)
        return self.graph.spread(label_vectors, n_classes, self.settings.alpha)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        Z = X if self.transformer is None else transformed(self.transformer, X)
        return self.graph.predict_proba(Z)


class SupervisedProjectionView(View):
    """Label spreading in a linear projection that is computed from soft labels.

    Parameters
    ----------
    projection : callable
        Function of rows, of shape (n_rows, n_components), and soft labels that returns
        a matrix of shape (n_components, n_projected).
    max_components : int
        Wider rows are reduced to as many principal components first.
    settings : ViewSettings
        Settings that all views share.
    """

    def __init__(
        self,
        projection: Callable[[Array, Array], Array],
        max_components: int,
        settings: ViewSettings,
    ) -> None:
        super().__init__(settings)
        self.projection = projection
        self.max_components = max_components

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`.

        All label vectors share a projection and a graph. The projection is computed
        from soft labels: those of a row that is hidden in a fold do not depend on its
        own label, else the held-out predictions of this view would be too good.
        """
        if soft_labels is None:
            raise TypeError("SupervisedProjectionView requires soft_labels, got None.")
        self.pca = _fit_pca(X, self.max_components, self.settings.seed)
        Z = self.pca.transform(X)
        self.matrix = self.projection(Z, _cross_fitted(soft_labels, label_vectors))
        self.graph = self._graph(Z @ self.matrix)
        return self.graph.spread(label_vectors, n_classes, self.settings.alpha)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return self.graph.predict_proba(self.pca.transform(X) @ self.matrix)


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
            self.pca = _fit_pca(X, MAX_LINEAR_DIMENSIONS, self.settings.seed)
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
    """Return logistic regression with enough iterations for standardised rows."""
    return LogisticRegression(max_iter=1000)


def _cross_fitted(soft_labels: Array, label_vectors: Sequence[IntArray]) -> Array:
    """Return soft labels; those of a row of a fold are from the fit without its label.

    Parameters
    ----------
    soft_labels : ndarray of shape (n_vectors, n_rows, n_classes)
        Class probabilities for each label vector.
    label_vectors : sequence of ndarray of int64 of shape (n_rows,)
        All labels, then the labels without each fold.

    Returns
    -------
    soft_labels : ndarray of shape (n_rows, n_classes)
    """
    cross_fitted: Array = soft_labels[0].copy()
    for codes, p in zip(label_vectors[1:], soft_labels[1:], strict=True):
        fold = codes != label_vectors[0]
        cross_fitted[fold] = p[fold]
    return cross_fitted


def _fit_pca(X: Array, n_components: int, seed: int) -> PCA:
    """Fit PCA with at most as many components as rows and columns."""
    pca: PCA = PCA(min(n_components, *X.shape), random_state=seed).fit(X)
    return pca


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
