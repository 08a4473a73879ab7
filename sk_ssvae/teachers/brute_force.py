"""Exact nearest neighbours by matrix products in single precision.

scikit-learn's brute force multiplies rows of single precision in double precision. For
tens of thousands of queries or more, that is most of the time of the pool.
"""

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors

from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["BruteForce", "search_in_double_precision", "without_own"]

CHUNK_PRODUCTS = 2**22
"""Number of products of a query and a row in a chunk: 16 MiB."""

GROUP_SIZE = 32
"""Number of rows of which the nearest one is found first."""

UNIT_ROUNDOFF = 2.0**-24
"""Largest relative error of an operation in single precision."""


def without_own(
    distance: Array, neighbour: IntArray, own: IntArray
) -> tuple[Array, IntArray]:
    """Remove from the neighbours of each query the row that it is itself.

    Parameters
    ----------
    distance, neighbour : ndarray of shape (n_queries, n_neighbors + 1)
        Distances and indices of rows, in ascending order of distance.
    own : ndarray of int64 of shape (n_queries,)
        Index of each query among the rows. If it is not among its neighbours, since it
        has many copies, the last neighbour is removed.

    Returns
    -------
    distance, neighbour : ndarray of shape (n_queries, n_neighbors)
    """
    is_own = neighbour == own[:, None]
    is_own[~is_own.any(axis=1), -1] = True
    shape = (len(own), neighbour.shape[1] - 1)
    return distance[~is_own].reshape(shape), neighbour[~is_own].reshape(shape)


def search_in_double_precision(
    Z: FloatArray, n_neighbors: int, queries: FloatArray, own: IntArray | None
) -> tuple[Array, IntArray]:
    """Return the nearest rows of queries by the brute force of scikit-learn.

    Parameters
    ----------
    Z : ndarray of float32 of shape (n_rows, n_dimensions)
        Rows.
    n_neighbors : int
        Number of neighbours, less than `n_rows`.
    queries : ndarray of float32 of shape (n_queries, n_dimensions)
        Queries.
    own : ndarray of int64 of shape (n_queries,) or None
        Indices of the queries among the rows, if they are rows.

    Returns
    -------
    distance, neighbour : ndarray of shape (n_queries, n_neighbors)
    """
    k = n_neighbors + (own is not None)
    index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(Z)
    with WARNING_FILTERS_LOCK.taken():
        distance, neighbour = index.kneighbors(queries)
    return (
        (distance, neighbour) if own is None else without_own(distance, neighbour, own)
    )


