"""The views of the pool: who has an opinion on the classes of the rows, and how.

A view answers several labellings of the same rows at once: all labels, and all but one
fold of them for each fold. What does not depend on the labels (a graph, a scatter
matrix) is worked out once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import softmax
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    QuantileTransformer,
)
from sklearn.svm import SVC

from sk_ssvae.labels import UNLABELED
from sk_ssvae.linear_generative import LinearGenerative, within_class_covariance
from sk_ssvae.spreading import NeighbourGraph
from sk_ssvae.unsupervised import LatentMeans

__all__ = ["GUIDED", "OWN", "Labelling", "View", "choose_members", "make_view"]

Array: TypeAlias = npt.NDArray[Any]
Labelling: TypeAlias = npt.NDArray[np.int64]

WITHIN_SHRINKAGE = 0.1
MOST_LABELS = 2000
LATENT_SIZE = 16
LATENT_HIDDEN = 256
LATENT_BATCH = 256
LATENT_EPOCHS = 25
LATENT_COLUMNS = 500
LATENT_STEPS = (200, 5000)
WHITENED_DIMENSIONS = 32
LINEAR_DIMENSIONS = 64
DISCRIMINANT_DIMENSIONS = 256


class View(ABC):
    """An opinion.

    Parameters
    ----------
    n_neighbors, alpha
        As in `sk_ssvae.OpinionPoolClassifier`.
    members : ndarray of int or None
        Rows that graphs are made of.
    seed : int
        Of everything random.
    """

    def __init__(
        self, *, n_neighbors: int, alpha: float, members: Array | None, seed: int
    ) -> None:
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.members = members
        self.seed = seed

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


def _graph(view: View, Z: Array) -> NeighbourGraph:
    return NeighbourGraph(Z, view.n_neighbors, view.members)


class SpreadingView(View):
    """Label spreading in a space that does not depend on labels."""

    def __init__(self, space: Any, **settings: Any) -> None:
        super().__init__(**settings)
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
        self.graph = _graph(self, Z)
        return self.graph.spread(labellings, n_classes, self.alpha)

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
        self, directions: Callable[..., Array], n_dimensions: int, **settings: Any
    ) -> None:
        super().__init__(**settings)
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
        self.reduction = _principal(X, self.n_dimensions, self.seed)
        Z = self.reduction.transform(X)
        answers = []
        for codes, guess in zip(labellings, guesses, strict=True):
            matrix = self.directions(Z, guess)
            graph = _graph(self, Z @ matrix)
            answers.append(graph.spread([codes], n_classes, self.alpha)[0])
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


def whitening(Z: Array, guess: Array) -> Array:
    """Directions in which rows vary by one unit within classes."""
    _, covariance = within_class_covariance(Z, guess, WITHIN_SHRINKAGE)
    matrix: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    return matrix


def discriminant(Z: Array, guess: Array) -> Array:
    """Fisher's discriminant directions of soft classes, one fewer than classes."""
    means, covariance = within_class_covariance(Z, guess, WITHIN_SHRINKAGE)
    white: Array = np.linalg.cholesky(np.linalg.inv(covariance))
    share = guess.mean(axis=0)
    between = np.sqrt(share)[:, None] * ((means - share @ means) @ white)
    _, _, axes = np.linalg.svd(between, full_matrices=False)
    directions: Array = white @ axes[: max(1, len(means) - 1)].T
    return directions


class ModelView(View):
    """A classifier of labelled rows alone."""

    def __init__(self, model: BaseEstimator, **settings: Any) -> None:
        super().__init__(**settings)
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
                random = np.random.RandomState(self.seed)
                labelled = random.permutation(labelled)[:MOST_LABELS]
            model = clone(self.model).fit(X[labelled], codes[labelled])
            answers.append(_probabilities(model, X, n_classes))
            if len(answers) == 1:
                self.fitted, self.n_classes = model, n_classes
        return np.stack(answers)

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        return _probabilities(self.fitted, X, self.n_classes)


def _probabilities(model: Any, X: Array, n_classes: int) -> Array:
    """Ask a classifier; margins, too, are scores whose scale the pool will find."""
    if hasattr(model, "predict_proba"):
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
        start = ModelView(_logistic_regression(), **self._settings())
        starts = start.fit(X, labellings, n_classes)
        self.reduction = None
        if X.shape[1] > LINEAR_DIMENSIONS:
            self.reduction = _principal(X, LINEAR_DIMENSIONS, self.seed)
            X = self.reduction.transform(X)
        model = LinearGenerative(X, seed=self.seed)
        answers = []
        for codes, guess in zip(labellings, starts, strict=True):
            posterior = model.fit(codes, guess)
            answers.append(posterior.predict_proba(X))
            if len(answers) == 1:
                self.fitted = posterior
        return np.stack(answers)

    def _settings(self) -> dict[str, Any]:
        return {
            "n_neighbors": self.n_neighbors,
            "alpha": self.alpha,
            "members": self.members,
            "seed": self.seed,
        }

    def answer(self, X: Array) -> Array:
        """See `View.answer`."""
        Z = X if self.reduction is None else self.reduction.transform(X)
        return self.fitted.predict_proba(Z)


