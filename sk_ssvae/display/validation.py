"""Checks of the estimators and rows that are passed to the displays."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sk_ssvae.data.containers import as_container, as_table

__all__ = ["as_numbers", "check_estimator"]


def check_estimator(estimator: Any, attribute: str, caller: str) -> None:
    """Raise an error if an estimator cannot be plotted.

    Parameters
    ----------
    estimator : estimator
        The estimator.
    attribute : str
        Attribute or method that the display needs.
    caller : str
        Name of the display, for error messages.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it does not have the attribute; pipelines, for instance, do not.
    """
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"{caller} needs an SSVAEClassifier or a VariationalAutoencoder with "
            f"{attribute!r}, got {type(estimator).__name__}. For a pipeline, pass its "
            "last step, pipeline[-1], and rows transformed by the other steps, "
            "pipeline[:-1].transform(X)."
        )


def as_numbers(rows: Any, caller: str) -> npt.NDArray[np.float64]:
    """Convert rows to an array of floats.

    Parameters
    ----------
    rows : array, sparse array or data frame of shape (n_rows, n_features)
        Rows.
    caller : str
        Name of the display, for the error message.

    Returns
    -------
    numbers : ndarray of float64 of shape (n_rows, n_features)

    Raises
    ------
    ValueError
        If some columns are not numeric. The message names them.
    """
    dense = as_table(rows)
    try:
        return np.asarray(dense, dtype=np.float64)
    except (TypeError, ValueError):
        container = as_container(dense)
    names = container.names
    if container.is_dataframe:
        columns = [dense[name] for name in names]
    else:
        columns = [dense[:, i] for i in names]
    other = [
        name
        for name, column in zip(names, columns, strict=True)
        if not _is_numeric(column)
    ]
    raise ValueError(
        f"{caller} needs numeric columns, but the columns {other} are not numeric."
    )


def _is_numeric(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
