"""Checks of what skorch's callbacks monitor and score.

skorch notices a missing entry of the history at the end of the first epoch. The checks
here are made before training, and so before a teacher is fitted.
"""

import copy
import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sklearn.metrics import get_scorer_names
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
)
from skorch.exceptions import SkorchException
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sk_ssvae.training.loss import Loss

__all__ = ["HeldOut", "check_monitors", "explained_errors"]

RECORDED = (
    "train_loss",
    "train_loss_best",
    *Loss._fields[1:],
    "epoch",
    "dur",
    "train_batch_count",
    "reconstruction",
    "kl",
)
"""Entries of the history after every epoch, the last one recorded last."""

RECORDED_IF_HELD_OUT = ("valid_loss", "valid_loss_best", "valid_batch_count")
"""Entries of the history if rows are held out."""

RECORDED_IF_LABELLED = ("valid_acc", "valid_acc_best")
"""Entries of the history if labelled rows are held out."""

HOLD_OUT_LABELS = (
    "Set options=ClassifierOptions(labeled_validation_fraction=0.2) (partial_fit holds "
    "out none)"
)
"""Advice in messages."""

Named = Iterable[tuple[str, Callback]]


class HeldOut(NamedTuple):
    """What a net is validated on.

    Attributes
    ----------
    rows : bool
        Whether rows are held out.
    labels : bool or None
        Whether labelled rows are held out; None if there are no classes.
    """

    rows: bool
    labels: bool | None


def check_monitors(callbacks: Named, held_out: HeldOut) -> None:
    """Raise an error if a callback monitors or scores what there will not be.

    The entries that a callback of the user's own class records are not known; a missing
    one is then found after the first epoch (`explained_errors`).

    Parameters
    ----------
    callbacks : iterable of (str, Callback)
        Names and callbacks, in the order in which they are called.
    held_out : HeldOut
        What the net is validated on.

    Raises
    ------
    ValueError
        If there is such a callback.
    """
    named = [*callbacks]
    for i, (name, callback) in enumerate(named):
        _check_scoring(name, callback, held_out)
        monitor = _monitored(callback)
        if monitor is None:
            continue
        per_batch = getattr(callback, "step_every", "epoch") == "batch"
        known = _known_entries(named[:i], held_out, per_batch)
        if monitor in known or any(_records_unknown(c) for _, c in named):
            continue
        raise ValueError(_message(name, monitor, known, held_out, named[i + 1 :]))


@contextmanager
def explained_errors(net: NeuralNet, held_out: HeldOut) -> Iterator[None]:
    """Explain the error of a callback that monitors what an epoch did not record.

    Parameters
    ----------
    net : NeuralNet
        The net that is trained in the context.
    held_out : HeldOut
        What the net is validated on.

    Raises
    ------
    ValueError
        In the place of such an error.
    """
    try:
        yield
    except (KeyError, ValueError, SkorchException) as error:
        is_lookup = isinstance(error.__cause__ or error, KeyError | SkorchException)
        message = _missing_monitor(net, held_out, error) if is_lookup else None
        if message is None:
            raise
        raise ValueError(message) from error


def _missing_monitor(net: NeuralNet, held_out: HeldOut, error: Exception) -> str | None:
    """Return a message if an error of a callback names an entry that it monitors."""
    if not len(net.history_):  # e.g. an error at the start of training
        return None
    recorded = [key for key in net.history_[-1] if key != "batches"]
    if RECORDED[-1] not in recorded:  # the epoch had not ended
        return None
    for i, (name, callback) in enumerate(net.callbacks_):
        monitor = _monitored(callback)
        if monitor and monitor not in recorded and monitor in str(error):
            before, after = net.callbacks_[:i], net.callbacks_[i + 1 :]
            known = _known_entries(before, held_out, per_batch=False)
            if monitor in known:
                return (
                    f"The callback {name} monitors {monitor!r}, a score, but epoch "
                    f"{len(net.history_)} has none: it has no labelled rows, or is in "
                    "an unsupervised stage of training. Set its monitor to "
                    "'train_loss'."
                )
            return _message(name, monitor, recorded, held_out, after)
    return None


def _monitored(callback: Any) -> str | None:
    """Return the entry of the history that a callback reads, if any."""
    if isinstance(callback, LRScheduler):
        policy = callback.policy
        kind = policy if isinstance(policy, type) else ReduceLROnPlateau
        reads = policy == "ReduceLROnPlateau" if isinstance(policy, str) else True
        if not reads or not issubclass(kind, ReduceLROnPlateau):
            return None
    monitor = getattr(callback, "monitor", None)
    return monitor if isinstance(monitor, str) else None