class BruteForce:
    r"""Exact nearest neighbours by matrix products in single precision.

    Products give a lower bound of each distance. For queries q and rows x of norm
    :math:`\|x\|`, the computed value of :math:`\|x\|^2 - 2 q x` is wrong by at most
    :math:`\gamma (\|q\|^2 + 2 \|x\|^2)`, where :math:`\gamma = n u / (1 - n u)` for
    sums of n products and unit roundoff u [1]_. The rows with the smallest bounds are
    candidates, whose distances are computed in double precision. If another row could
    be nearer than one of the neighbours among them, the query is searched in double
    precision, by scikit-learn.

    The neighbours are those of scikit-learn's `NearestNeighbors`, except for rows that
    are equally distant.

    Parameters
    ----------
    Z : ndarray of float32 of shape (n_rows, n_dimensions)
        Rows, in C order.
    n_neighbors : int
        Number of neighbours, less than `n_rows`.

    References
    ----------
    .. [1] N. J. Higham. Accuracy and stability of numerical algorithms. SIAM, 2002,
       section 3.1.
    """

    def __init__(self, Z: FloatArray, n_neighbors: int) -> None:
        self.Z = Z
        self.n_neighbors = n_neighbors
        n_rows, n_dimensions = Z.shape
        self.n_candidates = min(n_rows, 2 * n_neighbors + 2)
        n_products = (n_dimensions + 3) * UNIT_ROUNDOFF
        self.gamma = n_products / (1 - n_products)
        # Rows for a product with (q, 1). Those that fill the last group are infinite.
        self.factors = np.zeros(
            (-(-n_rows // GROUP_SIZE) * GROUP_SIZE, n_dimensions + 1), dtype=np.float32
        )
        self.factors[:n_rows, :-1] = -2 * Z
        norms = np.einsum("ij,ij->i", Z, Z, dtype=np.float64)
        self.factors[:n_rows, -1] = (1 - 3 * self.gamma) * norms
        self.factors[n_rows:, -1] = np.inf

    def kneighbors(self, Z: FloatArray | None = None) -> tuple[Array, IntArray]:
        """Return the nearest rows of queries.

        Parameters
        ----------
        Z : ndarray of float32 of shape (n_queries, n_dimensions), default=None
            Queries. None queries each row, which is not its own neighbour.

        Returns
        -------
        distance : ndarray of float64 of shape (n_queries, n_neighbors)
            Euclidean distances, in ascending order.
        neighbour : ndarray of int64 of shape (n_queries, n_neighbors)
            Indices of the rows.
        """
        queries = self.Z if Z is None else Z
        k, n_rows = self.n_neighbors, len(self.factors)
        distance = np.empty((len(queries), k))
        neighbour = np.empty((len(queries), k), dtype=np.int64)
        cells = max(n_rows, self.n_candidates * queries.shape[1])
        chunks = list(row_chunks(len(queries), cells, CHUNK_PRODUCTS))
        buffer = np.empty((min(chunks[0].stop, len(queries)), n_rows), dtype=np.float32)
        uncertain = []
        for chunk in chunks:
            own = None if Z is not None else np.arange(len(queries))[chunk]
            bound = buffer[: chunk.stop - chunk.start]
            distance[chunk], neighbour[chunk], is_exact = self._nearest(
                queries[chunk], own, bound
            )
            uncertain.append(chunk.start + np.flatnonzero(~is_exact))
        which = np.concatenate(uncertain)
        if len(which):
            distance[which], neighbour[which] = search_in_double_precision(
                self.Z, k, queries[which], None if Z is not None else which
            )
        return distance, neighbour

    def _nearest(
        self, q: FloatArray, own: IntArray | None, bound: FloatArray
    ) -> tuple[Array, IntArray, Array]:
        """Return distances and neighbours of some queries, and which are exact."""
        extended = np.ones((len(q), q.shape[1] + 1), dtype=np.float32)
        extended[:, :-1] = q
        np.matmul(extended, self.factors.T, out=bound)
        if own is not None:
            bound[np.arange(len(q)), own] = np.inf
        grouped = torch.from_numpy(bound).view(len(q), -1, GROUP_SIZE)
        # The rows with the smallest bounds are in the groups with the smallest minima.
        n = self.n_candidates
        n_groups = min(n, grouped.shape[1])
        _, group = grouped.amin(2).topk(n_groups, 1, largest=False, sorted=False)
        members = grouped.gather(1, group[:, :, None].expand(-1, -1, GROUP_SIZE))
        lowest, place = members.flatten(1).topk(n, 1, largest=False)
        row = group.gather(1, place // GROUP_SIZE) * GROUP_SIZE + place % GROUP_SIZE
        candidate = np.minimum(row.numpy(), len(self.Z) - 1)
        low = lowest.numpy()
        difference = self.Z[candidate].astype(np.float64)
        difference -= q[:, None]
        squared = np.einsum("ijk,ijk->ij", difference, difference)
        squared[np.isinf(low)] = np.inf
        order = np.argsort(squared, axis=1, kind="stable")[:, : self.n_neighbors]
        squared = np.take_along_axis(squared, order, 1)
        norm = np.einsum("ij,ij->i", q, q, dtype=np.float64)
        is_exact = squared[:, -1] <= low[:, -1] + (1 - self.gamma) * norm
        return np.sqrt(squared), np.take_along_axis(candidate, order, 1), is_exact
