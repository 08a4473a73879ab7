"""Warnings that point at the user's line."""

import sys
import warnings

__all__ = ["warn_user"]

_PACKAGES = frozenset(
    {"contextlib", "joblib", "sk_ssvae", "sklearn", "skorch", "torch"}
)
"""Packages whose frames lie between the user's line and the warning."""


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning at the line outside the package that led to it.

    Parameters
    ----------
    message : str
        Text of the warning.
    category : type, default=UserWarning
        Class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while (
        frame.f_globals.get("__name__", "").partition(".")[0] in _PACKAGES
        and frame.f_back is not None
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
