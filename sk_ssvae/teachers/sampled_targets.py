"""Soft targets of rows that are read in blocks: the teacher is fitted to a sample."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.classifiers import as_distributions
from sk_ssvae.teachers.pool import OpinionPoolClassifier, proba_of_unlabelled
from sk_ssvae.teachers.registry import MAX_LATENT_GRAPH_ROWS
from sk_ssvae.teachers.row_choice import choose_rows
from sk_ssvae.teachers.soft_targets import fit_soft_targets
from sk_ssvae.training.progress import Part, no_report
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["fit_sampled_targets"]

MAX_TEACHER_ROWS = MAX_LATENT_GRAPH_ROWS
"""Largest number of rows in memory for the teacher ..."""

MAX_TEACHER_CELLS = 2**27
"""... and of their cells, 512 MiB in single precision, unless a pool asks for more rows
(`max_rows`)."""


def fit_sampled_targets(
    teacher: OpinionPoolClassifier,
    cells: Any,
    encode: Callable[[Array], Array],
    codes: IntArray,
    n_classes: int,
    seed: int,
    on_view: Part = no_report,
) -> tuple[FloatArray, OpinionPoolClassifier]:
    """Fit a copy of the teacher to a sample, and predict the other rows in blocks.

    With up to 60,000 rows, fewer if they are very wide, the sample is all of them, and
    the result that of `fit_soft_targets`.

    Parameters
    ----------
    teacher : OpinionPoolClassifier
        It is cloned.
    cells : SourceCells or SourceSubset of shape (n_rows, n_features)
        Rows.
    encode : callable
        Maps cells to rows for the teacher.
    codes, n_classes, seed, on_view
        As for `sk_ssvae.teachers.soft_targets.fit_soft_targets`.

    Returns
    -------
    soft_targets : ndarray of float32 of shape (n_rows, n_classes)
        Class probabilities; one-hot for labelled rows.
    teacher : OpinionPoolClassifier
        The fitted copy.
    """
    n_inputs = encode(cells[:1]).shape[1]
    max_rows = min(MAX_TEACHER_ROWS, MAX_TEACHER_CELLS // n_inputs)
    max_rows = max(max_rows, int(teacher.max_rows))
    sample = choose_rows(codes, max_rows, seed, balanced=False)
    if sample is None:
        rows = encode(cells[slice(None)])
        return fit_soft_targets(teacher, rows, codes, n_classes, seed, on_view)
    soft, fitted = fit_soft_targets(
        teacher, encode(cells[sample]), codes[sample], n_classes, seed, on_view
    )
    targets = np.zeros((len(codes), n_classes), dtype=np.float32)
    targets[sample] = soft
    is_open = codes == UNLABELED
    targets[~is_open] = np.eye(n_classes)[codes[~is_open]]
    is_open[sample] = False
    for chunk in row_chunks(len(codes), max(n_inputs, cells.shape[1])):
        which = chunk.start + np.flatnonzero(is_open[chunk])
        if len(which):
            proba = proba_of_unlabelled(fitted, encode(cells[which]))
            targets[which] = as_distributions(proba, fitted.classes_, n_classes)
    return targets, fitted
