"""Semi-supervised learning on a graph of rows, for several label vectors at once.

Source: [HF] Zhu, Ghahramani & Lafferty 2003, "Semi-supervised learning using Gaussian
fields and harmonic functions".

scikit-learn's `LabelPropagation` has a bandwidth only with its rbf kernel, one for all
rows, and builds its graph again for each label vector.
"""

from collections.abc import Sequence

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.neighbour_graph import TINY, NeighbourGraph
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["GraphClassifier"]


RELATIVE_FLOOR = 1e-3
"""Score of all classes together that is added for each row, relative to the median of
the nodes. It is far less than the score of most rows, but enough for rows that no label
reaches."""

MIN_FLOOR = 1e-9
"""Smallest score of all classes together that is added for each row."""


class GraphClassifier:
    r"""Harmonic functions on a graph.

    The score of a class is the probability that a random walk from the row, with steps
    :math:`D^{-1} W`, meets a label of the class before any other label, within
    `n_steps` steps. Without the limit it is the harmonic function of [HF]:

    .. math:: G \leftarrow D^{-1} W G, \qquad G_i = Y_i \text{ for labelled rows } i

    The classes are not scaled to given shares of the rows (class mass normalisation,
    [HF] section 4): if clusters are well separated, the scores depend little on the
    sizes of the clusters, and the pool estimates class shares from all its views.

    Parameters
    ----------
    graph : NeighbourGraph
        The graph.
    n_steps : int, default=60
        Maximum number of steps. A label reaches rows that are at most as many edges
        away.

    Attributes
    ----------
    node_scores : ndarray of float32 of shape (n_nodes, n_classes)
        Scores of the nodes for the first label vector.
    floor : ndarray of float32 of shape (n_classes,)
        Positive score of each class that is added for each row.
    """

    def __init__(self, graph: NeighbourGraph, n_steps: int = 60) -> None:
        self.graph = graph
        self.n_steps = n_steps

    def fit_predict_proba(
        self, label_vectors: Sequence[IntArray], n_classes: int
    ) -> Array:
        """Return class probabilities of all rows for each label vector.

        Parameters
        ----------
        label_vectors : sequence of ndarray of int64 of shape (n_rows,)
            Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
            `predict_proba` uses the first.
        n_classes : int
            Number of classes.

        Returns
        -------
        probabilities : ndarray of float32 of shape (n_vectors, n_rows, n_classes)
            Class probabilities: normalised scores. Rows that no label reaches have the
            class shares of the labels.
        """
        graph, m = self.graph, len(label_vectors)
        Y = np.zeros((len(graph.graph_rows), m, n_classes), dtype=np.float32)
        for j, codes in enumerate(label_vectors):
            node_codes = codes[graph.graph_rows]
            labelled = np.flatnonzero(node_codes != UNLABELED)
            Y[labelled, j, node_codes[labelled]] = 1
        scores = self._harmonic(Y)
        floor = _floor(scores, Y)
        self.node_scores, self.floor = scores[:, 0].copy(), floor[0]
        n_rows = len(graph.graph_rows) + len(graph.other_rows)
        probabilities = np.empty((m, n_rows, n_classes), dtype=np.float32)
        for j in range(m):
            values = scores[:, j]
            probabilities[j, graph.graph_rows] = _normalised(values + floor[j])
            if graph.averaging is not None:
                averaged = graph.averaging @ values
                probabilities[j, graph.other_rows] = _normalised(averaged + floor[j])
        return probabilities

    def node_probabilities(self, nodes: IntArray) -> Array:
        """Return class probabilities of nodes, from the first label vector.

        Parameters
        ----------
        nodes : ndarray of int64 of shape (n,)
            Positions in the graph.

        Returns
        -------
        probabilities : ndarray of float32 of shape (n, n_classes)
            Those that `fit_predict_proba` returned.
        """
        return _normalised(self.node_scores[nodes] + self.floor)

    def predict_proba(self, Z: Array) -> Array:
        """Return class probabilities of new rows, from the first label vector.

        Parameters
        ----------
        Z : ndarray of shape (n_new, n_dimensions)
            New rows.

        Returns
        -------
        probabilities : ndarray of float32 of shape (n_new, n_classes)
            From the weighted mean scores of the nearest nodes.
        """
        scores = self.graph.averaging_matrix(Z) @ self.node_scores
        return _normalised(scores + self.floor)

    def _harmonic(self, Y: Array) -> Array:
        """Return scores of the nodes; Y is one-hot for labelled nodes, else zero."""
        n = len(Y)
        # D^-1 W = D^-1/2 S D^1/2, so that S is enough.
        root = self.graph.root_degree[:, None, None]
        node, vector = np.nonzero(Y.any(axis=2))
        scores: Array = root * Y
        clamp = scores[node, vector]
        for _ in range(self.n_steps):
            scores = (self.graph.S @ scores.reshape(n, -1)).reshape(Y.shape)
            scores[node, vector] = clamp
        scores /= root
        return scores


def _floor(scores: Array, Y: Array) -> Array:
    """Return what is added to scores for each vector, (n_vectors, n_classes).

    The total is divided among the classes as the labels are, or equally if the graph
    contains no labelled row of the label vector.
    """
    floor = RELATIVE_FLOOR * np.median(scores.sum(axis=2), axis=0)[:, None]
    counts = Y.sum(axis=0)
    n_labels = counts.sum(axis=1, keepdims=True)
    shares = np.where(
        n_labels > 0, counts / np.maximum(n_labels, 1), np.float32(1 / Y.shape[2])
    )
    divided: Array = np.maximum(np.maximum(floor, MIN_FLOOR) * shares, TINY)
    return divided


def _normalised(scores: Array) -> Array:
    """Divide each row by its sum."""
    normalised: Array = scores / scores.sum(axis=1, keepdims=True)
    return normalised
