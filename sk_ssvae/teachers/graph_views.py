"""Views that classify rows by a nearest-neighbour graph."""

from collections.abc import Callable, Sequence
from typing import Any

from sk_ssvae.teachers.blocks import row_blocks, transformed
from sk_ssvae.teachers.graph_classifier import GraphClassifier
from sk_ssvae.teachers.neighbour_graph import NeighbourGraph
from sk_ssvae.teachers.views import View, ViewSettings, fit_pca
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["GraphView", "SupervisedProjectionView"]


class GraphView(View):
    """A graph of rows in a representation that does not depend on labels.

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
        self.classifier = _graph_classifier(self.settings, Z)
        return self.classifier.fit_predict_proba(label_vectors, n_classes)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        Z = X if self.transformer is None else transformed(self.transformer, X)
        return self.classifier.predict_proba(Z)


class SupervisedProjectionView(View):
    """A graph of rows in a linear projection that is computed from soft labels.

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
        self.pca = fit_pca(X, self.max_components, self.settings.seed)
        Z = self.pca.transform(X)
        self.matrix = self.projection(Z, _cross_fitted(soft_labels, label_vectors))
        self.classifier = _graph_classifier(self.settings, Z @ self.matrix)
        return self.classifier.fit_predict_proba(label_vectors, n_classes)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return self.classifier.predict_proba(self.pca.transform(X) @ self.matrix)


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


def _graph_classifier(settings: ViewSettings, Z: Array) -> GraphClassifier:
    """Return the classifier on the graph of rows in the representation of a view."""
    graph = NeighbourGraph(Z, settings.n_neighbors, settings.graph_rows)
    return GraphClassifier(graph)
