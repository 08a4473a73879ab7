"""Views that are fitted to a sample of the rows, and predict the others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sk_ssvae.data.scaling import ColumnScaling
from sk_ssvae.teachers.blocks import BLOCK_CELLS, scale_rows
from sk_ssvae.teachers.pooling import OpinionPool
from sk_ssvae.teachers.user_views import rows_as_passed
from sk_ssvae.teachers.view_entries import ClassifierEntry
from sk_ssvae.teachers.view_sets import RowsOfViews, ViewSet, fixed_global_state
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.sklearn_private import safe_indexing
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["check_inductive", "pool_unsampled", "rows_of_views"]


def rows_of_views(
    X: Any, checked: Array, scaling: ColumnScaling, which: IntArray | None = None
) -> RowsOfViews:
    """Return some rows, or all, as the views take them.

    Parameters
    ----------
    X : array-like or data frame of shape (n_rows, n_features)
        Rows as the user passed them.
    checked : ndarray of shape (n_rows, n_features)
        The same rows, validated.
    scaling : ColumnScaling
        Scaling of the columns.
    which : ndarray of int64, default=None
        Indices of the rows; None takes all.

    Returns
    -------
    rows : RowsOfViews
    """
    if which is not None:
        # Arrays are those that were validated; only data frames are passed on as such.
        is_frame = rows_as_passed(X, checked) is X
        checked = checked[which]
        X = safe_indexing(X, which) if is_frame else checked
    with fixed_global_state():
        scaled = scale_rows(checked, scaling)
    return RowsOfViews(scaled, rows_as_passed(X, checked))


def check_inductive(
    classifiers: Mapping[str, ClassifierEntry], n_sample: int, n_rows: int
) -> None:
    """Raise a ValueError if a classifier of the user has no predictions for new rows.

    Training rows outside of the sample are predicted as new rows are.
    """
    for name, entry in classifiers.items():
        methods = ("predict_proba", "decision_function", "predict")
        if not any(hasattr(entry.classifier, method) for method in methods):
            raise ValueError(
                f"The view {name!r} has no predictions for new rows, but views are "
                f"fitted to a sample of {n_sample} of the {n_rows} rows. Set "
                f"max_rows={n_rows}, or give {entry.classifier!r} a method predict."
            )


def pool_unsampled(
    X: Any,
    checked: Array,
    scaling: ColumnScaling,
    views: ViewSet,
    pool: OpinionPool,
    distributions: Array,
    sample: IntArray,
    n_jobs: int | None,
) -> None:
    """Set the class probabilities of the training rows outside of the sample.

    Parameters
    ----------
    X, checked, scaling
        As for `rows_of_views`.
    views : ViewSet
        Fitted to the sample.
    pool : OpinionPool
        Fitted.
    distributions : ndarray of float64 of shape (n_rows, n_classes)
        Class probabilities of all rows. Those outside of the sample are set.
    sample : ndarray of int64
        Indices of the rows of the sample.
    n_jobs : int or None
        Number of views that predict at once.
    """
    n_rows, n_classes = distributions.shape
    others = np.setdiff1d(np.arange(n_rows), sample)
    cells_per_row = max(scaling.n_kept, len(views.names) * n_classes)
    for chunk in row_chunks(len(others), cells_per_row, BLOCK_CELLS):
        which = others[chunk]
        rows = rows_of_views(X, checked, scaling, which)
        probabilities = views.predict_proba(rows, pool.used_views, which, n_jobs)
        distributions[which] = pool.pool(probabilities, pool.class_shares)
