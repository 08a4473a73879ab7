"""Views that classify rows by a nearest-neighbour graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.blocks import row_blocks, transformed
from sk_ssvae.teachers.graph_classifier import GraphClassifier
from sk_ssvae.teachers.neighbour_graph import NeighbourGraph
from sk_ssvae.teachers.views import View, ViewSettings, fit_pca
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["AllRowsGraphView", "GraphView", "SupervisedProjectionView"]


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
        self.classifier = _graph_classifier(self.settings, Z, self.settings.graph_rows)
        return self.classifier.fit_predict_proba(label_vectors, n_classes)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        Z = X if self.transformer is None else transformed(self.transformer, X)
        return self.classifier.predict_proba(Z)


class AllRowsGraphView(GraphView):
    """A graph of rows in a representation that is fitted to all training rows.

    If other views are fitted to a sample, the graph has rows outside of it, too. Rows
    that are neither in the sample nor in the graph are not transformed in `fit`: their
    probabilities are computed only if the pool gives the view a weight.
    """

    def fit_predict_proba(
        self,
        X: Array,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`.

        X has all training rows; label vectors and probabilities are of the sample.
        """
        sample, nodes = self.settings.sample, self.settings.graph_rows
        if sample is None:
            return super().fit_predict_proba(X, label_vectors, n_classes)
        if nodes is None:
            nodes = np.arange(len(X))
        self.transformer.fit(X)
        rows = np.union1d(nodes, sample)
        Z = np.concatenate(
            [
                self.transformer.transform(X[rows[chunk]])
                for chunk in row_chunks(len(rows), X.shape[1])
            ]
        )
        in_rows = np.searchsorted(rows, sample)
        extended = []
        for codes in label_vectors:
            extended.append(np.full(len(rows), UNLABELED))
            extended[-1][in_rows] = codes
        self.node_indices = nodes
        graph_rows = np.searchsorted(rows, nodes)
        self.classifier = _graph_classifier(self.settings, Z, graph_rows)
        return self.classifier.fit_predict_proba(extended, n_classes)[:, in_rows]

    def predict_unsampled(self, X: Array, indices: IntArray) -> Array:
        """See `View.predict_unsampled`. Rows in the graph have their own scores."""
        nodes = self.node_indices
        place = np.minimum(np.searchsorted(nodes, indices), len(nodes) - 1)
        is_node = nodes[place] == indices
        probabilities = self.classifier.node_probabilities(place)
        if not is_node.all():
            probabilities[~is_node] = self.predict_proba(X[~is_node])
        return probabilities


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
            rows = self.settings.graph_rows
            classifier = _graph_classifier(self.settings, Z @ matrix, rows)
            probabilities.append(classifier.fit_predict_proba([codes], n_classes)[0])
            if j == 0:
                self.matrix, self.classifier = matrix, classifier
        return np.stack(probabilities)

    def predict_proba(self, X: Array) -> Array:
        """See `View.predict_proba`."""
        return self.classifier.predict_proba(self.pca.transform(X) @ self.matrix)


def _graph_classifier(
    settings: ViewSettings, Z: Array, graph_rows: IntArray | None
) -> GraphClassifier:
    """Return the classifier on the graph of rows in the representation of a view."""
    graph = NeighbourGraph(
        Z, settings.n_neighbors, graph_rows, settings.neighbors_algorithm
    )
    return GraphClassifier(graph)
