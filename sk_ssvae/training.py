"""The skorch net: minibatches in, custom loss, seeds, callbacks, interruptions."""

import copy
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from skorch.history import History
from torch import Tensor, nn

from sk_ssvae.batches import MixedBatches, OrderedBatches, Rows
from sk_ssvae.model import MODELS
from sk_ssvae.objective import (
    Loss,
    class_bounds,
    ssvae_loss,
    teacher_pull,
    unlabelled_bound,
)
from sk_ssvae.randomness import Stream, stream_generator
from sk_ssvae.tasks import EpochTasks

__all__ = ["SSVAENet", "make_net", "train"]


class SSVAENet(NeuralNet):
    """A skorch net that trains a semi-supervised VAE on `Rows`.

    Parameters
    ----------
    *args, **kwargs
        As for `skorch.NeuralNet`. The criterion holds nothing: the loss is
        `sk_ssvae.objective.ssvae_loss`.
    seed : int
        Fixes every random number of training: those of epoch t depend on seed and t,
        not on how training was cut into calls. (A teacher's pull does: it starts anew
        at every call.)
    alpha : float
        Weight of the classification term.
    teacher_weight : float
        Weight of the teacher's term while its pull is 1.
    """

    def __init__(
        self,
        *args: Any,
        seed: int = 0,
        alpha: float = 0.1,
        teacher_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.seed = seed
        self.alpha = alpha
        self.teacher_weight = teacher_weight

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Return minibatches; those of training depend on seed and epoch alone."""
        if not isinstance(dataset, Rows):
            return super().get_iterator(dataset, training=training)
        if not training:
            return OrderedBatches(dataset, self.batch_size)
        batches = MixedBatches(
            dataset, self.batch_size, seed=self.seed, epoch=len(self.history_)
        )
        self._step, self._n_steps = 0, self.max_epochs * len(batches)
        return batches

    def infer(self, x: Any, **fit_params: Any) -> Any:
        """Log q(y | x) of a batch of `Rows`, or of rows given as they are."""
        return super().infer(x["x"] if isinstance(x, Mapping) else x, **fit_params)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the epoch's own stream of noise."""
        super().on_epoch_begin(net, **kwargs)
        self._noise = stream_generator(
            self.seed, Stream.NOISE, len(self.history_) - 1, self.device
        )
        self._terms: list[Tensor] = []

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Loss of a minibatch.

        In training that of `MixedBatches` (`sk_ssvae.objective.ssvae_loss`); in
        validation minus the mean bound of log p(x), with the same noise in every epoch.
        """
        if not training:
            return self._validation_loss(X["x"], y_pred, X["bound_weight"])
        progress = self._step / self._n_steps
        loss: Loss = ssvae_loss(
            self.module_,
            X["x"],
            y_pred,
            X["target"],
            len(y_true),
            bound_weight=X["bound_weight"],
            target_weight=X["target_weight"],
            alpha=self.alpha,
            pull=self.teacher_weight * teacher_pull(progress),
            generator=self._noise,
        )
        self._step += 1
        self._terms.append(torch.stack(loss[1:]).detach())
        return loss.total

    def _validation_loss(self, x: Tensor, log_q_y: Tensor, weight: Tensor) -> Tensor:
        noise = torch.randn(
            len(x),
            self.module_.latent_size,
            generator=stream_generator(
                self.seed, Stream.VALIDATION, device=self.device
            ),
            device=x.device,
            dtype=x.dtype,
        )
        bounds = class_bounds(self.module_, x, noise)
        return -(weight * unlabelled_bound(log_q_y, bounds)).mean()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Stop at the first loss that is not finite."""
        super().on_batch_end(net, batch, training, **kwargs)
        name = "train_loss" if training else "valid_loss"
        value = self.history_[-1, "batches", -1, name]
        if not math.isfinite(value):
            raise ValueError(
                f"Training diverged: the loss became {value} in epoch "
                f"{len(self.history_)}. Try a smaller learning_rate (it is {self.lr}), "
                f"alpha ({self.alpha}) or teacher_weight ({self.teacher_weight}), and "
                "look for extreme values in X."
            )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record what the loss is made of, as means over the epoch."""
        super().on_epoch_end(net, **kwargs)
        means = torch.stack(self._terms).mean(0).tolist()
        for name, value in zip(Loss._fields[1:], means, strict=True):
            self.history_.record(name, value)

    def snapshot(self) -> "SSVAENet":
        """Return a net that predicts as this one does now, and goes on doing so."""
        twin: SSVAENet = copy.copy(self)
        twin.__dict__["module_"] = copy.deepcopy(self.module_)
        return twin

    def __copy__(self) -> "SSVAENet":
        twin: SSVAENet = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for transient in ("_noise", "_terms"):
            state.pop(transient, None)
        # A copy made during training, as Checkpoint's pickles are, holds no data.
        state["train_split"] = None
        state["callbacks_"] = [
            (name, callback)
            for name, callback in self.callbacks_
            if not isinstance(callback, EpochTasks)
        ]
        return state


class _NoCriterion(nn.Module):
    """skorch wants a criterion; the loss needs the module, so the net computes it."""


def make_net(
    *,
    model: str,
    n_features: int,
    class_prior: npt.NDArray[np.float64],
    latent_size: int,
    hidden_sizes: tuple[int, ...],
    likelihood: str,
    seed: int,
    device: torch.device,
) -> SSVAENet:
    """Return a net with an untrained model on `device`."""
    net = SSVAENet(
        MODELS[model],
        _NoCriterion,
        module__n_features=n_features,
        module__class_prior=tuple(class_prior.tolist()),
        module__latent_size=latent_size,
        module__hidden_sizes=hidden_sizes,
        module__likelihood=likelihood,
        module__seed=seed,
        optimizer=torch.optim.Adam,
        train_split=None,
        predict_nonlinearity=torch.exp,
        verbose=0,
        device=str(device),
        seed=seed,
    )
    net.initialize()
    return net


@contextmanager
def _restored_on_error(net: SSVAENet) -> Iterator[None]:
    """Undo what training did to the net if it does not come to its end."""
    module = copy.deepcopy(net.module_.state_dict())
    optimizer = copy.deepcopy(net.optimizer_.state_dict())
    history = copy.copy(net.history_.to_list())
    try:
        yield
    except BaseException:
        net.module_.load_state_dict(module)
        net.optimizer_.load_state_dict(optimizer)
        net.history_ = History(history)
        raise


def train(
    net: SSVAENet,
    rows: Rows,
    held_out: Rows | None = None,
    *,
    max_epochs: int,
    batch_size: int,
    learning_rate: float,
    alpha: float,
    teacher_weight: float,
    callbacks: list[Any] | None,
    verbose: int,
    tasks: EpochTasks | None = None,
) -> None:
    """Train the net for up to `max_epochs` more epochs, or leave it as it was.

    A KeyboardInterrupt (by the user, or by a callback that has seen enough) ends
    training early and keeps what was learnt.

    Parameters
    ----------
    net : SSVAENet
        An initialised net; trained in place.
    rows : Rows
        Training data on the net's device.
    held_out : Rows, default=None
        Rows for ``valid_loss``.
    max_epochs, batch_size, learning_rate, alpha, teacher_weight
        As in `sk_ssvae.SSVAEClassifier`.
    callbacks : list or None
        skorch callbacks; they keep their state from call to call.
    verbose : int
        0 prints nothing, 1 a line an epoch.
    tasks : EpochTasks, default=None
        Where scikit-learn's callbacks hear of the epochs.

    Raises
    ------
    ValueError
        If the loss or a weight becomes NaN or infinite, or a callback monitors the
        validation loss and there is none. The net is then as before.
    """
    net.set_params(
        max_epochs=max_epochs,
        batch_size=batch_size,
        lr=learning_rate,
        alpha=alpha,
        teacher_weight=teacher_weight,
        verbose=verbose,
    )
    if callbacks is not net.callbacks:
        _check_callbacks(callbacks or [])
        net.callbacks = callbacks
        net.initialize_callbacks()
    if held_out is None:
        _refuse_validation_monitors(net)
    n_before = len(net.history_)
    if held_out is not None:
        net.train_split = predefined_split(held_out)
    if tasks is not None:
        net.callbacks_.append(("sklearn_tasks", tasks))
    try:
        with _restored_on_error(net):
            net.partial_fit(rows)
            _drop_unfinished_epoch(net, n_before, max_epochs)
            if not all(p.isfinite().all() for p in net.module_.parameters()):
                raise ValueError(
                    "Training diverged: weights are no longer finite after epoch "
                    f"{len(net.history_)}. Try a smaller learning_rate (it is "
                    f"{learning_rate}), and look for extreme values in X."
                )
    finally:
        net.train_split = None  # hold on to no data
        if tasks is not None:
            net.callbacks_.remove(("sklearn_tasks", tasks))
    net.module_.eval()


def _check_callbacks(callbacks: list[Any]) -> None:
    """Refuse what is no skorch callback."""
    for entry in callbacks:
        named = isinstance(entry, tuple) and len(entry) == 2
        name, callback = entry if named else ("", entry)
        kind = callback if isinstance(callback, type) else type(callback)
        if not isinstance(name, str) or not issubclass(kind, Callback):
            raise TypeError(
                "callbacks must hold skorch callbacks, or pairs of a name and one, but "
                f"holds {entry!r}. Give scikit-learn's callbacks to set_callbacks."
            )


def _refuse_validation_monitors(net: SSVAENet) -> None:
    """Refuse callbacks that wait for a validation loss that never comes."""
    for name, callback in net.callbacks_:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor.startswith("valid"):
            raise ValueError(
                f"The callback {name} monitors {monitor!r}, but no rows are held out. "
                "Set validation_fraction, e.g. to 0.1 (partial_fit holds out none), or "
                "let it monitor 'train_loss'."
            )


def _drop_unfinished_epoch(net: SSVAENet, n_before: int, max_epochs: int) -> None:
    """Take an epoch that was cut off out of the history, and say so."""
    if len(net.history_) > n_before and "train_loss" not in net.history_[-1]:
        net.history_ = History(net.history_.to_list()[:-1])
        warnings.warn(
            f"Training was interrupted after {len(net.history_) - n_before} of "
            f"{max_epochs} epochs. The model is usable as it is.",
            ConvergenceWarning,
            stacklevel=2,
        )
