"""Nearest-neighbour graphs of rows.

Source: [ST] Zelnik-Manor & Perona 2004, "Self-tuning spectral clustering".
"""

from contextlib import nullcontext
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.neighbors import KDTree, NearestNeighbors

from sk_ssvae.teachers.faiss_search import FaissSearch
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["TINY", "NeighbourGraph", "neighbour_index"]


MIN_RELATIVE_RADIUS = 0.1
"""Smallest radius of a row, relative to the median radius."""

MIN_PROBED_ROWS = 4000
"""Number of rows from which the search of `neighbour_index` is chosen by a trial."""

N_PROBES = 200
"""Number of queries in the trial."""

MAX_VISITED_SHARE = 0.2
"""Share of the rows that a tree may visit in a query. A visit takes about 40 ns, brute
force 6 ns a row (`python -m benchmarks speed.teacher`)."""

TINY: float = np.finfo(np.float32).tiny.item()
"""Smallest positive normal number in single precision."""


def neighbour_index(
    Z: FloatArray, n_neighbors: int, algorithm: str = "auto"
) -> NearestNeighbors | FaissSearch:
    """Return an index of the nearest neighbours by the faster search for these rows.

    scikit-learn chooses a k-d tree up to 15 dimensions. Whether it is fast depends on
    the rows: in about ten dimensions that are not correlated, a query visits most of
    them. A tree and brute force find the same neighbours, except for rows that are
    equally distant; faiss finds most of them.

    Parameters
    ----------
    Z : ndarray of float32 of shape (n_rows, n_dimensions)
        Rows.
    n_neighbors : int
        Number of neighbours, less than `n_rows`.
    algorithm : {"auto", "faiss"}, default="auto"
        Where a tree is slow: brute force, or approximate neighbours.

    Returns
    -------
    index : NearestNeighbors or FaissSearch
        Fitted. With fewer than `MIN_PROBED_ROWS` rows it is scikit-learn's choice.
    """
    # The rule of scikit-learn.
    is_tree = Z.shape[1] <= 15 and n_neighbors < len(Z) // 2
    if len(Z) >= MIN_PROBED_ROWS:
        if is_tree:
            tree = KDTree(Z)
            probes = np.linspace(0, len(Z) - 1, N_PROBES).astype(int)
            tree.query(Z[probes], k=n_neighbors + 1)
            is_tree = tree.get_n_calls() <= MAX_VISITED_SHARE * N_PROBES * len(Z)
        if algorithm == "faiss" and not is_tree:
            return FaissSearch(Z, n_neighbors)
    search = "kd_tree" if is_tree else "brute"
    return NearestNeighbors(n_neighbors=n_neighbors, algorithm=search).fit(Z)


def _kneighbors(
    index: NearestNeighbors | FaissSearch, Z: FloatArray | None = None
) -> tuple[Array, Array]:
    """Return distances and indices of the neighbours of rows, or of those of the index.

    Trees are searched by scikit-learn's `Parallel`, which changes the warning filters.
    The others, which take longer, do not keep other threads waiting.
    """
    is_tree = isinstance(index, NearestNeighbors) and index.algorithm == "kd_tree"
    with WARNING_FILTERS_LOCK.taken() if is_tree else nullcontext():
        distance, neighbour = index.kneighbors(Z)
    return distance, neighbour


def _min_radius(distance: Array) -> float:
    """Return the smallest radius of a row.

    A row with many copies has a radius near zero, and would be connected to its copies
    only. The median is over rows with a positive radius; there may be none.
    """
    positive = distance[distance[:, -1] > 0, -1]
    median = float(np.median(positive)) if len(positive) else 0.0
    return max(MIN_RELATIVE_RADIUS * median, float(TINY**0.5))


def _neighbour_matrix(
    weight: Array, neighbour: Array, n_nodes: int
) -> sparse.csr_array:
    """Return weights as a sparse matrix with the same number of entries in each row."""
    n, k = weight.shape
    start = np.arange(0, n * k + 1, k)
    return sparse.csr_array((weight.ravel(), neighbour.ravel(), start), (n, n_nodes))


