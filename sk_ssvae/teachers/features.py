"""What a teacher is shown of rows that are not plain floats."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from sk_ssvae.data.layout import Layout
from sk_ssvae.data.scaling import ColumnScaling, RowEncoder
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.utils.chunks import is_sparse, iter_row_chunks, tensor_sharing_memory

__all__ = ["dense_rows", "network_inputs"]

DIMENSIONS = 100
"""Of what a wide sparse array is reduced to."""

MOST_COLUMNS = 2500
MOST_CELLS = 2**24
"""Of a sparse array that the teacher may see as a dense one."""


def network_inputs(X: Any, columns: ColumnScaling, layout: Layout) -> Any:
    """Rows as the networks are shown them, if they are not plain.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    columns, layout : Columns, Layout
        Where the networks' inputs come from.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_inputs), or X
        Gaps filled, unit vectors for categories and so on. Plain rows and sparse arrays
        as they are.
    """
    if is_sparse(X) or layout.is_plain:
        return X
    inputs, encode = InputEncoder(layout), RowEncoder(columns)
    rows = np.empty((len(X), inputs.n_outputs), dtype=np.float32)
    for chunk, part in iter_row_chunks(X):
        rows[chunk] = inputs(encode(tensor_sharing_memory(part))).numpy()
    return rows


def dense_rows(X: Any, seed: int) -> npt.NDArray[Any]:
    """Rows for who needs an array: of a wide sparse one its main directions.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows. Counts in a sparse array are taken as log(1 + count).
    seed : int
        Of the singular value decomposition.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_features) or (n_rows, DIMENSIONS)
        Half of the dimensions are of the counts' logarithms, half of tf-idf: which of
        them tells classes apart differs between collections of texts. Both halves have
        the same mean square.
    """
    if not is_sparse(X):
        return np.asarray(X)
    whole = X.copy()
    are_counts = (X.data >= 0).all() and (X.data == np.floor(X.data)).all()
    if are_counts:
        whole.data = np.log1p(X.data)
    n_rows, n_features = X.shape
    small = n_features <= MOST_COLUMNS and n_rows * n_features <= MOST_CELLS
    if small or min(n_rows, n_features) <= DIMENSIONS:
        return np.asarray(whole.toarray())
    if not are_counts:
        return _directions(whole, DIMENSIONS, seed)
    rarity = TfidfTransformer(sublinear_tf=True).fit_transform(X)
    halves = [_directions(Y, DIMENSIONS // 2, seed) for Y in (whole, rarity)]
    return np.hstack([half / np.sqrt((half**2).sum(axis=1).mean()) for half in halves])


def _directions(X: Any, n: int, seed: int) -> npt.NDArray[Any]:
    reduction = TruncatedSVD(n, random_state=seed % 2**32)
    return np.asarray(reduction.fit_transform(X))
