"""Semi-supervised learning on a graph of rows, for several label vectors at once.

Sources: [LS] Zhou, Bousquet, Lal, Weston & Scholkopf 2004, "Learning with local and
global consistency"; [HF] Zhu, Ghahramani & Lafferty 2003, "Semi-supervised learning
using Gaussian fields and harmonic functions".

scikit-learn's `LabelSpreading` and `LabelPropagation` use one bandwidth for all rows,
have no class mass normalisation, and build their graph again for each label vector.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.neighbour_graph import TINY, NeighbourGraph
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["GraphClassifier"]


RELATIVE_FLOOR = 1e-3
"""Score added for each row, relative to the median score of the graph's rows."""

MIN_FLOOR = 1e-9
"""Smallest score that is added for each row."""


class NodeScores(NamedTuple):
    """Scores of the nodes, and how probabilities are computed from them.

    p(y | node) is proportional to ``(values + floor) * exp(log_scale)``.

    Attributes
    ----------
    values : ndarray of float32 of shape (n_nodes, n_vectors, n_classes)
        Non-negative.
    floor, log_scale : ndarray of float32 of shape (n_vectors, n_classes)
        Positive score that rows have without any label, and logarithms of factors of
        the classes.
    """

    values: Array
    floor: Array
    log_scale: Array

    def first(self) -> "NodeScores":
        """Return the scores for the first label vector only."""
        return NodeScores(*(part[..., :1, :].copy() for part in self))

    def logarithms(self, values: Array, j: int) -> Array:
        """Return unnormalised log-probabilities for scores of the j-th vector."""
        logarithms: Array = np.log(values + self.floor[j]) + self.log_scale[j]
        return logarithms


class GraphClassifier:
    r"""Label spreading and harmonic functions on a graph.

    Label spreading [LS] shares out the mass of a label among the rows that it reaches:

    .. math:: F \leftarrow \alpha S F + (1 - \alpha) Y

    Then each class is scaled so that its share of the mass on the graph equals its
    share of the labels: class mass normalisation ([HF] eq. 9, there of the harmonic
    function and with the mass of unlabelled rows only). Therefore a label in a large
    cluster has little weight in each of its rows, compared with one in a small cluster.

    The harmonic function [HF] is the probability that a random walk on the graph, with
    steps :math:`D^{-1} W`, meets a label of the class first:

    .. math:: G \leftarrow D^{-1} W G, \qquad G_i = Y_i \text{ for labelled rows } i

    Here it is conditional on meeting a label within `n_steps`, and without class mass
    normalisation. In clusters that are well separated it depends little on their sizes.

    Which of the two is better differs from one data set to another. The probabilities
    are the normalised geometric mean of both.

    Parameters
    ----------
    graph : NeighbourGraph
        The graph.
    alpha : float in (0, 1), default=0.95
        Weight of the neighbours' scores in label spreading, relative to a row's own
        label.
    n_steps : int, default=60
        Number of steps of both: a label reaches rows that are at most as many edges
        away.

    Attributes
    ----------
    first_scores : list of NodeScores
        Scores of label spreading and of the harmonic function, for the first label
        vector.
    """

    def __init__(
        self, graph: NeighbourGraph, alpha: float = 0.95, n_steps: int = 60
    ) -> None:
        self.graph = graph
        self.alpha = alpha
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
            Class probabilities. Rows that no label reaches get them from small constant
            scores: one that class mass normalisation scales too in label spreading, and
            the class shares of the labels in the harmonic function.
        """
        graph, m = self.graph, len(label_vectors)
        Y = np.zeros((len(graph.graph_rows), m, n_classes), dtype=np.float32)
        for j, codes in enumerate(label_vectors):
            node_codes = codes[graph.graph_rows]
            labelled = np.flatnonzero(node_codes != UNLABELED)
            Y[labelled, j, node_codes[labelled]] = 1
        scores = [self._spread(Y), self._harmonic(Y)]
        self.first_scores = [one.first() for one in scores]
        n_rows = len(graph.graph_rows) + len(graph.other_rows)
        probabilities = np.empty((m, n_rows, n_classes), dtype=np.float32)
        for j in range(m):
            probabilities[j, graph.graph_rows] = _pool(scores, j)
            if graph.averaging is not None:
                averaged = _pool(scores, j, graph.averaging)
                probabilities[j, graph.other_rows] = averaged
        return probabilities

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
        return _pool(self.first_scores, 0, self.graph.averaging_matrix(Z))

    def _spread(self, Y: Array) -> NodeScores:
        """Spread labels, one-hot or zero."""
        n, m, n_classes = Y.shape
        alpha = np.float32(self.alpha)
        scores: Array = Y.reshape(n, m * n_classes)
        clamp = np.float32(1 - self.alpha) * scores
        for _ in range(self.n_steps):
            scores = self.graph.S @ scores
            scores *= alpha
            scores += clamp
        F = scores.reshape(Y.shape)
        shares = _label_shares(Y)
        scale = np.maximum(shares / np.maximum(F.mean(axis=0), TINY), TINY)
        floor = np.maximum(_floor(F) / n_classes, MIN_FLOOR)
        return NodeScores(F, np.broadcast_to(floor, scale.shape), np.log(scale))

    def _harmonic(self, Y: Array) -> NodeScores:
        """Return the harmonic function with the values Y of labelled rows."""
        n = len(Y)
        # D^-1 W = D^-1/2 S D^1/2, so that S is enough.
        root = self.graph.root_degree[:, None]
        node, vector = np.nonzero(Y.any(axis=2))
        clamp = root[node] * Y[node, vector]
        scores: Array = root[..., None] * Y
        for _ in range(self.n_steps):
            scores = (self.graph.S @ scores.reshape(n, -1)).reshape(Y.shape)
            scores[node, vector] = clamp
        G = scores / root[..., None]
        floor = np.maximum(_floor(G), MIN_FLOOR) * _label_shares(Y)
        return NodeScores(G, np.maximum(floor, TINY), np.zeros_like(floor))


def _label_shares(Y: Array) -> Array:
    """Return the class shares of the labels of each vector, (n_vectors, n_classes).

    A small graph may contain no labelled row of some label vector.
    """
    counts = Y.sum(axis=0)
    n_labels = counts.sum(axis=1, keepdims=True)
    shares: Array = np.where(
        n_labels > 0, counts / np.maximum(n_labels, 1), np.float32(1 / Y.shape[2])
    )
    return shares


def _floor(scores: Array) -> Array:
    """Return a score of all classes together for each vector, (n_vectors, 1).

    It is far less than the score of most rows, but enough for rows that no label
    reaches.
    """
    floor: Array = RELATIVE_FLOOR * np.median(scores.sum(axis=2), axis=0)[:, None]
    return floor


def _pool(scores: Sequence[NodeScores], j: int, averaging: Any = None) -> Array:
    """Return the normalised geometric mean of probabilities for the j-th vector.

    The rows are the nodes, or those whose scores the sparse matrix `averaging` computes
    from the scores of nodes.
    """
    logarithms = []
    for one in scores:
        values = one.values[:, j]
        values = values if averaging is None else averaging @ values
        logarithms.append(one.logarithms(values, j))
    pooled: Array = softmax(np.mean(logarithms, axis=0), axis=1)
    return pooled
