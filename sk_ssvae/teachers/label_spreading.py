r"""Label spreading on a graph of nearest neighbours, for several labellings at once.

An ingredient that is older than this package: [LS] Zhou, Bousquet, Lal, Weston &
Scholkopf 2004, "Learning with local and global consistency"; [ST] Zelnik-Manor & Perona
2004, "Self-tuning spectral clustering"; [CMN] Zhu, Ghahramani & Lafferty 2003,
"Semi-supervised learning using Gaussian fields", section 4. scikit-learn's
`LabelSpreading` has one bandwidth for all rows, no class mass normalisation, and builds
its graph anew for every labelling.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.typing import Array

__all__ = ["NeighbourGraph", "choose_members"]


SMALLEST_RADIUS = 0.1


def _smallest_radius(distance: Array) -> float:
    """Below a tenth of the usual, a row that has many copies would be alone with them.

    Where all rows are copies there is no usual one.
    """
    positive = distance[distance[:, -1] > 0, -1]
    usual = float(np.median(positive)) if len(positive) else 0.0
    least: float = np.finfo(np.float32).tiny.item() ** 0.5
    return max(SMALLEST_RADIUS * usual, least)


def _edges(weight: Array, neighbour: Array, n_members: int) -> sparse.csr_array:
    """Sparse matrix with as many weights in each row."""
    n, k = weight.shape
    start = np.arange(0, n * k + 1, k)
    return sparse.csr_array((weight.ravel(), neighbour.ravel(), start), (n, n_members))


class NeighbourGraph:
    r"""Rows and their nearest neighbours, with self-tuned weights.

    .. math::
        w_{ij} = \exp\!\Big(-\frac{d_{ij}^2}{\sigma_i \sigma_j}\Big), \qquad
        S = D^{-1/2} W D^{-1/2}

    where sigma_i is the distance from row i to its k-th neighbour ([ST] section 2), and
    an edge of either row is one of both. Less than a tenth of the usual distance, the
    median over rows that are not among copies, counts as a tenth.

    Parameters
    ----------
    Z : ndarray of shape (n_rows, n_dimensions)
        Where distances are taken.
    n_neighbors : int
        k; fewer if there are fewer rows.
    members : ndarray of int of shape (n_members,), default=None
        The rows that the graph is made of, at least two; all by default. The others
        are answered by their neighbours among these, as new rows are.
    """

    def __init__(
        self, Z: Array, n_neighbors: int = 10, members: Array | None = None
    ) -> None:
        Z = np.ascontiguousarray(Z, dtype=np.float32)
        self.members = np.arange(len(Z)) if members is None else members
        self.others = np.setdiff1d(np.arange(len(Z)), self.members)
        inside = Z[self.members]
        n = len(inside)
        k = min(n_neighbors, n - 1)
        self.index = NearestNeighbors(n_neighbors=k).fit(inside)
        with WARNING_FILTERS_LOCK.taken():
            distance, neighbour = self.index.kneighbors()
        self.smallest_radius = _smallest_radius(distance)
        self.radius = self._radius(distance)
        weight = self._weights(distance, self.radius, neighbour)
        W = _edges(weight, neighbour, n)
        W = W.maximum(W.T)
        root = np.sqrt(np.maximum(W.sum(axis=1), np.finfo(np.float32).tiny))
        scale: Any = sparse.diags_array(1 / root)
        self.S: Any = (scale @ W @ scale).tocsr().astype(np.float32)
        self.outside = self._averages(Z[self.others]) if len(self.others) else None

    def _radius(self, distance: Array) -> Array:
        """Distance to the farthest neighbour."""
        radius: Array = np.maximum(distance[:, -1], self.smallest_radius)
        return radius

    def _weights(self, distance: Array, radius: Array, neighbour: Array) -> Array:
        weight: Array = np.exp(
            -(distance**2) / (radius[:, None] * self.radius[neighbour])
        )
        return weight

    def _averages(self, Z: Array) -> sparse.csr_array:
        """Weights with which new rows average the answers of members."""
        n_members = len(self.members)
        blocks = []
        for rows in row_chunks(len(Z), Z.shape[1]):
            with WARNING_FILTERS_LOCK.taken():
                distance, neighbour = self.index.kneighbors(Z[rows])
            weight = self._weights(distance, self._radius(distance), neighbour)
            # The nearest one counts where all are too far to have a weight.
            weight[:, 0] += np.finfo(np.float32).tiny
            weight /= weight.sum(axis=1, keepdims=True)
            blocks.append(_edges(weight, neighbour, n_members))
        stacked: sparse.csr_array = sparse.vstack(blocks, format="csr")
        return stacked.astype(np.float32)

    def spread(
        self,
        labellings: Sequence[npt.NDArray[np.int64]],
        n_classes: int,
        alpha: float = 0.95,
        n_iterations: int = 60,
    ) -> Array:
        r"""Spread each labelling over the graph, with class mass normalisation.

        .. math:: F \leftarrow \alpha S F + (1 - \alpha) Y

        as in [LS], then each class is scaled so that its share of the mass on the graph
        is its share of the labels ([CMN] eq. 9, there with the mass of unlabelled rows
        only).

        Parameters
        ----------
        labellings : sequence of ndarray of int64 of shape (n_rows,)
            Classes 0 ... n_classes - 1, or -1. Each has a label of every class, among
            the members.
        n_classes : int
            Number of classes.
        alpha : float in (0, 1)
            How much of an answer comes from the neighbours.
        n_iterations : int
            Number of steps: labels reach rows at most so many edges away.

        Returns
        -------
        answers : ndarray of float32 of shape (n_labellings, n_rows, n_classes)
            Probabilities. A row that no label reaches gets what a little of every
            class's mass, scaled as above, amounts to.
        """
        n, m = len(self.members), len(labellings)
        Y = np.zeros((n, m, n_classes), dtype=np.float32)
        for j, codes in enumerate(labellings):
            inside = codes[self.members]
            rows = np.flatnonzero(inside != UNLABELED)
            Y[rows, j, inside[rows]] = 1
        columns: Array = Y.reshape(n, m * n_classes)
        clamp = np.float32(1 - alpha) * columns
        for _ in range(n_iterations):
            columns = self.S @ columns
            columns *= np.float32(alpha)
            columns += clamp
        F = columns.reshape(n, m, n_classes)
        counts = Y.sum(axis=0)
        labels = counts.sum(axis=1, keepdims=True)
        # A labelling may have no label among few members.
        share = np.where(labels > 0, counts / np.maximum(labels, 1), 1 / n_classes)
        mass = F.mean(axis=0)
        # Less than any label gives, but enough for rows that none reaches.
        floor = 1e-3 * np.median(F.sum(axis=2), axis=0)[:, None] / n_classes
        self.multiplier = share / np.maximum(mass, np.finfo(np.float32).tiny)
        self.floor = np.maximum(floor, 1e-9).astype(np.float32)
        self.first = F[:, 0]
        answers = np.empty((m, n + len(self.others), n_classes), dtype=np.float32)
        for j in range(m):
            answers[j, self.members] = self._normalised(F[:, j], j)
            if self.outside is not None:
                answers[j, self.others] = self._normalised(self.outside @ F[:, j], j)
        return answers

    def _normalised(self, F: Array, labelling: int) -> Array:
        F = (F + self.floor[labelling]) * self.multiplier[labelling]
        answers: Array = F / F.sum(axis=1, keepdims=True)
        return answers

    def answer(self, Z: Array) -> Array:
        """Answers of the first labelling at new rows, from their nearest members.

        Parameters
        ----------
        Z : ndarray of shape (n_new, n_dimensions)
            New rows.

        Returns
        -------
        answers : ndarray of float32 of shape (n_new, n_classes)
        """
        Z = np.ascontiguousarray(Z, dtype=np.float32)
        return self._normalised(self._averages(Z) @ self.first, 0)


def choose_members(
    codes: npt.NDArray[np.int64], max_rows: int, seed: int
) -> Array | None:
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
