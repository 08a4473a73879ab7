"""Approximate nearest neighbours by faiss, an optional dependency.

The index is an inverted file (Jégou, Douze & Schmid 2011, "Product quantization for
nearest neighbor search", section 4.1), without the compression of that paper: rows are
clustered by k-means, and a query is compared with the rows of the nearest clusters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["FaissSearch", "import_faiss"]

SEARCHED_SHARE = 0.1
"""Share of the clusters that a query is compared with."""


def import_faiss() -> Any:
    """Import faiss, or say how to install it.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError:
        raise ImportError(
            'neighbors_algorithm="faiss" needs faiss: pip install "sk_ssvae[faiss]".'
        ) from None
    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """Limit faiss to one thread; OpenMP has a setting for each thread of Python."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _without_own(
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


class FaissSearch:
    """Approximate nearest neighbours: in the nearest tenth of sqrt(n_rows) clusters.

    The index is made when it is first used, also after unpickling: it depends on the
    rows alone, since k-means has a fixed seed and computes on one thread.

    Parameters
    ----------
    Z : ndarray of float32 of shape (n_rows, n_dimensions)
        Rows, in C order. Their squared distances must be finite in single precision.
    n_neighbors : int
        Number of neighbours, less than `n_rows`.
    """

    def __init__(self, Z: FloatArray, n_neighbors: int) -> None:
        self.Z = Z
        self.n_neighbors = n_neighbors
        self._index: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_index": None}

    def kneighbors(self, Z: FloatArray | None = None) -> tuple[Array, IntArray]:
        """Return near rows of queries: mostly the nearest ones.

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
        queries = self.Z if Z is None else np.ascontiguousarray(Z)
        own = np.arange(len(queries)) if Z is None else None
        k = self.n_neighbors + (own is not None)
        faiss = import_faiss()
        with _one_thread(faiss):
            if self._index is None:
                self._index = self._make_index(faiss)
            squared, neighbour = self._index.search(queries, k)
        distance = np.sqrt(np.maximum(squared, 0).astype(np.float64))
        # Clusters with fewer rows than neighbours are filled with -1.
        missing = np.flatnonzero((neighbour < 0).any(axis=1))
        if len(missing):
            index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(self.Z)
            distance[missing], neighbour[missing] = index.kneighbors(queries[missing])
        if own is not None:
            distance, neighbour = _without_own(distance, neighbour, own)
        return distance, neighbour

    def _make_index(self, faiss: Any) -> Any:
        """Cluster the rows."""
        n_rows, n_dimensions = self.Z.shape
        n_clusters = int(np.sqrt(n_rows))
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatL2(n_dimensions), n_dimensions, n_clusters
        )
        index.cp.min_points_per_centroid = 1  # fewer are warned about
        index.nprobe = max(1, round(SEARCHED_SHARE * n_clusters))
        index.train(self.Z)
        index.add(self.Z)
        return index
