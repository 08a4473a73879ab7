"""The skorch callbacks that users pass: their names, and those of a net."""

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["check_callbacks", "named_callbacks", "set_callbacks"]


def _is_named(entry: Any) -> bool:
    """Return whether an entry of a list of callbacks is a pair with a name."""
    return isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)


def named_callbacks(callbacks: Any) -> list[tuple[str, Any]]:
    """Return callbacks with the names that skorch gives them.

    An entry without a name is named after its class, and numbered from 1 if there are
    several.

    Parameters
    ----------
    callbacks : list or None
        skorch callbacks, or pairs of a name and a callback, not validated.

    Returns
    -------
    named : list of (str, object)
        Empty if `callbacks` is not a list.
    """
    entries = callbacks if isinstance(callbacks, list) else []
    unnamed = [not _is_named(entry) for entry in entries]
    named = [
        (getattr(entry, "__name__", type(entry).__name__), entry) if new else entry
        for entry, new in zip(entries, unnamed, strict=True)
    ]
    counts = Counter(name for name, _ in named)
    numbers: Counter[str] = Counter()
    for i, (name, callback) in enumerate(named):
        numbers[name] += 1
        if unnamed[i] and counts[name] > 1:
            named[i] = (f"{name}_{numbers[name]}", callback)
    return named


def set_callbacks(net: NeuralNet, callbacks: list[Any]) -> None:
    """Set the user's callbacks of a net; if they are unchanged, they keep their state.

    Parameters
    ----------
    net : NeuralNet
        An initialised net.
    callbacks : list
        skorch callbacks, or pairs of a name and a callback; None in a pair disables it.

    Raises
    ------
    TypeError
        If an entry is neither.
    """
    check_callbacks(callbacks)
    callbacks = [c for c in callbacks if not (_is_named(c) and c[1] is None)]
    before, initialized = net.callbacks or [], net.callbacks_
    if len(before) == len(callbacks) and all(map(operator.is_, before, callbacks)):
        return
    net.callbacks = callbacks
    try:
        net.initialize_callbacks()
    except BaseException:
        net.callbacks, net.callbacks_ = before, initialized
        raise


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Raise a TypeError if an entry is not a skorch callback.

    Parameters
    ----------
    callbacks : sequence
        Callbacks, or pairs of a name and a callback or None.

    Raises
    ------
    TypeError
        If an entry is neither.
    """
    for entry in callbacks:
        callback = entry[1] if _is_named(entry) else entry
        kind = callback if isinstance(callback, type) else type(callback)
        disabled = callback is None and _is_named(entry)
        if not disabled and not issubclass(kind, Callback):
            raise TypeError(
                "callbacks must hold skorch callbacks, or pairs of a name and a "
                f"callback, but holds {entry!r}. Pass scikit-learn's callbacks to "
                "set_callbacks."
            )
