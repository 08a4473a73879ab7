"""The views of the pool: who has an opinion on the classes of the rows, and how.

A view answers several labellings of the same rows at once: all labels, and all but one
fold of them for each fold. What does not depend on the labels (a graph, a scatter
matrix) is worked out once.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.discriminant_analysis import LinearGenerative
from sk_ssvae.teachers.label_spreading import NeighbourGraph
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array

__all__ = [
    "GuidedView",
    "Labelling",
    "LinearGenerativeView",
    "ModelView",
    "Settings",
    "SpreadingView",
    "View",
    "logistic_regression",
]

Labelling: TypeAlias = npt.NDArray[np.int64]

MOST_LABELS = 2000
LINEAR_DIMENSIONS = 64


class Settings(NamedTuple):
    """What all views have in common.

    Attributes
    ----------
    n_neighbors : int
    alpha : float
        As in `sk_ssvae.OpinionPoolClassifier`.
    members : ndarray of int or None
        Rows that graphs are made of.
    seed : int
        Of everything random.
    """

    n_neighbors: int
    alpha: float
    members: Array | None
    seed: int


class View(ABC):
    """An opinion.

    Parameters
    ----------
    settings : Settings
        What all views have in common.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def fit(
        self,
        X: Array,
        labellings: Sequence[Labelling],
        n_classes: int,
        guesses: Array | None = None,
    ) -> Array:
        """Answer every labelling.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_rows, n_features)
            Standardised rows.
        labellings : sequence of ndarray of int64 of shape (n_rows,)
            Classes 0 ... n_classes - 1, or -1; all labels first.
        n_classes : int
            Number of classes.
        guesses : ndarray of shape (n_labellings, n_rows, n_classes), default=None
            What other views made of each labelling, for views that need a guess.

        Returns
        -------
        answers : ndarray of shape (n_labellings, n_rows, n_classes)
            Probabilities.
        """

    @abstractmethod
    def answer(self, X: Array) -> Array:
        """Probabilities of new rows, from the first labelling."""

    def _graph(self, Z: Array) -> NeighbourGraph:
        return NeighbourGraph(Z, self.settings.n_neighbors, self.settings.members)


class SpreadingView(View):
    """Label spreading in a space that does not depend on labels."""

    def __init__(self, space: Any, settings: Settings) -> None:
        super().__init__(settings)
        self.space = space

    def fit(
        self,
        X: Array,
        labellings: Sequence[Labelling],
        n_classes: int,
        guesses: Array | None = None,
    ) -> Array:
        """See `View.fit`."""
        Z = X if self.space is None else self.space.fit_transform(X)
        self.graph = self._graph(Z)
        return self.graph.spread(labellings, n_classes, self.settings.alpha)

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        return self.graph.answer(X if self.space is None else self.space.transform(X))


class GuidedView(View):
    """Label spreading in a space that is made from a guess at the labels.

    Parameters
    ----------
    directions : callable
        From rows and a guess to a matrix whose columns span the space.
    n_dimensions : int
        Rows with more columns are reduced to so many principal components.
    """

    def __init__(
        self, directions: Callable[..., Array], n_dimensions: int, settings: Settings
    ) -> None:
        super().__init__(settings)
        self.directions = directions
        self.n_dimensions = n_dimensions

    def fit(
        self,
        X: Array,
        labellings: Sequence[Labelling],
        n_classes: int,
        guesses: Array | None = None,
    ) -> Array:
        """See `View.fit`. A space for each labelling: none has seen its fold."""
        if guesses is None:
            raise TypeError("A guided view needs a guess for each labelling.")
        self.reduction = _principal(X, self.n_dimensions, self.settings.seed)
        Z = self.reduction.transform(X)
        answers = []
        for codes, guess in zip(labellings, guesses, strict=True):
            matrix = self.directions(Z, guess)
            graph = self._graph(Z @ matrix)
            answers.append(graph.spread([codes], n_classes, self.settings.alpha)[0])
            if len(answers) == 1:
                self.matrix, self.graph = matrix, graph
        return np.stack(answers)

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        return self.graph.answer(self.reduction.transform(X) @ self.matrix)


def _principal(X: Array, n_dimensions: int, seed: int) -> PCA:
    n = min(n_dimensions, *X.shape)
    reduction: PCA = PCA(n, random_state=seed).fit(X)
    return reduction


class ModelView(View):
    """A classifier of labelled rows alone."""

    def __init__(self, model: BaseEstimator, settings: Settings) -> None:
        super().__init__(settings)
        self.model = model

    def fit(
        self,
        X: Array,
        labellings: Sequence[Labelling],
        n_classes: int,
        guesses: Array | None = None,
    ) -> Array:
        """See `View.fit`."""
        answers = []
        for codes in labellings:
            labelled = np.flatnonzero(codes != UNLABELED)
            if len(labelled) > MOST_LABELS:
                random = np.random.RandomState(self.settings.seed)
                labelled = random.permutation(labelled)[:MOST_LABELS]
            with _not_asked(codes[labelled]):
                model = clone(self.model).fit(X[labelled], codes[labelled])
            answers.append(_probabilities(model, X, n_classes))
            if len(answers) == 1:
                self.fitted, self.n_classes = model, n_classes
        return np.stack(answers)

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        return _probabilities(self.fitted, X, self.n_classes)


@contextmanager
def _not_asked(codes: Labelling) -> Iterator[None]:
    """Have scikit-learn not ask if so many classes with a label or two are numbers."""
    with WARNING_FILTERS_LOCK.taken():
        if 2 * len(np.unique(codes)) < len(codes):
            yield  # it would not ask
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The number of unique classes")
            yield


def _probabilities(model: Any, X: Array, n_classes: int) -> Array:
    """Ask a classifier; margins, too, are scores whose scale the pool will find."""
    if hasattr(model, "predict_proba"):
        with WARNING_FILTERS_LOCK.taken():
            answer = model.predict_proba(X)
    else:
        margin = model.decision_function(X)
        if margin.ndim == 1:
            margin = np.stack([-margin, margin], axis=1)
        answer = softmax(2 * margin, axis=1)
    # A class may be missing where labels are capped.
    probabilities = np.zeros((len(X), n_classes), dtype=np.float32)
    probabilities[:, model.classes_] = answer
    return probabilities


class LinearGenerativeView(View):
    """EM for a linear generative model, from logistic regression's answer on."""

    def fit(
        self,
        X: Array,
        labellings: Sequence[Labelling],
        n_classes: int,
        guesses: Array | None = None,
    ) -> Array:
        """See `View.fit`."""
        start = ModelView(logistic_regression(), self.settings)
        starts = start.fit(X, labellings, n_classes)
        self.reduction = None
        if X.shape[1] > LINEAR_DIMENSIONS:
            self.reduction = _principal(X, LINEAR_DIMENSIONS, self.settings.seed)
            X = self.reduction.transform(X)
        model = LinearGenerative(X, seed=self.settings.seed)
        answers = []
        for codes, guess in zip(labellings, starts, strict=True):
            posterior = model.fit(codes, guess)
            answers.append(posterior.predict_proba(X))
            if len(answers) == 1:
                self.fitted = posterior
        return np.stack(answers)

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        Z = X if self.reduction is None else self.reduction.transform(X)
        return self.fitted.predict_proba(Z)


def logistic_regression() -> LogisticRegression:
    """Logistic regression with enough iterations for standardised rows."""
    return LogisticRegression(max_iter=1000)
