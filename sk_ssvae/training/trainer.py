"""A training run: callbacks, interruptions, and a net as before if it fails."""

import copy
import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from skorch.history import History

from sk_ssvae.models.user_networks import (
    UserNetwork,
    non_finite_networks,
    snapshot_networks,
)
from sk_ssvae.training.batches import Rows
from sk_ssvae.training.callbacks import EpochTaskReporter
from sk_ssvae.training.checkpoint import Checkpoint, ResumableEarlyStopping
from sk_ssvae.training.divergence import STEP_FACTOR
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.utils.devices import retain_freed_memory
from sk_ssvae.utils.random import Stream, seeded_global_generator, stream_seed

__all__ = ["restored_on_error", "train"]


@contextmanager
def restored_on_error(net: SSVAENet) -> Iterator[None]:
    """Undo what training did to the net if it does not come to its end."""
    module = copy.deepcopy(net.module_.state_dict())
    give_back, unsupervised = snapshot_networks(net.module_), net.module_.unsupervised
    optimizer = copy.deepcopy(net.optimizer_.state_dict())
    history = copy.copy(net.history_.to_list())
    try:
        yield
    except BaseException:
        give_back()
        net.module_.load_state_dict(module)
        net.module_.unsupervised = unsupervised
        net.optimizer_.load_state_dict(optimizer)
        net.history_ = History(history)
        raise


def train(
    net: SSVAENet,
    rows: Rows,
    held_out: Rows | None = None,
    *,
    stages: Sequence[tuple[str, int]],
    batch_size: int,
    learning_rate: float,
    precision: str,
    use_compiler: bool,
    max_grad_norm: float | None,
    callbacks: list[Any] | None,
    verbose: int,
    alpha: float = 0.0,
    teacher_weight: float = 0.0,
    entropy_weight: float = 0.0,
    balance_weight: float = 0.0,
    adversarial_weight: float = 0.0,
    adversarial_radius: float = 1.0,
    top_k: int | None = None,
    bound_rows: int | None = None,
    tasks: EpochTaskReporter | None = None,
    stop_after: int | None = None,
    tol: float = 0.0,
    checkpoint: Checkpoint | None = None,
) -> float | None:
    """Train the net, stage by stage, within `restored_on_error`.

    A KeyboardInterrupt ends training early and keeps what was learnt, whoever raises
    it: ctrl-C or a callback. Only skorch's EarlyStopping ends its stage alone. An epoch
    that diverges is done again, with smaller steps from then on.

    Parameters
    ----------
    net : SSVAENet
        An initialised net; trained in place.
    rows : Rows
        Training data on the net's device.
    held_out : Rows, default=None
        Rows for ``valid_loss``.
    stages : sequence of (str, int)
        What the model is told of each stage (`sk_ssvae.models.Model.start_stage`), and its
        number of epochs.
    batch_size, learning_rate, alpha, precision
        As in `sk_ssvae.SSVAEClassifier`.
    teacher_weight, entropy_weight, balance_weight, adversarial_weight
        As in `sk_ssvae.SSVAEClassifier`.
    adversarial_radius
        As in `sk_ssvae.SSVAEClassifier`.
    top_k : int or None
        Classes that are summed exactly beside one draw; None for all.
    bound_rows : int or None
        Unlabelled rows of a minibatch whose bound is taken; None for all.
    use_compiler : bool
        Whether ``torch.compile`` compiles the loss.
    max_grad_norm : float or None
        Norm to which larger gradients are scaled down; None for none.
    callbacks : list or None
        skorch callbacks; they keep their state from call to call.
    verbose : int
        0 prints nothing, 1 a line an epoch.
    tasks : EpochTasks, default=None
        Where scikit-learn's callbacks hear of the epochs.
    stop_after : int, default=None
        Epochs in which the bound of the rows held out does not rise by `tol`, after
        which a stage ends and its best weights come back; None never stops. Without
        rows held out there is nothing to stop by.
    tol : float
        In nats a row.
    checkpoint : Checkpoint, default=None
        Where the state of training is kept, and comes from.

    Returns
    -------
    bound : float or None
        Mean bound of the rows held out, for the weights that were kept; None if there
        are none.

    Raises
    ------
    ValueError
        If training diverges for good (see `sk_ssvae.training.divergence`), or a callback
        monitors the validation loss and there is none.
    """
    net.rollbacks_ = []
    net.set_params(
        batch_size=batch_size,
        alpha=alpha,
        teacher_weight=teacher_weight,
        entropy_weight=entropy_weight,
        balance_weight=balance_weight,
        adversarial_weight=adversarial_weight,
        adversarial_radius=adversarial_radius,
        top_k=top_k,
        bound_rows=bound_rows,
        precision=precision,
        use_compiler=use_compiler,
        max_grad_norm=max_grad_norm,
        verbose=verbose,
    )
    _set_callbacks(net, callbacks or [])
    if held_out is None:
        _refuse_validation_monitors(net)
    retain_freed_memory()
    if held_out is not None:
        net.train_split = predefined_split(held_out)
    own: list[tuple[str, Callback]] = []
    if tasks is not None:
        own.append(("sklearn_tasks", tasks))
    stopper = None
    if stop_after is not None and held_out is not None:
        stopper = _stopper(stop_after, tol)
        own.append(("early_stopping", stopper))
    first, done, n_before = 0, 0, len(net.history_)
    if checkpoint is not None:
        first, done, n_before = checkpoint.resume(net, stopper)
        own.append(("checkpoint", checkpoint))
    net.callbacks_ += own
    try:
        total = sum(n for _, n in stages)
        n_without_classes = None
        for number, (stage, n_epochs) in enumerate(stages):
            if n_epochs == 0 or number < first:
                continue
            net.module_.start_stage(stage, rows)
            net.set_params(
                max_epochs=n_epochs - done, epochs_done=done, lr=learning_rate
            )
            if checkpoint is not None:
                checkpoint.place = number, len(net.history_) - done, n_before
            net.partial_fit(rows)
            done = 0
            cut_off = _drop_unfinished_epoch(net, n_before)
            n_done = len(net.history_) - n_before
            if net.module_.unsupervised and len(net.module_.classes) > 1:
                n_without_classes = n_done
            if tasks is not None and tasks.asked_to_stop:
                break
            if cut_off or net.interrupted_:
                _warn_interrupted(n_done, total, n_done == n_without_classes)
                break
            if checkpoint is not None:
                checkpoint.place = number + 1, len(net.history_), n_before
                checkpoint.write(net)
        if not all(p.isfinite().all() for p in net.module_.parameters()):
            raise ValueError(
                "Training diverged: weights are no longer finite after epoch "
                f"{len(net.history_)}. {net.remedies}"
            )
        _check_evaluated(net, rows)
    finally:
        net.train_split = None  # hold on to no data
        net.callbacks_ = [entry for entry in net.callbacks_ if entry not in own]
        net.module_.eval()
    if net.rollbacks_:
        _warn_diverged(net, learning_rate)
    if held_out is None or len(net.history_) == n_before:
        return None
    kept = net.history_[-1] if stopper is None else _epoch(net, stopper.best_epoch_)
    return -float(kept["valid_loss"])


