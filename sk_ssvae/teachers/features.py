"""Rows for teachers: without missing cells, categories or sparse arrays."""

from typing import Any

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer

from sk_ssvae.data.layout import Layout
from sk_ssvae.data.scaling import ColumnScaling, RowEncoder
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.utils.chunks import is_sparse, iter_row_chunks, tensor_sharing_memory
from sk_ssvae.utils.typing import Array

__all__ = ["dense_rows", "network_inputs"]

N_COMPONENTS = 100
"""Number of components to which wide sparse arrays are reduced."""

MAX_DENSE_COLUMNS = 2500
"""Sparse arrays with more columns are reduced."""

MAX_DENSE_CELLS = 2**24
"""Sparse arrays with more cells are reduced."""


def network_inputs(X: Any, columns: ColumnScaling, layout: Layout) -> Any:
    """Return the inputs of the networks, if X has categories or missing cells.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Cells.
    columns : ColumnScaling
        Scaling of the columns.
    layout : Layout
        Layout of the network inputs.

    Returns
    -------
    rows : ndarray of float32 of shape (n_rows, n_inputs), or X
        Missing cells are imputed and categories one-hot encoded. Sparse rows stay
        sparse, with missing cells imputed. X itself if there are neither.
    """
    if is_sparse(X):
        return _imputed(X)
    if layout.is_plain:
        return X
    inputs, encode = InputEncoder(layout), RowEncoder(columns)
    rows = np.empty((len(X), inputs.n_outputs), dtype=np.float32)
    for chunk, part in iter_row_chunks(X):
        rows[chunk] = inputs(encode(tensor_sharing_memory(part))).numpy()
    return rows


def _imputed(X: Any) -> Any:
    """Return sparse rows with missing cells replaced by the means of their columns.

    Those of whole numbers are rounded, so that counts stay counts.
    """
    missing = np.isnan(X.data)
    if not missing.any():
        return X
    n_rows, n_features = X.shape
    observed = X.data[~missing].astype(np.float64)
    totals = np.bincount(X.indices[~missing], observed, minlength=n_features)
    n_observed = n_rows - np.bincount(X.indices[missing], minlength=n_features)
    means = totals / np.maximum(n_observed, 1)
    if (observed == np.floor(observed)).all():
        means = np.rint(means)
    filled = X.copy()
    filled.data[missing] = means[X.indices[missing]]
    return filled


def dense_rows(X: Any, seed: int) -> Array:
    """Return a dense array for rows that may be sparse, of fewer dimensions if wide.

    Parameters
    ----------
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows. Counts in a sparse array are transformed to log(1 + count).
    seed : int
        Seed of the singular value decomposition.

    Returns
    -------
    rows : ndarray of shape (n_rows, n_features) or (n_rows, 100)
        Wide sparse arrays are reduced by a truncated singular value decomposition. For
        counts, half of the components are those of log(1 + count) and half those of
        tf-idf, because which of them separates the classes differs between text
        collections. Both halves have the same mean squared norm.
    """
    if not is_sparse(X):
        return np.asarray(X)
    if (X.data == 0).any():  # tf-idf takes logarithms of the stored counts
        X = X.copy()
        X.eliminate_zeros()
    rows = X.copy()
    are_counts = (X.data >= 0).all() and (X.data == np.floor(X.data)).all()
    if are_counts:
        rows.data = np.log1p(X.data)
    n_rows, n_features = X.shape
    is_small = (
        n_features <= MAX_DENSE_COLUMNS and n_rows * n_features <= MAX_DENSE_CELLS
    )
    if is_small or min(n_rows, n_features) <= N_COMPONENTS:
        return np.asarray(rows.toarray())
    if not are_counts:
        return _truncated_svd(rows, N_COMPONENTS, seed)
    tf_idf = TfidfTransformer(sublinear_tf=True).fit_transform(X)
    halves = [_truncated_svd(Y, N_COMPONENTS // 2, seed) for Y in (rows, tf_idf)]
    return np.hstack([half / np.sqrt((half**2).sum(axis=1).mean()) for half in halves])


def _truncated_svd(X: Any, n_components: int, seed: int) -> Array:
    """Return the first components of rows without centring."""
    reduction = TruncatedSVD(n_components, random_state=seed % 2**32)
    return np.asarray(reduction.fit_transform(X))
