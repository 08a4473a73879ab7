"""Helpers shared by all estimators."""

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

__all__ = ["SITE", "DocLinkMixin", "all_or_nothing", "check_count"]

SITE = "https://sk-ssvae.readthedocs.io/en/latest"
"""Where the documentation is published with a release."""


class DocLinkMixin:
    """Link estimators' HTML representations to their pages of the reference.

    See `sklearn.utils._repr_html.base._HTMLDocumentationLinkMixin`. Subclasses in other
    packages have no such link.
    """

    _doc_link_module: ClassVar[str] = "sk_ssvae"
    _doc_link_template: ClassVar[str] = (
        f"{SITE}/api/generated/sk_ssvae.{{estimator_name}}.html"
    )


# Attributes that scikit-learn's callback machinery keeps on an estimator during fit.
_CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


@contextmanager
def all_or_nothing(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator its former attributes back if fitting does not succeed.

    Parameters
    ----------
    estimator : estimator
        Who is being fitted. What its attributes refer to is not copied: a net that is
        trained further has to look after itself.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        state = vars(estimator)
        kept = {name: state[name] for name in _CALLBACK_STATE if name in state}
        state.clear()
        state.update(before | kept)
        raise


def check_count(name: str, value: Any) -> None:
    """Refuse what is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(
            f"{name} must be an integer, got {value!r} of type {type(value).__name__}."
        )
    if int(value) < 1:
        raise ValueError(f"{name} must be at least 1, got {value}.")
    if int(value) > np.iinfo(np.int32).max:
        raise ValueError(
            f"{name} must be at most {np.iinfo(np.int32).max}, got {value}."
        )
