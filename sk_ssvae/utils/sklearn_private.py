"""Private functions and classes of scikit-learn that this package uses.

scikit-learn can change them in any release, without a deprecation. No other module of
this package imports or calls them, so that such a change concerns this module only.

With a fallback, which is used if scikit-learn no longer has the name:

- ``_safe_indexing`` (`safe_indexing`) selects rows of any container. There is no public
  function for it; the fallback indexes with narwhals and numpy.
- ``_num_samples`` (`num_samples`) counts rows. `sklearn.utils.check_consistent_length`
  is public, but compares numbers of rows without returning them.
- ``_check_sample_weight`` (`check_sample_weight`) validates weights. The fallback calls
  the public `sklearn.utils.check_array` and raises the same errors.
- ``_accept_sample_weight`` (`accepts_sample_weight`) is a method of scorers. The public
  alternative is the signature of the scorer.

Without a fallback, because the alternative is another interface:

- ``_param_validation`` (`HasMethods`, `Interval`, `MissingValues`, `StrOptions`) and
  ``_get_column_indices`` (`get_column_indices`): constraints on parameters, and the
  columns that ColumnTransformer would select, both with scikit-learn's messages. The
  public alternatives are own checks and own messages.
- ``_fit_context`` (`fit_context`) and ``_validate_params`` (`validate_parameters`): the
  decorator of `fit` methods, which validates parameters, respects the setting
  ``skip_parameter_validation`` and tears callbacks down, and the validation alone. The
  public alternatives are own checks in `fit`, and `sklearn.callback.with_callbacks`.
- ``_init_callback_context`` (`init_callback_context`) and the attributes in
  `CALLBACK_STATE` and `CALLBACKS`: scikit-learn documents the method for developers of
  estimators with callbacks. There is no alternative.
"""

from collections.abc import Callable
from inspect import signature
from numbers import Number
from typing import Any, TypeVar

import narwhals.stable.v2 as nw
import numpy as np
import numpy.typing as npt
import sklearn.utils
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_array, validation
from sklearn.utils._indexing import _get_column_indices
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    MissingValues,
    StrOptions,
)
from sklearn.utils.validation import check_non_negative

__all__ = [
    "CALLBACKS",
    "CALLBACK_STATE",
    "HasMethods",
    "Interval",
    "MissingValues",
    "StrOptions",
    "accepts_sample_weight",
    "check_sample_weight",
    "fit_context",
    "get_column_indices",
    "init_callback_context",
    "num_samples",
    "safe_indexing",
    "validate_parameters",
]

F = TypeVar("F", bound=Callable[..., Any])

CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
"""Attributes that scikit-learn's callback support sets on an estimator during fit."""

CALLBACKS = "_skl_callbacks"
"""The attribute that `set_callbacks` sets."""

get_column_indices: Callable[[Any, Any], list[int]] = _get_column_indices
"""Return the positions of columns, given as to ColumnTransformer, in rows."""


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[F], F]:
    """Return scikit-learn's decorator of `fit` methods, which has no types.

    Without types, type checkers would take the result of `fit` for Any.

    Parameters
    ----------
    prefer_skip_nested_validation : bool
        Whether the parameters of nested estimators are not validated.
    """
    decorate: Callable[[F], F] = _fit_context(
        prefer_skip_nested_validation=prefer_skip_nested_validation
    )
    return decorate


def validate_parameters(estimator: BaseEstimator) -> None:
    """Validate parameters by the estimator's ``_parameter_constraints``.

    Parameters
    ----------
    estimator : estimator

    Raises
    ------
    ValueError, TypeError
        If a parameter is invalid.
    """
    estimator._validate_params()


def init_callback_context(estimator: BaseEstimator, *, max_subtasks: int) -> Any:
    """Set up scikit-learn's callbacks at the beginning of a fit.

    Parameters
    ----------
    estimator : estimator
        Has `sklearn.callback.CallbackSupportMixin` among its base classes.
    max_subtasks : int
        Number of subtasks of the fit.

    Returns
    -------
    context : CallbackContext
    """
    return estimator._init_callback_context(max_subtasks=max_subtasks)


def accepts_sample_weight(scorer: Callable[..., Any]) -> bool:
    """Return whether scikit-learn's searches may pass `sample_weight` to a scorer."""
    accepts = getattr(scorer, "_accept_sample_weight", None)
    if accepts is not None:
        return bool(accepts())
    return "sample_weight" in signature(scorer).parameters


def _safe_indexing(X: Any, indices: Any) -> Any:
    """Select rows by indices or a mask."""
    rows = np.asarray(indices)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows)
    if hasattr(X, "iloc"):
        return X.take(rows, axis=0)
    if nw.dependencies.is_into_dataframe(X) or nw.dependencies.is_into_series(X):
        return nw.from_native(X, allow_series=True)[rows.tolist()].to_native()
    if hasattr(X, "shape"):
        return X[rows]
    if hasattr(X, "take"):  # arrays of pyarrow
        return X.take(rows)
    return [X[row] for row in rows]


def _num_samples(X: Any) -> int:
    """Return the number of rows."""
    shape = getattr(X, "shape", None)
    return len(X) if shape is None else int(shape[0])


def _check_sample_weight(
    sample_weight: Any, X: Any, *, dtype: npt.DTypeLike, ensure_non_negative: bool
) -> Any:
    """Validate weights."""
    n_rows = num_samples(X)
    if sample_weight is None or isinstance(sample_weight, Number):
        value = 1 if sample_weight is None else sample_weight
        weight = np.full(n_rows, value, dtype=dtype)
    else:
        weight = check_array(
            sample_weight,
            ensure_2d=False,
            dtype=dtype,
            order="C",
            input_name="sample_weight",
        )
        if weight.ndim != 1:
            raise ValueError(
                f"Sample weights must be 1D array or scalar, got {weight.ndim}D array. "
                f"Expected either a scalar value or a 1D array of length {n_rows}."
            )
        if weight.shape != (n_rows,):
            raise ValueError(
                f"sample_weight.shape == {weight.shape}, expected {(n_rows,)}!"
            )
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if ensure_non_negative:
        check_non_negative(weight, "`sample_weight`")
    return weight


safe_indexing: Callable[[Any, Any], Any] = getattr(
    sklearn.utils, "_safe_indexing", _safe_indexing
)
"""Return the rows of an array, data frame, table, list or sparse array at indices."""

num_samples: Callable[[Any], int] = getattr(validation, "_num_samples", _num_samples)
"""Return the number of rows of an array, data frame, table, list or sparse array."""

check_sample_weight: Callable[..., Any] = getattr(
    validation, "_check_sample_weight", _check_sample_weight
)
"""Return validated weights, for the arguments `sample_weight`, `X`, `dtype` and
`ensure_non_negative`."""