def _known_entries(
    before: Sequence[tuple[str, Callback]], held_out: HeldOut, per_batch: bool
) -> list[str]:
    """Return the entries of the history when a callback is called."""
    if per_batch:
        scores = [c for _, c in before if isinstance(c, BatchScoring) and c.on_train]
        return ["train_loss", "train_batch_size", *map(_score_name, scores)]
    known = [*RECORDED]
    if held_out.rows:
        known += RECORDED_IF_HELD_OUT
    if held_out.labels:
        known += RECORDED_IF_LABELLED
    for _, callback in before:
        known += _recorded_by(callback)
    return known


def _recorded_by(callback: Any) -> list[str]:
    """Return the entries that a callback of skorch records after an epoch."""
    if isinstance(callback, EpochScoring | BatchScoring | PassthroughScoring):
        name = _score_name(callback)
        return [name] if callback.lower_is_better is None else [name, f"{name}_best"]
    if isinstance(callback, LRScheduler | Checkpoint) and callback.event_name:
        return [callback.event_name]
    return []


def _score_name(callback: Any) -> str:
    """Return the name under which a score is recorded."""
    if isinstance(callback, PassthroughScoring):
        return str(callback.name)
    return str(copy.copy(callback).initialize().name_)


def _records_unknown(callback: Any) -> bool:
    """Return whether a callback may record entries that are not known here."""
    return not type(callback).__module__.startswith("skorch.")


def _check_scoring(name: str, callback: Any, held_out: HeldOut) -> None:
    """Raise an error if there are no labels that a callback could score."""
    if not isinstance(callback, EpochScoring | BatchScoring):
        return
    scoring = callback.scoring
    if held_out.labels is None and not callable(scoring):
        raise ValueError(
            f"The callback {name} scores classes (scoring={scoring!r}), but the model "
            "has none. Pass a function of (net, X, y) as its scoring; y is None."
        )
    if callback.on_train:
        return
    if held_out.labels is None and not held_out.rows:
        raise ValueError(
            f"The callback {name} scores held-out rows (on_train=False), but no rows "
            "are held out. Set validation_fraction, e.g. to 0.1, or on_train=True."
        )
    if held_out.labels is False:
        raise ValueError(
            f"The callback {name} scores held-out labelled rows (on_train=False), but "
            f"no labelled rows are held out. {HOLD_OUT_LABELS}, or on_train=True to "
            "score the labelled rows of training."
        )


def _message(
    name: str,
    monitor: str,
    known: Sequence[str],
    held_out: HeldOut,
    after: Named,
) -> str:
    """Return the message for a callback that monitors a missing entry."""
    start = f"The callback {name} monitors {monitor!r}, "
    if monitor in RECORDED_IF_HELD_OUT and not held_out.rows:
        return (
            f"{start}but no rows are held out. Set validation_fraction, e.g. to 0.1 "
            "(partial_fit holds out none), or set its monitor to 'train_loss'."
        )
    later = [other for other, c in after if monitor in _recorded_by(c)]
    if later:
        return (
            f"{start}which the callback {later[0]} records after it. Put {later[0]} "
            f"before {name} in callbacks."
        )
    if monitor in RECORDED_IF_LABELLED and held_out.labels is False:
        return (
            f"{start}but no labelled rows are held out. {HOLD_OUT_LABELS}, or put "
            "EpochScoring('accuracy', lower_is_better=False, on_train=True) before it "
            "and set its monitor to 'accuracy'."
        )
    score = monitor.removesuffix("_best")
    if held_out.labels is not None and score in get_scorer_names():
        return (
            f"{start}which is a score and not in the history. Put "
            f"EpochScoring({score!r}, on_train=True) before it, with "
            "lower_is_better=False if higher scores are better."
        )
    nearest = difflib.get_close_matches(monitor, known, n=len(known), cutoff=0.0)
    message = (
        f"{start}which is not in the history. Its entries are, the nearest name first: "
        f"{', '.join(map(repr, nearest))}. Put a callback that records further ones, "
        "such as EpochScoring, before it."
    )
    if not held_out.rows:
        every = [*known, *RECORDED_IF_HELD_OUT[:2]]
        closest = difflib.get_close_matches(monitor, every, n=1)
        if closest and closest[0] not in known:
            message += f" With validation_fraction > 0 there is also {closest[0]!r}."
    return message
