"""Views of the opinion pool: classifiers that each use one representation of the rows.

A view is fitted to several label vectors for the same rows: all labels, and all labels
without each fold. Computations that do not depend on labels (a graph, a scatter matrix)
are shared between them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from sklearn.decomposition import PCA

from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["View", "ViewSettings", "fit_pca"]


class ViewSettings(NamedTuple):
    """Settings that all views share.

    Attributes
    ----------
    n_neighbors : int
        As in `sk_ssvae.OpinionPoolClassifier`.
    graph_rows : ndarray of int64 or None
        Sorted indices of the rows in graphs, among the rows that views are fitted to.
        None uses all of these.
    seed : int
        Seed for all random choices.
    unit_scale : ndarray of float64 of shape (n_features,) or None
        Scales of the columns, relative to the largest, which undo the scaling up to a
        common factor. None if they are all equal.
    latent_graph_rows : ndarray of int64 or None
        As `graph_rows`, but among all training rows, for views of latent means.
    sample : ndarray of int64 or None
        Sorted indices, among all training rows, of those that views are fitted to. None
        if these are all rows.
    neighbors_algorithm : {"auto", "faiss"}
        As for `sk_ssvae.teachers.neighbour_graph.neighbour_index`.
    """

    n_neighbors: int
    graph_rows: IntArray | None
    seed: int
    unit_scale: Array | None = None
    latent_graph_rows: IntArray | None = None
    sample: IntArray | None = None
    neighbors_algorithm: str = "auto"


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
            Scaled rows, unless the view is user-defined.
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
            Scaled rows, unless the view is user-defined.

        Returns
        -------
        probabilities : ndarray of shape (n_new, n_classes)
            Class probabilities.
        """

    def predict_unsampled(self, X: Array, indices: IntArray) -> Array:
        """Return class probabilities of training rows outside of the sample.

        They are those of new rows, unless the view knows more of these rows.

        Parameters
        ----------
        X : ndarray of float64 of shape (n_rows, n_features)
            The rows, as for `predict_proba`.
        indices : ndarray of int64 of shape (n_rows,)
            Their indices among all training rows.

        Returns
        -------
        probabilities : ndarray of shape (n_rows, n_classes)
            Class probabilities.
        """
        return self.predict_proba(X)


def fit_pca(X: Array, n_components: int, seed: int) -> PCA:
    """Fit PCA with at most as many components as rows and columns."""
    pca: PCA = PCA(min(n_components, *X.shape), random_state=seed).fit(X)
    return pca
