"""What a teacher is shown of rows that are not plain floats."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from sk_ssvae.chunks import is_sparse, row_parts, shared_tensor
from sk_ssvae.columns import Columns, Encoder
from sk_ssvae.inputs import Inputs
from sk_ssvae.layout import Layout

__all__ = ["dense_rows", "network_rows"]

DIMENSIONS = 100
"""Of what a sparse array is reduced to."""


def network_rows(X: Any, columns: Columns, layout: Layout) -> Any:
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
    inputs, encode = Inputs(layout), Encoder(columns)
    rows = np.empty((len(X), inputs.n_outputs), dtype=np.float32)
    for chunk, part in row_parts(X):
        rows[chunk] = inputs(encode(shared_tensor(part))).numpy()
    return rows


def dense_rows(X: Any, seed: int) -> npt.NDArray[Any]:
    """Rows for who needs an array: of a sparse one its main directions.

    Counts are taken as their logarithms times the rarity of their columns, rows have
    unit length, before and after (latent semantic analysis).
    """
    if not is_sparse(X):
        return np.asarray(X)
    n_dimensions = min(DIMENSIONS, X.shape[1] - 1, X.shape[0] - 1)
    if n_dimensions < 2 or (X.data < 0).any():
        return np.asarray(X.toarray())
    return np.asarray(
        make_pipeline(
            TfidfTransformer(sublinear_tf=X.data.min(initial=1) >= 1),
            TruncatedSVD(n_dimensions, random_state=seed % 2**32),
            Normalizer(copy=False),
        ).fit_transform(X)
    )
