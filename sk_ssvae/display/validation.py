"""What displays ask of estimators, of rows and of numbers, before they draw."""

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from sk_ssvae.data.containers import as_table

__all__ = ["as_numbers", "check_can", "check_count"]


def check_can(estimator: Any, attribute: str, caller: str) -> None:
    """Refuse estimators that are not fitted, or do not have what is to be drawn.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it has no such attribute, as pipelines have not.
    """
    check_is_fitted(estimator)
    if not hasattr(estimator, attribute):
        raise TypeError(
            f"{caller} needs an SSVAEClassifier or a VariationalAutoencoder, whose "
            f"{attribute} it draws; {type(estimator).__name__} has none. Of a pipeline "
            "give the last step, pipeline[-1], and rows as that step sees them."
        )


def check_count(name: str, value: Any) -> None:
    """Refuse what is no whole number.

    Raises
    ------
    TypeError
        If it is not one.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}."
        )


def as_numbers(rows: Any, caller: str) -> npt.NDArray[np.float64]:
    """Rows as an array of floats.

    Raises
    ------
    ValueError
        If some columns hold no numbers; names them.
    """
    dense = as_table(rows)
    try:
        return np.asarray(dense, dtype=np.float64)
    except (TypeError, ValueError):
        names = getattr(dense, "columns", None)
    if names is None:
        names = range(dense.shape[1])
        columns = [dense[:, i] for i in names]
    else:
        columns = [dense[name] for name in names]
    other = [name for name, column in zip(names, columns, strict=True) if _odd(column)]
    raise ValueError(f"{caller} draws numbers, but the columns {other} hold others.")


def _odd(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False
