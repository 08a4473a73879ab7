"""Warnings that point at the user's line."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["recorded_warnings", "warn_user"]

_PACKAGES = frozenset(
    {"contextlib", "joblib", "sk_ssvae", "sklearn", "skorch", "torch"}
)
"""Packages whose frames lie between the user's line and the warning."""

_recorded: ContextVar[list[str] | None] = ContextVar("_recorded", default=None)


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Record the texts of the warnings that `warn_user` issues in the body.

    They are issued as well. Unlike `warnings.catch_warnings`, this changes no state of
    the process. A body within the body has a record of its own.

    Yields
    ------
    texts : list of str
        Each text once, in the order of the warnings.
    """
    texts: list[str] = []
    token = _recorded.set(texts)
    try:
        yield texts
    finally:
        _recorded.reset(token)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the line outside the package that led to it.

    Parameters
    ----------
    message : str
        Text of the warning.
    category : type, default=UserWarning
        Class of the warning.
    """
    texts = _recorded.get()
    if texts is not None and message not in texts:
        texts.append(message)
    frame, level = sys._getframe(1), 2
    while (
        frame.f_globals.get("__name__", "").partition(".")[0] in _PACKAGES
        and frame.f_back is not None
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
