"""Column names that are not strings, compared with those of `fit`.

scikit-learn compares names that are strings. Those of pandas frames may also be
integers, or tuples of several levels.
"""

from typing import Any

from sk_ssvae.data.containers import Container
from sk_ssvae.data.missing import is_missing
from sk_ssvae.data.schema import Schema
from sk_ssvae.utils.warnings import warn_user

__all__ = ["check_column_names"]

_MAX_NAMES = 5
"""Number of names in an error message, as in scikit-learn's."""


def check_column_names(estimator: Any, rows: Container, schema: Schema) -> None:
    """Compare the names of columns with those of `fit`, as scikit-learn does strings.

    The names 0, 1, ..., n - 1, which pandas gives columns without names, are compared
    with other names only if some of these are the same.

    Parameters
    ----------
    estimator : estimator
        Is named in warnings.
    rows : Container of shape (n_rows, n_features)
        New rows.
    schema : Schema
        Schema of the rows of `fit`.

    Raises
    ------
    ValueError
        If both have names that are not strings, and these differ or are in another
        order.

    Warns
    -----
    UserWarning
        If only one of both has names, and these are not strings.
    """
    fitted = _names(schema.names) if schema.dtypes else None
    given = _names(rows.names) if rows.is_dataframe else None
    if fitted == given or _has_strings(fitted) or _has_strings(given):
        return
    was_named = fitted is not None and not _is_default(fitted)
    is_named = given is not None and not _is_default(given)
    same_number = len(schema.names) == len(rows.names)
    owner = type(estimator).__name__
    if (
        fitted is not None
        and given is not None
        and ((was_named and is_named) or (same_number and set(fitted) & set(given)))
    ):
        _refuse_other_names(fitted, given)
    elif was_named:
        warn_user(
            f"X does not have valid feature names, but {owner} was fitted with feature "
            "names"
        )
    elif is_named:
        warn_user(f"X has feature names, but {owner} was fitted without feature names")


def _names(names: list[Any]) -> list[Any]:
    """Return names of which missing ones are equal."""
    missing = is_missing(names)
    return [None if gap else name for name, gap in zip(names, missing, strict=True)]


def _has_strings(names: list[Any] | None) -> bool:
    return names is not None and any(isinstance(name, str) for name in names)


def _is_default(names: list[Any]) -> bool:
    return names == list(range(len(names)))


def _refuse_other_names(fitted: list[Any], given: list[Any]) -> None:
    message = "The feature names should match those that were passed during fit.\n"
    unexpected = sorted(set(given) - set(fitted), key=_sort_key)
    missing = sorted(set(fitted) - set(given), key=_sort_key)
    if unexpected:
        message += f"Feature names unseen at fit time:\n{_list_names(unexpected)}"
    if missing:
        message += (
            f"Feature names seen at fit time, yet now missing:\n{_list_names(missing)}"
        )
    if not unexpected and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def _sort_key(name: Any) -> tuple[str, Any]:
    """Sort numbers by value and other names by text."""
    if isinstance(name, int | float):
        return "", name
    return type(name).__name__, str(name)


def _list_names(names: list[Any]) -> str:
    listed = "".join(f"- {name}\n" for name in names[:_MAX_NAMES])
    return listed + ("- ...\n" if len(names) > _MAX_NAMES else "")
