"""Callbacks: those of skorch that users pass, and scikit-learn's callback API."""

import operator
from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext
from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["EpochTaskReporter", "check_monitors", "set_callbacks"]


class EpochTaskReporter(Callback):
    """Report epochs as tasks to scikit-learn's callbacks.

    Parameters
    ----------
    estimator : estimator
        The estimator that is fitted.
    context : CallbackContext
        The task of the whole fit.
    data : dict
        ``X``, ``y`` and ``metadata``, the arguments of the hooks.
    attributes : callable
        Returns, for a net, the fitted attributes of an estimator whose training had
        ended now.

    Attributes
    ----------
    stop_requested : bool
        Whether a callback requested the end of training.
    """

    def __init__(
        self,
        estimator: Any,
        context: CallbackContext,
        data: dict[str, Any],
        attributes: Callable[[NeuralNet], dict[str, Any]],
    ) -> None:
        self.estimator = estimator
        self.context = context
        self.data = data
        self.attributes = attributes
        self.task: CallbackContext | None = None
        self.stop_requested = False

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin the task of the epoch."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task of the epoch, and training if a callback requests it."""
        if self._end_task(net):
            self.stop_requested = True
            raise KeyboardInterrupt  # stops training in skorch

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task of an epoch that another callback interrupted."""
        self._end_task(net)

    def _end_task(self, net: NeuralNet) -> bool:
        task, self.task = self.task, None
        return task is not None and task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )


def set_callbacks(net: NeuralNet, callbacks: list[Any]) -> None:
    """Set the user's callbacks of a net; if they are unchanged, they keep their state.

    Parameters
    ----------
    net : NeuralNet
        An initialised net.
    callbacks : list
        skorch callbacks, or pairs of a name and a callback.

    Raises
    ------
    TypeError
        If an entry is neither.
    """
    before, initialized = net.callbacks or [], net.callbacks_
    if len(before) == len(callbacks) and all(map(operator.is_, before, callbacks)):
        return
    _check_callbacks(callbacks)
    net.callbacks = [*callbacks]  # a copy, as the user may change the list
    try:
        net.initialize_callbacks()
    except BaseException:
        net.callbacks, net.callbacks_ = before, initialized
        raise


def _check_callbacks(callbacks: list[Any]) -> None:
    """Raise a TypeError if an entry is not a skorch callback."""
    for entry in callbacks:
        named = isinstance(entry, tuple) and len(entry) == 2
        name, callback = entry if named else ("", entry)
        kind = callback if isinstance(callback, type) else type(callback)
        if not isinstance(name, str) or not issubclass(kind, Callback):
            raise TypeError(
                "callbacks must hold skorch callbacks, or pairs of a name and a "
                f"callback, but holds {entry!r}. Pass scikit-learn's callbacks to "
                "set_callbacks."
            )


def check_monitors(net: NeuralNet) -> None:
    """Raise an error if a callback monitors the validation loss of no held-out rows.

    Parameters
    ----------
    net : NeuralNet
        A net that is trained without held-out rows.

    Raises
    ------
    ValueError
        If a callback monitors a validation loss.
    """
    for name, callback in net.callbacks_:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("valid"):
            raise ValueError(
                f"The callback {name} monitors {monitor!r}, but no rows are held out. "
                "Set validation_fraction, e.g. to 0.1 (partial_fit holds out none), or "
                "set its monitor to 'train_loss'."
            )
