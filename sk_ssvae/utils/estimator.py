"""Helpers for writing scikit-learn estimators."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sk_ssvae.utils.sklearn_private import CALLBACK_STATE

__all__ = [
    "DOC_LINK_MODULE",
    "DOC_LINK_TEMPLATE",
    "SITE",
    "all_or_nothing",
    "check_count",
    "check_integer",
]

SITE = "https://sk-ssvae.readthedocs.io/en/latest"
"""Address of the published documentation."""

DOC_LINK_MODULE = "sk_ssvae"
"""Value of the class attribute ``_doc_link_module`` of the estimators: scikit-learn's
HTML representation links estimators of this package only, not subclasses elsewhere."""

DOC_LINK_TEMPLATE = f"{SITE}/api/generated/sk_ssvae.{{estimator_name}}.html"
"""Value of the class attribute ``_doc_link_template`` of the estimators: address of an
estimator's page in the API reference."""


def check_integer(name: str, value: Any) -> None:
    """Raise TypeError if a parameter is not an integer; booleans are not.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        Its value.

    Raises
    ------
    TypeError
        If the value is not an integer.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}."
        )


def check_count(name: str, value: Any) -> None:
    """Raise an error if a parameter is not an integer from 1 to 2**31 - 1.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : object
        Its value.

    Raises
    ------
    TypeError
        If the value is not an integer.
    ValueError
        If it is out of range.
    """
    check_integer(name, value)
    if int(value) < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    if int(value) > np.iinfo(np.int32).max:
        raise ValueError(
            f"{name} must be at most {np.iinfo(np.int32).max}, got {value}."
        )


@contextmanager
def all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Restore an estimator's attributes if fitting raises an exception.

    Parameters
    ----------
    estimator : estimator
        The estimator that is being fitted. The values of its attributes are not copied:
        an object that is modified in place, such as a net that is trained further, is
        not restored.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        state = vars(estimator)
        kept = {name: state[name] for name in CALLBACK_STATE if name in state}
        state.clear()
        state.update(before | kept)
        raise