def _stopper(patience: int, tol: float) -> ResumableEarlyStopping:
    """Stop where the bound of the rows held out rises no more."""
    stopper: ResumableEarlyStopping = ResumableEarlyStopping(
        monitor="valid_loss",
        patience=patience,
        threshold=tol,
        threshold_mode="abs",
        load_best=True,
    ).initialize()
    return stopper


def _epoch(net: SSVAENet, number: int) -> Any:
    """Look an epoch up in the history."""
    rows = (row for row in net.history_.to_list() if row["epoch"] == number)
    return next(rows, net.history_[-1])  # a stage may be cut off in its first epoch


def _check_evaluated(net: SSVAENet, rows: Rows) -> None:
    """Refuse networks of the user that are not finite in evaluation mode.

    The losses have shown how they are in training; answers are made otherwise. One
    minibatch is looked at.
    """
    if not any(isinstance(m, UserNetwork) for m in net.module_.modules()):
        return
    seed = stream_seed(net.seed, Stream.OWN_NOISE, len(net.history_))
    with (
        non_finite_networks(net.module_) as wrong,
        seeded_global_generator(seed, net.device),
    ):
        net.validation_step(next(iter(net.get_iterator(rows))))
    if wrong:
        raise ValueError(
            f"Training diverged: the network of {wrong[0]} gives NaN or infinity in "
            f"evaluation mode after epoch {len(net.history_)}. Look at what it does "
            "otherwise than in training, such as statistics of batches. "
            f"{net.remedies}"
        )


def _set_callbacks(net: SSVAENet, callbacks: list[Any]) -> None:
    """Give the net its callbacks, those that it has already with their state."""
    before, initialized = net.callbacks or [], net.callbacks_
    if len(before) == len(callbacks) and all(map(operator.is_, before, callbacks)):
        return
    _check_callbacks(callbacks)
    net.callbacks = [*callbacks]  # the user's list may change
    try:
        net.initialize_callbacks()
    except BaseException:
        net.callbacks, net.callbacks_ = before, initialized
        raise


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


def _drop_unfinished_epoch(net: SSVAENet, n_before: int) -> bool:
    """Take an epoch that was cut off out of the history, and tell if there is one."""
    cut_off = len(net.history_) > n_before and "train_loss" not in net.history_[-1]
    if cut_off:
        net.history_ = History(net.history_.to_list()[:-1])
    return cut_off


def _warn_diverged(net: SSVAENet, learning_rate: float) -> None:
    """Say that training went on with a smaller step than was asked for."""
    epoch, step = net.rollbacks_[0]
    smaller = learning_rate * STEP_FACTOR ** len(net.rollbacks_)
    times = "once" if len(net.rollbacks_) == 1 else f"{len(net.rollbacks_)} times"
    warnings.warn(
        f"Training diverged {times}, first in step {step} of epoch {epoch}. It went on "
        f"from the last good epoch with smaller steps: set learning_rate={smaller:g} "
        f"(it is {learning_rate:g}), and look for extreme values in X.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _warn_interrupted(n_done: int, n_epochs: int, untrained: bool) -> None:
    """Say what an interruption leaves; nothing where all epochs are done."""
    if n_done == n_epochs:
        return
    usable = "The model is usable as it is."
    if untrained:
        usable = (
            "The classifier has not been trained yet: its answers mean nothing. Call "
            "fit again, with warm_start=True to go on with the next stage."
        )
    warnings.warn(
        f"Training was interrupted after {n_done} of {n_epochs} epochs. {usable}",
        ConvergenceWarning,
        stacklevel=3,
    )