def _logistic_regression() -> LogisticRegression:
    # Enough iterations for standardised rows to come to rest.
    return LogisticRegression(max_iter=1000)


def _clip(Z: Array) -> Array:
    """Three standard deviations: an extreme value is no farther than that."""
    clipped: Array = np.clip(Z, -3.0, 3.0)
    return clipped


def _ranks(n_rows: int, seed: int) -> Any:
    normal = QuantileTransformer(
        n_quantiles=min(200, n_rows), output_distribution="normal", random_state=seed
    )
    return make_pipeline(normal, FunctionTransformer(_clip))


def _latent_means(name: str, n_rows: int, n_features: int, seed: int) -> Any:
    """Latent means of a VAE that sees each row 25 times, less where rows are wide."""
    likelihood = name.removeprefix("latent-")
    n_epochs = LATENT_EPOCHS * min(1.0, LATENT_COLUMNS / n_features)
    n_steps = int(np.clip(n_epochs * n_rows / LATENT_BATCH, *LATENT_STEPS))
    means = LatentMeans(
        LATENT_SIZE, (LATENT_HIDDEN,), likelihood, n_steps, seed, LATENT_BATCH
    )
    if likelihood == "gaussian":
        return means
    return make_pipeline(MinMaxScaler(clip=True), means)


OWN = (
    "columns",
    "min-max",
    "ranks",
    "pca-4",
    "pca-8",
    "pca-16",
    "logistic",
    "svm",
    "forest",
    "linear-generative",
    "latent-gaussian",
    "latent-bernoulli",
)
"""Views that need no guess."""

GUIDED = ("whitened", "discriminant")
"""Views in spaces that are made from what the others guess."""


def choose_members(codes: Labelling, max_rows: int, seed: int) -> Array | None:
    """Choose the rows that graphs are made of, if there are too many.

    Parameters
    ----------
    codes : ndarray of int64 of shape (n_rows,)
        Classes, or -1.
    max_rows : int
        Number of rows at most.
    seed : int
        Of the choice.

    Returns
    -------
    members : ndarray of int64 or None
        Sorted rows: labelled ones as far as half of `max_rows` goes, of all classes in
        turn and two of each in any case, and a random choice of the others. None for
        all rows.
    """
    if len(codes) <= max_rows:
        return None
    order = np.random.RandomState(seed).permutation(len(codes))
    labelled = order[codes[order] != UNLABELED]
    # The first label of each class, then the second of each, and so on.
    turn = np.empty(len(labelled), dtype=np.int64)
    for c in np.unique(codes[labelled]):
        of_class = codes[labelled] == c
        turn[of_class] = np.arange(of_class.sum())
    n_kept = max(max_rows // 2, int((turn < 2).sum()))
    kept = labelled[np.argsort(turn, kind="stable")][:n_kept]
    n_others = max(max_rows - len(kept), 0)
    unlabelled = order[codes[order] == UNLABELED][:n_others]
    return np.sort(np.concatenate([kept, unlabelled]))


def make_view(name: str, shape: tuple[int, int], **settings: Any) -> View:
    """Return a view by its name.

    Parameters
    ----------
    name : str
        One of `OWN` or `GUIDED`.
    shape : tuple of int
        Numbers of rows and columns.
    **settings
        For `View`.

    Returns
    -------
    view : View
    """
    n_rows, n_features = shape
    seed = settings["seed"]
    view: View
    if name.startswith("pca-"):
        size = min(int(name.removeprefix("pca-")), n_features, n_rows)
        view = SpreadingView(PCA(size, random_state=seed), **settings)
    elif name == "columns":
        view = SpreadingView(None, **settings)
    elif name == "min-max":
        view = SpreadingView(MinMaxScaler(), **settings)
    elif name == "ranks":
        view = SpreadingView(_ranks(n_rows, seed), **settings)
    elif name.startswith("latent-"):
        view = SpreadingView(_latent_means(name, n_rows, n_features, seed), **settings)
    elif name == "logistic":
        view = ModelView(_logistic_regression(), **settings)
    elif name == "svm":
        view = ModelView(SVC(C=10.0, random_state=seed), **settings)
    elif name == "forest":
        view = ModelView(RandomForestClassifier(100, random_state=seed), **settings)
    elif name == "linear-generative":
        view = LinearGenerativeView(**settings)
    elif name == "whitened":
        view = GuidedView(whitening, WHITENED_DIMENSIONS, **settings)
    else:
        view = GuidedView(discriminant, DISCRIMINANT_DIMENSIONS, **settings)
    return view
