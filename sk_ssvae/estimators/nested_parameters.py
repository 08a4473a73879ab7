"""Nested parameters of callbacks, and errors for parameters that have none.

The callbacks of an estimator have the nested parameters of skorch:
``callbacks__es__patience`` for ``callbacks=[("es", EarlyStopping())]``, and
``callbacks__EarlyStopping__patience`` without a name.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator

from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.training.callbacks import named_callbacks

__all__ = [
    "CALLBACKS",
    "callback_parameters",
    "check_callback_parameters",
    "check_nested",
    "set_callback_parameters",
]

CALLBACKS = "callbacks__"
"""Start of the names of the nested parameters of callbacks."""

NET_CALLBACKS = ("epoch_timer", "train_loss", "valid_loss", "print_log")
"""Names of the default callbacks of skorch, which `verbose` and the history replace."""


def callback_parameters(callbacks: Any) -> dict[str, Any]:
    """Return the named callbacks and their parameters, as skorch names them.

    Parameters
    ----------
    callbacks : list or None
        The parameter of that name, not validated.

    Returns
    -------
    params : dict of str to object
        ``callbacks__name`` and ``callbacks__name__param``.
    """
    params: dict[str, Any] = {}
    for name, callback in named_callbacks(callbacks):
        params[CALLBACKS + name] = callback
        if _has_parameters(callback):
            own = callback.get_params()
            params |= {f"{CALLBACKS}{name}__{key}": value for key, value in own.items()}
    return params


def check_callback_parameters(estimator: Any, params: Mapping[str, Any]) -> None:
    """Raise a ValueError if `set_callback_parameters` would; change nothing.

    Parameters
    ----------
    estimator, params
        As for `set_callback_parameters`.

    Raises
    ------
    ValueError
        If there is no callback or parameter of that name.
    """
    named = dict(named_callbacks(estimator.callbacks))
    own, replaced = _by_callback(estimator, params, named)
    for name, values in own.items():
        _check_parameters(estimator, name, replaced.get(name, named[name]), values)


def set_callback_parameters(estimator: Any, params: Mapping[str, Any]) -> None:
    """Replace callbacks, or set their parameters in place.

    ``callbacks__name=None`` disables a callback. A callback that is given as a class is
    replaced by an instance.

    Parameters
    ----------
    estimator : estimator
        Its attribute `callbacks` is replaced if a callback is.
    params : mapping of str to object
        As `callback_parameters` returns them, checked by `check_callback_parameters`.
    """
    entries = named_callbacks(estimator.callbacks)
    named = dict(entries)
    own, replaced = _by_callback(estimator, params, named)
    for name, values in own.items():
        callback = replaced.get(name, named[name])
        if isinstance(callback, type):
            replaced[name] = callback(**values)
        else:
            callback.set_params(**values)
            _restart(estimator, callback)
    if replaced:
        # Pairs, so that the names stay the same.
        estimator.callbacks = [(n, replaced.get(n, c)) for n, c in entries]


def _by_callback(
    estimator: Any, params: Mapping[str, Any], named: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the parameters of each callback, and the callbacks that are replaced."""
    own: dict[str, dict[str, Any]] = {}
    replaced: dict[str, Any] = {}
    for key, value in params.items():
        name, nested, parameter = key.removeprefix(CALLBACKS).partition("__")
        if name not in named:
            raise ValueError(_unknown_callback(estimator, key, name, [*named]))
        if nested:
            own.setdefault(name, {})[parameter] = value
        else:
            replaced[name] = value
    return own, replaced


def _has_parameters(value: Any) -> bool:
    """Return whether an object has parameters that can be read and set."""
    return not isinstance(value, type) and all(
        hasattr(value, method) for method in ("get_params", "set_params")
    )


def _check_parameters(
    estimator: Any, name: str, callback: Any, values: Mapping[str, Any]
) -> None:
    """Raise a ValueError if a callback does not have a parameter."""
    kind = callback if isinstance(callback, type) else type(callback)
    if isinstance(callback, type):
        signature = inspect.signature(callback).parameters.values()
        if any(p.kind == p.VAR_KEYWORD for p in signature):
            return
        valid = {parameter.name for parameter in signature}
    elif _has_parameters(callback):
        valid = set(callback.get_params(deep=False))
    else:
        raise ValueError(
            f"Invalid parameter '{CALLBACKS}{name}__{next(iter(values))}' for "
            f"estimator {type(estimator).__name__}: the callback {name!r} is "
            f"{callback!r} and has no parameters. Set {CALLBACKS}{name} to a callback "
            "first."
        )
    for parameter in values:
        if parameter.partition("__")[0] not in valid:
            raise ValueError(
                f"Invalid parameter {parameter!r} for the callback {name!r}, "
                f"{kind.__name__}. Valid parameters are: {sorted(valid)!r}."
            )


def _restart(estimator: Any, callback: Any) -> None:
    """Initialise a callback anew whose net is going to be trained further."""
    net = getattr(estimator, "net_", None)
    if net is not None and any(entry is callback for _, entry in net.callbacks_):
        callback.initialize()


def _unknown_callback(estimator: Any, key: str, name: str, names: list[str]) -> str:
    """Return the message for a callback that is not there."""
    message = f"Invalid parameter {key!r} for estimator {type(estimator).__name__}: "
    if name in NET_CALLBACKS:
        return (
            f"{message}{name!r} is a callback of skorch that this estimator does not "
            "have. Set verbose to choose whether the epochs are printed."
        )
    if not names:
        return (
            f"{message}it has no callbacks. Pass e.g. callbacks=[({name!r}, "
            "EarlyStopping())] to name one."
        )
    return (
        f"{message}no callback is named {name!r}. Names of its callbacks are: "
        f"{names!r}. Pass a pair, e.g. ({name!r}, EarlyStopping()), to name one."
    )


def check_nested(estimator: BaseEstimator, names: Mapping[str, Any]) -> None:
    """Raise a ValueError if the value of a parameter has no parameters itself.

    Parameters
    ----------
    estimator : estimator
        Its parameters.
    names : mapping of str to object
        Nested parameters that are going to be set, such as ``teacher__alpha``.

    Raises
    ------
    ValueError
        If a value has none. The message says what to pass.
    """
    own = estimator.get_params(deep=False)
    for key in names:
        name, _, parameter = key.partition("__")
        if name not in own or _has_parameters(own[name]):
            continue  # scikit-learn finds unknown names
        value = own[name]
        message = f"Invalid parameter {key!r} for estimator {type(estimator).__name__}:"
        if isinstance(value, type):
            raise ValueError(
                f"{message} {name} is the class {value.__name__}. Pass an instance, "
                f"{name}={value.__name__}({parameter}=...)."
            )
        message += f" {name}={value!r} has no parameters."
        if name != "teacher":
            raise ValueError(f"{message} Set {name} itself.")
        valid = OpinionPoolClassifier().get_params()
        if parameter in valid:
            raise ValueError(
                f"{message} Pass teacher=OpinionPoolClassifier({parameter}=...), or "
                "another classifier that takes -1."
            )
        raise ValueError(
            f"{message} Pass a classifier that takes -1: "
            "teacher=OpinionPoolClassifier(...), whose parameters are "
            f"{sorted(valid)!r}, or another one that has {parameter!r}."
        )
