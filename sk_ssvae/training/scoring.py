"""What skorch's scoring callbacks receive: the labelled rows only.

`EpochScoring` and `BatchScoring` compare predictions with labels. Most training rows
have none, and minibatches hold the classes of their labelled rows only.
"""

from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from skorch import NeuralNet
from skorch.callbacks import BatchScoring, EpochScoring
from skorch.dataset import Dataset
from torch import Tensor

from sk_ssvae.training.rollback import RollbackNet
from sk_ssvae.training.rows import Rows

__all__ = ["LabelledRows", "ScoringNet"]


class LabelledRows(Dataset):
    """The labelled rows of a data set and their classes, as skorch's scores need them.

    Parameters
    ----------
    rows : Rows
        Rows, some of them labelled.
    """

    def __init__(self, rows: Rows) -> None:
        labelled = rows.labelled()
        super().__init__(labelled, labelled.codes, length=len(labelled))


def _scoring_arguments(
    event: str, arguments: dict[str, Any], *, has_classes: bool
) -> dict[str, Any] | None:
    """Return the arguments of an event for a scoring callback.

    Parameters
    ----------
    event : str
        Name of the method of the callback.
    arguments : dict
        Arguments for other callbacks.
    has_classes : bool
        Whether the model has classes. Without, all rows are scored, with ``y=None``.

    Returns
    -------
    arguments : dict or None
        With the labelled rows of a minibatch, their classes and predictions, or with
        `LabelledRows`, None where there are none. None if the minibatch has no label.
    """
    if event == "on_batch_end":
        inputs, codes = arguments["batch"]
        if not has_classes:
            return arguments | {"batch": (inputs["x"], None)}
        n = int((codes >= 0).sum())  # labelled rows are the first ones
        if n == 0:
            return None
        return arguments | {
            "batch": (inputs["x"][:n], codes[:n]),
            "y_pred": arguments["y_pred"][:n],
        }
    if event == "on_epoch_end" and has_classes:
        return arguments | {
            name: None if rows is None or not rows.n_labelled else LabelledRows(rows)
            for name, rows in arguments.items()
            if name in ("dataset_train", "dataset_valid")
        }
    return arguments


@contextmanager
def _batch_sizes_of_scores(net: NeuralNet, callback: Any) -> Iterator[None]:
    """Weight the scores of minibatches by their labelled rows, not by all of them.

    skorch takes the mean over minibatches with the weights ``valid_batch_size``, which
    is also that of the validation loss. Training minibatches have equal numbers.

    Parameters
    ----------
    net : NeuralNet
        Its history has an entry ``valid_labelled`` per minibatch with labelled rows.
    callback : Callback
        Changes nothing unless it is a `BatchScoring` of held-out rows.
    """
    if not isinstance(callback, BatchScoring) or callback.on_train:
        yield
        return
    batches = net.history_[-1]["batches"]
    sizes = [batch.get("valid_batch_size") for batch in batches]
    for batch in batches:
        if "valid_labelled" in batch:
            batch["valid_batch_size"] = batch["valid_labelled"]
    try:
        yield
    finally:
        for batch, size in zip(batches, sizes, strict=True):
            if size is not None:
                batch["valid_batch_size"] = size


class ScoringNet(ClassifierMixin, RollbackNet, ABC):
    """A net that is a classifier, and whose scoring callbacks get the labelled rows.

    `predict_proba` is q(y | x), without the temperature of the estimator.

    Parameters
    ----------
    *args, **kwargs
        Passed to `sk_ssvae.training.rollback.RollbackNet`.
    """

    @property
    def _default_callbacks(self) -> Any:
        # Epochs are printed by `sk_ssvae.training.progress.EpochTable`.
        return [c for c in super()._default_callbacks if c[0] != "print_log"]

    @property
    def classes_(self) -> npt.NDArray[np.int64]:
        """Encoded classes, 0 ... n_classes - 1."""
        return np.arange(len(self.module_.classes))

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return the most probable encoded class of each row."""
        classes: npt.NDArray[np.int64] = self.predict_proba(X).argmax(axis=1)
        return classes

    def notify(self, method_name: str, **arguments: Any) -> None:
        """Call a method of all callbacks; scores get the labelled rows only.

        Nothing is scored in an unsupervised stage of a classifier.
        """
        getattr(self, method_name)(self, **arguments)
        may_stop = method_name == "on_epoch_end"
        for _, callback in self.callbacks_:
            with self._stopped_together() if may_stop else nullcontext():
                if isinstance(callback, EpochScoring | BatchScoring):
                    self._notify_scoring(callback, method_name, arguments)
                else:
                    getattr(callback, method_name)(self, **arguments)

    def _notify_scoring(
        self, callback: Any, event: str, arguments: dict[str, Any]
    ) -> None:
        has_classes = len(self.module_.classes) > 1
        if event not in ("on_batch_end", "on_epoch_end"):
            getattr(callback, event)(self, **arguments)
            return
        if has_classes and self.module_.unsupervised:
            return
        own = _scoring_arguments(event, arguments, has_classes=has_classes)
        if own is None:
            return
        if event == "on_batch_end" and not own["training"] and has_classes:
            self.history_.record_batch("valid_labelled", len(own["batch"][1]))
        # Predictions for a score leave the random numbers of training as they are.
        with self._user_network_generator(), _batch_sizes_of_scores(self, callback):
            getattr(callback, event)(self, **own)

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return minibatches of the data that scores are computed from."""
        if isinstance(dataset, LabelledRows):
            return self.get_iterator(dataset.X, training=training)
        if isinstance(dataset, Dataset) and isinstance(dataset.X, Tensor):
            # A DataLoader would draw from torch's global generator.
            return [(x, None) for x in torch.split(dataset.X, self.batch_size)]
        return super().get_iterator(dataset, training=training)

    @torch.no_grad()
    def _record_accuracy(self, labelled: Rows) -> None:
        """Record the accuracy of held-out labelled rows.

        Predictions over all fixed draws of a model with an inner variable would take as
        long as training, and more memory.
        """
        if self.module_.unsupervised:
            return
        codes = torch.cat(
            [
                self.module_.coarse_log_q_y(inputs["x"]).argmax(-1)
                for inputs, _ in self.get_iterator(labelled)
            ]
        )
        accuracy = float((codes == labelled.codes).double().mean())
        accuracy = self.communicator.broadcast(accuracy)
        before = [epoch.get("valid_acc", -1.0) for epoch in self.history_[:-1]]
        self.history_.record("valid_acc", accuracy)
        self.history_.record("valid_acc_best", accuracy > max(before, default=-1.0))

    def _forget_scores(self) -> None:
        """Drop the predictions of an epoch that is repeated."""
        for _, callback in self.callbacks_:
            if isinstance(callback, EpochScoring):
                callback.on_epoch_begin(self, dataset_train=None, dataset_valid=None)
