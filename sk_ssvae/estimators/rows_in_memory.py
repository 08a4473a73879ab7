"""Parameters of the classifier that need all rows in memory."""

from typing import Any

from sk_ssvae.data.detection import as_source
from sk_ssvae.data.loading import warn_of_loading
from sk_ssvae.data.row_sources import RowSource
from sk_ssvae.data.source_cells import fits_buffer, read_rows
from sk_ssvae.teachers.pool import OpinionPoolClassifier

__all__ = ["rows_for_fit"]


def rows_for_fit(estimator: Any, X: Any) -> Any:
    """Load rows that are read in blocks if a parameter needs all rows in memory.

    Parameters
    ----------
    estimator : SSVAEClassifier
        Its parameters `teacher` and `temperature` count.
    X : object
        Rows as the user passed them.

    Returns
    -------
    X : object
        Rows in memory if they are needed. Otherwise X itself, and so is a memory map,
        which is read as if it were in memory.

    Raises
    ------
    ValueError
        If they are needed, but have more cells than the buffer of blocks.

    Warns
    -----
    UserWarning
        If rows are loaded.
    """
    reason = _reason(estimator)
    if reason is None:
        return X
    source = as_source(X)
    if source is None or source.takes_rows:
        return X
    if not fits_buffer(source):
        need, other = reason
        raise ValueError(
            f"{need}. Pass rows in memory: X is a {source.name}, which is read in "
            f"blocks. Otherwise set {other}."
        )
    rows = read_rows(source, 0, len(source))
    if hasattr(rows, "memory_usage"):
        n_bytes = rows.memory_usage(deep=True).sum()
    else:
        n_bytes = rows.nbytes
    is_given = isinstance(X, RowSource)
    remedy = RowSource.in_memory if is_given else source.in_memory
    warn_of_loading(source.name, n_bytes, remedy)
    return rows


def _reason(estimator: Any) -> tuple[str, str] | None:
    """Return why all rows are needed in memory, and what to change; None if not."""
    teacher, temperature = estimator.teacher, estimator.temperature
    if not (teacher is None or isinstance(teacher, str | OpinionPoolClassifier)):
        return (
            f"teacher={teacher!r} is fitted to all rows together",
            "teacher to 'pool', to an OpinionPoolClassifier or to None",
        )
    if isinstance(temperature, str) and temperature != "auto":
        return (
            f"temperature={temperature!r} fits the model to parts of the rows",
            "temperature to 'auto' or to a number",
        )
    return None