class NeighbourGraph:
    r"""Graph of rows and their nearest neighbours, with self-tuning weights.

    .. math::
        w_{ij} = \exp\!\Big(-\frac{d_{ij}^2}{\sigma_i \sigma_j}\Big), \qquad
        S = D^{-1/2} W D^{-1/2}

    where :math:`\sigma_i` is the distance from row i to its k-th neighbour ([ST]
    section 2). Two rows are connected if either is among the neighbours of the other.
    The radius :math:`\sigma_i` is at least a tenth of the median radius.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_dimensions)
        Rows in the space where distances are measured.
    n_neighbors : int, default=7
        k; at most the number of other rows in the graph.
    graph_rows : ndarray of int of shape (n_nodes,), default=None
        Sorted indices of the rows that are nodes of the graph, at least two. None uses
        all rows. Other rows get the weighted mean of their nearest nodes, as new rows
        do.
    algorithm : {"auto", "faiss"}, default="auto"
        As for `neighbour_index`.

    Attributes
    ----------
    S : sparse array of float32 of shape (n_nodes, n_nodes)
        The normalised weights.
    root_degree : ndarray of float32 of shape (n_nodes,)
        Square roots of the degrees, the diagonal of D.
    """

    def __init__(
        self,
        Z: Array,
        n_neighbors: int = 7,
        graph_rows: Array | None = None,
        algorithm: str = "auto",
    ) -> None:
        Z = np.ascontiguousarray(Z, dtype=np.float32)
        self.graph_rows = np.arange(len(Z)) if graph_rows is None else graph_rows
        self.other_rows = np.setdiff1d(np.arange(len(Z)), self.graph_rows)
        nodes = Z[self.graph_rows]
        n = len(nodes)
        k = min(n_neighbors, n - 1)
        self.index = neighbour_index(nodes, k, algorithm)
        distance, neighbour = _kneighbors(self.index)
        self.min_radius = _min_radius(distance)
        self.radius = self._radius(distance)
        weight = self._weights(distance, self.radius, neighbour)
        W = _neighbour_matrix(weight, neighbour, n)
        W = W.maximum(W.T)
        root = np.sqrt(np.maximum(W.sum(axis=1), TINY))
        scale: Any = sparse.diags_array(1 / root)
        self.S: Any = (scale @ W @ scale).tocsr().astype(np.float32)
        self.root_degree: Array = root.astype(np.float32)
        self.averaging = None
        if len(self.other_rows):
            self.averaging = self._averaging_matrix(Z, self.other_rows)

    def _radius(self, distance: Array) -> Array:
        """Return the distance to the farthest neighbour, but at least the minimum."""
        radius: Array = np.maximum(distance[:, -1], self.min_radius)
        return radius

    def _weights(self, distance: Array, radius: Array, neighbour: Array) -> Array:
        """Return w_ij between rows of the given radii and their neighbours."""
        weight: Array = np.exp(
            -(distance**2) / (radius[:, None] * self.radius[neighbour])
        )
        return weight

    def averaging_matrix(self, Z: Array) -> sparse.csr_array:
        """Return the matrix that averages scores of nodes for new rows.

        Parameters
        ----------
        Z : ndarray of shape (n_new, n_dimensions)
            New rows.

        Returns
        -------
        averaging : sparse array of float32 of shape (n_new, n_nodes)
            Weights of the nearest nodes, with sum 1 in each row.
        """
        Z = np.ascontiguousarray(Z, dtype=np.float32)
        return self._averaging_matrix(Z, np.arange(len(Z)))

    def _averaging_matrix(self, Z: Array, which: IntArray) -> sparse.csr_array:
        """Return the matrix that averages scores of nodes for some of the rows."""
        n_nodes = len(self.graph_rows)
        blocks = []
        for rows in row_chunks(len(which), Z.shape[1]):
            distance, neighbour = _kneighbors(self.index, Z[which[rows]])
            weight = self._weights(distance, self._radius(distance), neighbour)
            # If all weights underflow, the nearest node alone counts.
            weight[:, 0] += TINY
            weight /= weight.sum(axis=1, keepdims=True)
            blocks.append(_neighbour_matrix(weight, neighbour, n_nodes))
        stacked: sparse.csr_array = sparse.vstack(blocks, format="csr")
        return stacked.astype(np.float32)
