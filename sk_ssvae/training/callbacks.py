"""Epochs as tasks of scikit-learn's callback API."""

from collections.abc import Callable
from typing import Any

from sklearn.callback import CallbackContext
from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["EpochTaskReporter"]


class EpochTaskReporter(Callback):
    """Report epochs as tasks to scikit-learn's callbacks.

    Parameters
    ----------
    estimator : estimator
        Who is being fitted.
    context : CallbackContext
        The task of the whole fit.
    data : dict
        ``X``, ``y`` and ``metadata``, as the hooks take them.
    attributes : callable
        Gives the fitted attributes of an estimator that had stopped here.
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
        self.asked_to_stop = False

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin the epoch's task."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the epoch's task, and training too if a callback asks for it."""
        if self._end_task(net):
            self.asked_to_stop = True
            raise KeyboardInterrupt  # how a skorch callback stops training

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task of an epoch that another callback cut short."""
        self._end_task(net)

    def _end_task(self, net: NeuralNet) -> bool:
        task, self.task = self.task, None
        return task is not None and task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )
