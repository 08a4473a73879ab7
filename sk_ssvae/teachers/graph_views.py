"""Views that classify rows by a nearest-neighbour graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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

    Each label vector has a projection and a graph of its own; new rows have those of
    the first.

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

        The soft labels of the neighbours of a labelled row depend on its label. If one
        projection were computed from them for all label vectors, the row would lie
        among rows of its own class even where its label is hidden from the graph.
        """
        if soft_labels is None:
            raise TypeError("SupervisedProjectionView requires soft_labels, got None.")
        self.pca = fit_pca(X, self.max_components, self.settings.seed)
        Z = self.pca.transform(X)
        probabilities = []
        vectors = zip(label_vectors, soft_labels, strict=True)
        for j, (codes, soft) in enumerate(vectors):
            matrix = self.projection(Z, soft)
            classifier = _graph_classifier(self.settings, Z @ matrix)
            probabilities.append(classifier.fit_predict_proba([codes], n_classes)[0])
            if j == 0:
                self.matrix, self.classifier = matrix, classifier
        return np.stack(probabilities)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return self.classifier.predict_proba(self.pca.transform(X) @ self.matrix)


def _graph_classifier(settings: ViewSettings, Z: Array) -> GraphClassifier:
    """Return the classifier on the graph of rows in the representation of a view."""
    graph = NeighbourGraph(Z, settings.n_neighbors, settings.graph_rows)
    return GraphClassifier(graph)
