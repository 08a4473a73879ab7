"""A skorch net that keeps losses on the device and repeats epochs that diverge."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.utils import TeeGenerator
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sk_ssvae.training.communication import SINGLE_PROCESS, Communicator
from sk_ssvae.training.divergence import (
    MAX_ROLLBACKS,
    STEP_FACTOR,
    DivergenceError,
    DivergenceMonitor,
    RunningStatistics,
    TrainingSnapshot,
    scaled_learning_rates,
)
from sk_ssvae.training.schedule import EndOfStage

__all__ = ["RollbackNet"]

STEP_EVENTS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
"""Methods of skorch callbacks that are called at every step."""


class RollbackNet(NeuralNet, ABC):
    """A skorch net that repeats epochs that diverge, with smaller steps.

    Losses stay on the device during an epoch and are read at its end, together with
    whether a step diverged. From a non-finite step on, no step changes the weights or
    the running statistics. The epoch is then repeated from its start with smaller
    steps, or from the start of the epoch before if the first step diverged, as the last
    step before it went too far. Therefore the history has one entry per epoch and none
    per minibatch, unless a callback implements one of `STEP_EVENTS`.

    Minibatches are pairs of a dict with ``x`` and ``bound_weight``, and of labels. A
    subclass's `train_step_single` returns a dict of ``loss``, ``bound``, ``squares``
    (`sk_ssvae.training.divergence.sum_of_squares`) and ``y_pred``, detached. Losses and
    gradients are sums over all processes, so that all of them take the same steps.

    Parameters
    ----------
    *args, **kwargs
        Passed to `skorch.NeuralNet`.
    max_grad_norm : float or None
        Norm to which larger gradients are scaled down; None does not clip.
    communicator : Communicator
        The processes that train the model.

    Attributes
    ----------
    rollbacks_ : list of (int, int)
        Epoch and step, from 1, of each divergence of the training run.
    interrupted_ : bool
        Whether the last training was ended by a KeyboardInterrupt.
    """

    def __init__(
        self,
        *args: Any,
        max_grad_norm: float | None = None,
        communicator: Communicator = SINGLE_PROCESS,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.max_grad_norm = max_grad_norm
        self.communicator = communicator
        self.rollbacks_: list[tuple[int, int]] = []

    @property
    @abstractmethod
    def remedies(self) -> str:
        """Advice for an error message when training diverges."""

    @abstractmethod
    def _is_training_complete(self) -> bool:
        """Return whether there is no further step in this epoch or a later one."""

    @abstractmethod
    def _restart_epoch(self, iterator: Any) -> None:
        """Reset what the steps of the epoch have changed, except the weights."""

    @abstractmethod
    def _diverged_final_loss(self, iterator: Any) -> float | None:
        """Return the loss after the last step of all, if that step diverged."""

    @abstractmethod
    def _learning_rate_factors(self, batch: Any) -> list[float]:
        """Return the schedule's factor for each group of the optimizer, in a step."""

    @abstractmethod
    def _user_network_generator(self) -> AbstractContextManager[Any]:
        """Seed the generator that user-supplied networks draw from."""

    def fit_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Run epochs, and record in `interrupted_` whether they were interrupted.

        skorch handles KeyboardInterrupt without a trace. It is raised by ctrl-C and by
        callbacks. That of EarlyStopping is no interruption, nor is `EndOfStage`.
        """
        self.interrupted_ = False
        self._stop_is_agreed = False
        self._previous_snapshot: TrainingSnapshot | None = None
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt as error:
            if self.communicator.world_size > 1 and not self._stop_is_agreed:
                # skorch would keep the steps done, which may differ between processes.
                raise RuntimeError(
                    "A distributed fit was interrupted within an epoch. The estimator "
                    "is unchanged; with a checkpoint, the same call resumes from it."
                ) from None
            is_planned = isinstance(error, EndOfStage) or any(
                isinstance(callback, EarlyStopping)
                and callback.misses_ == callback.patience
                for _, callback in self.callbacks_
            )
            self.interrupted_ = not is_planned
            raise
        finally:  # release the copies of the weights
            self._previous_snapshot = None
            self.__dict__.pop("_monitor", None)
            self.__dict__.pop("_statistics", None)

    @contextmanager
    def _stopped_together(self) -> Iterator[None]:
        """Raise a KeyboardInterrupt of a callback in all processes."""
        stop = None
        try:
            yield
        except KeyboardInterrupt as interrupt:
            stop = interrupt
        if self.communicator.any(stop is not None):
            self._stop_is_agreed = True
            raise stop or KeyboardInterrupt

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> None:
        """Run an epoch; repeat one of training that diverged, with smaller steps."""
        if iterator is None:
            return
        run = partial(
            self._run_batches, iterator, training, prefix, step_fn, **fit_params
        )
        if not training:
            with self._user_network_generator():
                run()
            return
        snapshot = TrainingSnapshot(self.module_, self.optimizer_)
        self._statistics = RunningStatistics(self.module_)
        while True:
            self._monitor = DivergenceMonitor(self.device)
            with self._user_network_generator():
                losses = run()
                n_good = self._monitor.count_good_steps()
                final_loss = None
                if n_good == len(losses):
                    final_loss = self._diverged_final_loss(iterator)
            if n_good == len(losses) and final_loss is None:
                self._previous_snapshot = snapshot
                return
            step = min(n_good + 1, len(losses))
            loss = losses[n_good] if final_loss is None else final_loss
            if n_good == 0 and self._previous_snapshot is not None:
                snapshot = self._previous_snapshot
            snapshot.restore()
            self._record_rollback(step, loss)
            self.history_[-1]["batches"].clear()
            self._restart_epoch(iterator)

    def _run_batches(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable[..., Any],
        **fit_params: Any,
    ) -> list[float]:
        """Run the steps of an epoch and return their losses."""
        self._handled_events = {
            event
            for event in STEP_EVENTS
            for _, callback in self.callbacks_
            if getattr(getattr(callback, event), "__func__", None)
            is not getattr(Callback, event)
        }
        is_divided = not training and not self._handled_events
        rank, world_size = self.communicator.rank, self.communicator.world_size
        losses, sizes = [], []
        for batch in iterator.part(rank, world_size) if is_divided else iterator:
            size = len(iterator.shard) if training else len(batch[0]["x"])
            if self._handled_events:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            if self._handled_events:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", size)
                self.notify(
                    "on_batch_end",
                    batch=batch,
                    training=training,
                    loss=step["loss"],
                    y_pred=step["y_pred"],
                )
            losses.append(step["loss"])
            sizes.append(size)
            if training and self._is_training_complete():
                break
        if is_divided and world_size > 1:
            losses, sizes = self._all_losses(losses, iterator.sizes)
        values: list[float] = torch.stack(losses).tolist()
        if not self._handled_events:
            # One entry for all minibatches; skorch averages the entries of an epoch.
            mean = np.average(values, weights=sizes)
            self.history.new_batch()
            self.history.record_batch(f"{prefix}_loss", float(mean))
            self.history.record_batch(f"{prefix}_batch_size", sum(sizes))
        self.history.record(f"{prefix}_batch_count", len(losses))
        return values

    def _all_losses(
        self, own: list[Tensor], sizes: list[int]
    ) -> tuple[list[Tensor], list[int]]:
        """Return the losses and sizes of minibatches that processes have divided."""
        losses = torch.zeros(len(sizes), dtype=torch.float64, device=self.device)
        rank, world_size = self.communicator.rank, self.communicator.world_size
        for i, loss in zip(range(rank, len(sizes), world_size), own, strict=True):
            losses[i] = loss
        return [*self.communicator.sum([losses])[0]], sizes

    def _record_rollback(self, step: int, loss: float) -> None:
        """Record a divergence; raise DivergenceError if there were too many."""
        epoch = len(self.history_)
        self.rollbacks_.append((epoch, step))
        if len(self.rollbacks_) <= MAX_ROLLBACKS:
            return
        reason = f"the loss became {loss:.3g}"
        if math.isfinite(loss):
            reason = f"the loss ({loss:.3g}) or its gradient became too large"
        raise DivergenceError(
            f"Training diverged: {reason} in step {step} of epoch {epoch}, for the "
            f"{len(self.rollbacks_)}th time, with steps "
            f"{STEP_FACTOR**-MAX_ROLLBACKS:.0f} times smaller than learning_rate. "
            f"{self.remedies}"
        )

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Compute the gradient of a minibatch and take one step of the optimizer."""
        self.optimizer_.zero_grad()
        with self._statistics.kept_on_error():
            return self._guarded_step(batch, **fit_params)

    def _guarded_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Take a step, unless it or one before it in the epoch has diverged."""
        step: dict[str, Tensor] = self.train_step_single(batch, **fit_params)
        if "on_grad_computed" in self._handled_events:
            self.notify(
                "on_grad_computed",
                named_parameters=TeeGenerator(self.get_all_learnable_params()),
                batch=batch,
                training=True,
            )
        parameters = [
            parameter
            for group in self.optimizer_.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        self._monitor.update(
            step["loss"],
            step["bound"],
            [parameter.grad for parameter in parameters],
            step["squares"],
        )
        if self.max_grad_norm is not None:
            clip_grad_norm_(parameters, self.max_grad_norm)
        self._statistics.restore_if(self._monitor.found_inf)
        self.optimizer_.found_inf = self._monitor.found_inf
        remedy = STEP_FACTOR ** len(self.rollbacks_)
        factors = [remedy * factor for factor in self._learning_rate_factors(batch)]
        with scaled_learning_rates(self.optimizer_, factors):
            self.optimizer_.step()
        return step

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        state.pop("_monitor", None)
        state.pop("_statistics", None)
        state.pop("_previous_snapshot", None)
        state["communicator"] = SINGLE_PROCESS
        return state
