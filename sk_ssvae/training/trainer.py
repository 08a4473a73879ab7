"""A training run: stages, callbacks, checkpoints, interruptions and errors."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from skorch.callbacks import Callback
from skorch.helper import predefined_split
from skorch.history import History

from sk_ssvae.models.user_networks import (
    non_finite_networks,
    snapshot_networks,
    user_networks,
)
from sk_ssvae.training.callbacks import set_callbacks
from sk_ssvae.training.checkpoint import Checkpoint, CheckpointWriter, Position
from sk_ssvae.training.communication import SINGLE_PROCESS, Communicator
from sk_ssvae.training.early_stopping import ResumableEarlyStopping
from sk_ssvae.training.monitors import HeldOut, check_monitors, explained_errors
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.options import TrainingOptions
from sk_ssvae.training.progress import EpochTable, FitProgress, prints_history
from sk_ssvae.training.replicas import check_replicas, synchronize
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.run_warnings import (
    Shortened,
    warn_diverged,
    warn_interrupted,
    warn_shortened,
)
from sk_ssvae.training.schedule import StageLimit, TimeLimit
from sk_ssvae.utils.devices import retain_freed_memory
from sk_ssvae.utils.random import Stream, seeded_global_generator, stream_seed

__all__ = ["restored_on_error", "train"]

SETTINGS = (
    "batch_size",
    "epochs_done",
    "lr",
    "max_epochs",
    "max_grad_norm",
    "objective",
    "precision",
    "use_compiler",
    "verbose",
)
"""Parameters of the net that `train` sets."""


@contextmanager
def restored_on_error(net: SSVAENet) -> Iterator[None]:
    """Restore weights, optimizer, history and settings if the context raises."""
    module = copy.deepcopy(net.module_.state_dict())
    restore_networks = snapshot_networks(net.module_)
    unsupervised = net.module_.unsupervised
    optimizer = copy.deepcopy(net.optimizer_.state_dict())
    history = copy.copy(net.history_.to_list())
    settings = {name: getattr(net, name) for name in SETTINGS}
    rollbacks = net.__dict__.get("rollbacks_", [])
    try:
        yield
    except BaseException:
        net.set_params(**settings)
        net.rollbacks_ = rollbacks
        restore_networks()
        net.module_.load_state_dict(module)
        net.module_.unsupervised = unsupervised
        net.optimizer_.load_state_dict(optimizer)
        net.history_ = History(history)
        raise


class _Reporters(NamedTuple):
    """What is told of the stages of a run; None where nothing is reported."""

    table: EpochTable | None
    progress: FitProgress | None
    writer: CheckpointWriter | None

    def start_stage(
        self, net: SSVAENet, number: int, name: str, n_epochs: int, epochs_done: int
    ) -> None:
        """Report that a stage begins, of whose epochs some have been done."""
        if self.writer is not None:
            self.writer.start_stage(number, len(net.history_) - epochs_done)
        if self.table is not None:
            self.table.start_stage(number, epochs_done)
        if self.progress is not None:
            self.progress.start_stage(name or "training", n_epochs)

    def end_stage(self) -> None:
        """Report that the training of a stage has ended."""
        if self.progress is not None:
            self.progress.finish_stage()

    @property
    def stop_requested(self) -> bool:
        """Whether a callback of scikit-learn wants the fit to end."""
        return self.progress is not None and self.progress.stop_requested


def train(
    net: SSVAENet,
    rows: Rows,
    held_out: Rows | None = None,
    *,
    objective: Objective,
    options: TrainingOptions,
    stages: Sequence[tuple[str, int]],
    batch_size: int,
    learning_rate: float,
    early_stopping: bool = False,
    callbacks: list[Any] | None = None,
    verbose: int = 0,
    progress: FitProgress | None = None,
    checkpoint: Checkpoint | None = None,
    communicator: Communicator = SINGLE_PROCESS,
    seconds_after: float = 0.0,
) -> float | None:
    """Train a net, stage by stage. Call it within `restored_on_error`.

    A KeyboardInterrupt, from ctrl-C or a callback, ends training early and keeps the
    epochs done; skorch's EarlyStopping ends only its stage. An epoch that diverges is
    repeated with smaller steps, which stay smaller for the rest of the run. If
    `options.max_time` is too short for all epochs, each stage is shortened, with its
    schedules.

    Parameters
    ----------
    net : SSVAENet
        An initialised net; trained in place.
    rows : Rows
        Training rows on the device of the net.
    held_out : Rows, default=None
        Rows for ``valid_loss``.
    objective : Objective
        The training and validation loss.
    options : TrainingOptions
        Validated options. `n_threads` is left to the caller.
    stages : sequence of (str, int)
        Name (`sk_ssvae.models.VAEModule.start_stage`) and number of epochs of each
        stage.
    batch_size : int
        Rows in a minibatch.
    learning_rate : float
        Step size of the optimizer.
    early_stopping : bool, default=False
        Whether a stage ends, with its best weights, when the bound of the held-out rows
        has not increased by `options.tol` for `options.n_iter_no_change` epochs. It has
        no effect without held-out rows.
    callbacks : list, default=None
        skorch callbacks; they keep their state from call to call.
    verbose : int, default=0
        0 prints nothing, 1 prints a table with a line per epoch, unless a callback of
        the user's prints the history.
    progress : FitProgress, default=None
        Reports stages and epochs to scikit-learn's callbacks, and knows when the fit
        began, from which on its time is limited. None for a single epoch of a stream of
        chunks, which has no time limit.
    checkpoint : Checkpoint, default=None
        Where the state of the run is restored from, if `Checkpoint.read` found a file,
        and written to.
    communicator : Communicator
        The processes that train the net together. All of them call this function with
        the same arguments, except for `verbose`, `callbacks` and `checkpoint`.
    seconds_after : float, default=0.0
        Time that `options.max_time` has to leave for the steps after training.

    Returns
    -------
    bound : float or None
        Mean bound of the held-out rows at the final weights, in nats; None without
        held-out rows.

    Raises
    ------
    ValueError
        If training still diverges with smaller steps
        (`sk_ssvae.training.divergence`), or a callback monitors what is not recorded
        (`sk_ssvae.training.monitors`).
    """
    net.rollbacks_ = []
    net.set_params(
        batch_size=batch_size,
        objective=objective,
        precision=options.precision,
        use_compiler=bool(options.compile),
        max_grad_norm=options.max_grad_norm,
        verbose=verbose,
    )
    internal: list[tuple[str, Callback]] = []
    limit, stage_limit = None, StageLimit()
    stopper = None
    start_time = time.perf_counter() if progress is None else progress.start_time
    try:
        net.communicator = communicator
        set_callbacks(net, callbacks or [])
        check_replicas(net, rows)
        labels = None
        if len(net.module_.classes) > 1:
            labels = held_out is not None and held_out.n_labelled > 0
        validation = HeldOut(held_out is not None, labels)
        check_monitors(net.callbacks_, validation)
        retain_freed_memory()
        if held_out is not None:
            net.train_split = predefined_split(held_out)
        if progress is not None and options.max_time is not None:
            seconds = float(options.max_time)
            limit = TimeLimit(seconds, start_time, seconds_after)
        table = None
        if verbose and not prints_history(net.callbacks_):
            table = EpochTable(
                stages,
                held_out=validation.rows,
                held_out_labels=bool(validation.labels),
                start_time=start_time,
                end_time=None if limit is None else limit.end_time,
                is_stream=progress is None,
            )
            internal.append(("table", table))
        elif communicator.world_size > 1:
            # All processes have as many callbacks.
            internal.append(("table", Callback()))
        if progress is not None:
            internal.append(("sklearn_tasks", progress))
        if early_stopping and held_out is not None:
            # Python numbers, as numpy's small integers overflow.
            stopper = ResumableEarlyStopping(
                int(options.n_iter_no_change), float(options.tol)
            ).initialize()
            internal.append(("early_stopping", stopper))
        start, writer = Position(0, 0, len(net.history_)), None
        if checkpoint is not None:
            start = checkpoint.restore(net, stopper)
            writer = CheckpointWriter(checkpoint, stopper, start.epochs_before)
            internal.append(("checkpoint", writer))
        if limit is not None:
            internal.append(("time_limit", stage_limit))  # after all others
        net.callbacks_ += internal
        with explained_errors(net, validation):
            shortened = _run_stages(
                net,
                rows,
                stages,
                learning_rate,
                start,
                limit,
                stage_limit,
                _Reporters(table, progress, writer),
            )
        if not all(p.isfinite().all() for p in net.module_.parameters()):
            raise ValueError(
                "Training diverged: weights are no longer finite after epoch "
                f"{len(net.history_)}. {net.remedies}"
            )
        _check_user_networks(net, rows)
    finally:
        net.communicator = SINGLE_PROCESS
        net.train_split = None  # release the data
        net.set_params(progress_done=None, deadline=None)
        net.callbacks_ = [entry for entry in net.callbacks_ if entry not in internal]
        net.module_.eval()
    if net.rollbacks_:
        warn_diverged(net, learning_rate)
    if limit is not None and shortened:
        warn_shortened(limit, shortened)
    if held_out is None or len(net.history_) == start.epochs_before:
        return None
    final = net.history_[-1] if stopper is None else _epoch(net, stopper.best_epoch_)
    return -float(final["valid_loss"])


def _run_stages(
    net: SSVAENet,
    rows: Rows,
    stages: Sequence[tuple[str, int]],
    learning_rate: float,
    start: Position,
    limit: TimeLimit | None,
    stage_limit: StageLimit,
    reporters: _Reporters,
) -> list[Shortened]:
    """Train the stages that remain from a position on.

    Returns
    -------
    shortened : list of Shortened
        The stages that the time limit has shortened.
    """
    total = sum(n_epochs for _, n_epochs in stages)
    epochs_done, progress_done = start.epochs_done, start.progress
    shortened: list[Shortened] = []
    n_without_classes = None
    for number, (stage, n_epochs) in enumerate(stages):
        if n_epochs == 0 or number < start.stage:
            continue
        net.module_.start_stage(stage, rows)
        is_complete = progress_done is not None and progress_done >= 1
        deadline = None
        if limit is not None:
            n_later = sum(n for _, n in stages[number + 1 :])
            deadline = limit.stage_deadline(n_epochs - epochs_done, n_later)
        synchronize(net)
        net.set_params(
            max_epochs=0 if is_complete else n_epochs - epochs_done,
            epochs_done=epochs_done,
            progress_done=progress_done,
            deadline=deadline,
            lr=learning_rate,
        )
        name = "" if n_epochs == total else stage  # no name for the only stage
        reporters.start_stage(net, number, name, n_epochs, epochs_done)
        net.partial_fit(rows)
        reporters.end_stage()
        if stage_limit.has_shortened:
            done = net.schedule_.step / net.schedule_.n_steps
            shortened.append(Shortened(name, done, n_epochs))
        epochs_done, progress_done = 0, None
        cut_off = _drop_unfinished_epoch(net, start.epochs_before)
        stop = net.communicator.any(reporters.stop_requested)
        interrupted = net.communicator.any(cut_off or net.interrupted_)
        n_done = len(net.history_) - start.epochs_before
        if net.module_.unsupervised and len(net.module_.classes) > 1:
            n_without_classes = n_done
        if stop:
            break
        if interrupted:
            warn_interrupted(n_done, total, n_done == n_without_classes)
            break
        if reporters.writer is not None:
            reporters.writer.finish_stage(net)
    return shortened


def _epoch(net: SSVAENet, number: int) -> Any:
    """Return an epoch of the history by its number."""
    rows = (row for row in net.history_.to_list() if row["epoch"] == number)
    return next(rows, net.history_[-1])  # a stage may end in its first epoch


def _check_user_networks(net: SSVAENet, rows: Rows) -> None:
    """Raise an error if a user network is not finite in evaluation mode.

    The losses have shown that it is finite in training mode, but predictions use
    evaluation mode. One minibatch is checked.
    """
    if not user_networks(net.module_):
        return
    seed = stream_seed(net.seed, Stream.OWN_NOISE, len(net.history_))
    with (
        non_finite_networks(net.module_) as non_finite,
        seeded_global_generator(seed, net.device),
    ):
        net.validation_step(next(iter(net.get_iterator(rows))))
    if non_finite:
        raise ValueError(
            f"Training diverged: the network of {non_finite[0]} gives NaN or infinity "
            f"in evaluation mode after epoch {len(net.history_)}. Check what it does "
            "differently than in training mode, e.g. with batch statistics. "
            f"{net.remedies}"
        )


def _drop_unfinished_epoch(net: SSVAENet, n_before: int) -> bool:
    """Remove an interrupted epoch from the history; return whether there was one."""
    cut_off = len(net.history_) > n_before and "train_loss" not in net.history_[-1]
    if cut_off:
        net.history_ = History(net.history_.to_list()[:-1])
    return cut_off
