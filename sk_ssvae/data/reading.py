"""Validation of rows, which become cells, and of labels next to them."""

from typing import Any

import numpy as np
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import validate_data

from sk_ssvae.data.containers import Container, as_container
from sk_ssvae.data.missing import masked_to_nan
from sk_ssvae.data.numeric_text import TextReader, replace_words, warn_of_words
from sk_ssvae.data.row_sources import RowSource
from sk_ssvae.data.schema import Schema
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.data.validation import check_finite_cells
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.typing import Array

__all__ = ["cells_of_source", "read_labels", "validated_cells", "without_words"]


def cells_of_source(
    estimator: Any,
    source: RowSource,
    schema: Schema,
    dtype: np.dtype[Any],
    *,
    ensure_finite: bool,
    reported: set[int] | None,
) -> SourceCells:
    """Return the cells of a source, which are validated when they are read.

    Parameters
    ----------
    estimator : estimator
        Is named in error messages.
    source : RowSource
        Rows with the columns of `fit`.
    schema : Schema
        Schema of the rows of `fit`.
    dtype : dtype
        float32 or float64.
    ensure_finite : bool
        Refuse infinite cells: those of a memory map at once, others when they are read.
    reported : set of int or None
        As for `Schema.cells`. Words that are read as missing numbers are reported for
        the first block of a column that has any.

    Returns
    -------
    cells : SourceCells
    """
    is_numbers = source.dtype is not None and schema.is_plain
    with_words: set[Any] = set()

    def report(texts: TextReader) -> None:
        new = {k: words for k, words in texts.words.items() if k not in with_words}
        if new and reported is not None:
            with_words.update(new)
            warn_of_words(new, all_rows=False)

    def convert(rows: Any) -> Array:
        rows = masked_to_nan(rows)
        if not is_numbers:
            texts = TextReader()
            rows = validated_cells(
                estimator,
                as_container(rows),
                schema,
                (),
                ensure_finite=False,
                reported=reported,
                texts=texts,
                check_names=False,
            )
            report(texts)
        cells: Array = rows.astype(dtype, copy=False)
        if ensure_finite and not source.takes_rows:
            check_finite_cells(estimator, cells)
        return cells

    cells = SourceCells(source, convert, dtype)
    if ensure_finite and source.takes_rows:
        for _, part in iter_row_chunks(cells):
            check_finite_cells(estimator, part)
    return cells


def read_labels(estimator: Any, y: Any, n_rows: int) -> Array:
    """Return validated labels of rows that are read in blocks.

    Parameters
    ----------
    estimator : estimator
        Is named in error messages.
    y : array-like of shape (n_rows,)
        Labels, as `as_label_array` returns them.
    n_rows : int
        Number of rows.

    Returns
    -------
    y : ndarray of shape (n_rows,)

    Raises
    ------
    ValueError
        If there are more or fewer labels than rows.
    """
    rows = np.broadcast_to(np.float64(0), (n_rows, 1))  # takes no memory
    labels: Array = check_X_y(rows, y, estimator=estimator, dtype=None)[1]
    return labels


def validated_cells(
    estimator: Any,
    rows: Container,
    schema: Schema | None,
    y: tuple[Any, ...],
    *,
    reset: bool = False,
    ensure_finite: bool = True,
    reported: set[int] | None = None,
    texts: TextReader | None = None,
    check_names: bool = True,
) -> Any:
    """Return validated cells, and labels if any, as scikit-learn validates arrays.

    A schema of None stands for rows that must be numbers. `reported` and `texts` are
    passed to `Schema.cells`. Without `check_names` the columns are known to be those of
    rows that have been validated before, and are not compared with those of `fit`.
    """
    checks: dict[str, Any] = {
        "accept_sparse": "csr",
        "dtype": [np.float64, np.float32],
        "ensure_min_samples": 2 if reset else 1,
    }
    if schema is None or (schema.is_plain and rows.is_numeric):
        checks["ensure_all_finite"] = "allow-nan" if ensure_finite else False
        if not check_names:
            return check_array(rows.X, input_name="X", estimator=estimator, **checks)
        return validate_data(estimator, rows.X, *y, reset=reset, **checks)
    if check_names:
        validate_data(estimator, rows.rows, reset=reset, skip_check_array=True)
    cells = schema.cells(rows, reported=reported, texts=texts)
    checks |= {"estimator": estimator, "ensure_all_finite": "allow-nan"}
    if y:
        return check_X_y(cells, *y, **checks)
    return check_array(cells, input_name="X", **checks)


def without_words(
    rows: Container, known: tuple[int, ...]
) -> tuple[Container, tuple[int, ...]]:
    """Read words in rows of numbers as missing; warn of those not in known columns."""
    X, words = replace_words(rows.X)
    new = {j: counts for j, counts in words.items() if j not in known}
    if new:
        warn_of_words(new)
    return (as_container(X) if words else rows), tuple(words)
