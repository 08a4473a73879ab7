"""Progress of a fit: printed lines, and tasks for scikit-learn's callbacks."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from sklearn.callback import CallbackContext
from skorch import NeuralNet
from skorch.callbacks import Callback, PrintLog

__all__ = [
    "EpochTable",
    "FitProgress",
    "Part",
    "format_duration",
    "no_report",
    "prints_history",
]


class Part(Protocol):
    """Reports one of several parts of a step: a context that the part runs in."""

    def __call__(self, name: str, i: int, n: int, /) -> AbstractContextManager[None]:
        """Return the context of part `i` of `n`, counted from 1."""


def no_report(name: str, i: int, n: int, /) -> AbstractContextManager[None]:
    """Report nothing; a `Part`."""
    return nullcontext()


class FitProgress(Callback):
    """Report what a fit does, to its user and to scikit-learn's callbacks.

    A fit consists of steps: that of the teacher, whose views are its parts, that of the
    temperature, whose folds are, and the stages of training, whose parts are epochs.
    Each is a task of scikit-learn's callbacks. If training in one stage is the only
    step, the epochs are subtasks of the fit itself.

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
    n_steps : int
        Number of steps.
    verbose : int
        Whether the steps before training, their parts, and the end are printed.
    start_time : float
        Time at which the fit began, in seconds of `time.perf_counter`.

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
        *,
        n_steps: int,
        verbose: int,
        start_time: float,
    ) -> None:
        self.estimator = estimator
        self.context = context
        self.data = data
        self.attributes = attributes
        self.n_steps = n_steps
        self.verbose = verbose
        self.start_time = start_time
        self.stop_requested = False
        self._stage = context
        self._epoch: CallbackContext | None = None

    def _begin(
        self, name: str, parent: CallbackContext, n_subtasks: int
    ) -> CallbackContext:
        task = parent.subcontext(task_name=name, max_subtasks=n_subtasks)
        task.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        return task

    def _end(self, task: CallbackContext) -> None:
        task.call_on_fit_task_end(estimator=self.estimator, **self.data)

    @contextmanager
    def step(self, name: str, detail: str, *, has_parts: bool) -> Iterator[Part]:
        """Report a step before training.

        Parameters
        ----------
        name : str
            Name of its task.
        detail : str
            Printed with the name when it ends.
        has_parts : bool
            Whether its parts are reported. The task then begins with the first of them,
            as their number is not known before.

        Yields
        ------
        part : callable
            Reports a part.
        """
        start = time.perf_counter()
        task = None if has_parts else self._begin(name, self.context, 0)

        @contextmanager
        def part(part_name: str, i: int, n: int) -> Iterator[None]:
            nonlocal task
            part_start = time.perf_counter()
            if task is None:
                task = self._begin(name, self.context, n)
            subtask = self._begin(part_name, task, 0)
            yield
            self._end(subtask)
            self._print(f"{name}: {part_name}, {i} of {n}", part_start)

        yield part
        self._end(self._begin(name, self.context, 0) if task is None else task)
        self._print(f"{name}: {detail}", start)

    def _print(self, text: str, start: float) -> None:
        """Print the time of a step or a part, and that since the fit began."""
        if self.verbose:
            now = time.perf_counter()
            elapsed = format_duration(now - self.start_time)
            print(f"{text}, {now - start:.1f} s, elapsed {elapsed}", flush=True)

    def finish(self) -> None:
        """Print the time of the whole fit, predictions for its rows included."""
        if self.verbose:
            seconds = time.perf_counter() - self.start_time
            print(f"fit: {type(self.estimator).__name__}, {seconds:.1f} s", flush=True)

    def start_stage(self, name: str, n_epochs: int) -> None:
        """Begin the task of a stage of training."""
        if self.n_steps > 1:
            self._stage = self._begin(name, self.context, n_epochs)

    def finish_stage(self) -> None:
        """End the task of a stage of training."""
        if self._stage is not self.context:
            self._end(self._stage)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin the task of the epoch."""
        self._epoch = self._stage.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task of the epoch, and training if a callback requests it."""
        if self._end_epoch(net):
            self.stop_requested = True
            raise KeyboardInterrupt  # stops training in skorch

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """End the task of an epoch that another callback interrupted."""
        if self._end_epoch(net):
            self.stop_requested = True  # no later stage either

    def _end_epoch(self, net: NeuralNet) -> bool:
        task, self._epoch = self._epoch, None
        return task is not None and task.call_on_fit_task_end(
            estimator=self.estimator,
            **self.data,
            reconstruction_attributes=lambda: self.attributes(net),
        )


COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "loss": lambda epoch: f"{epoch['train_loss']:.4f}",
    "bound": lambda epoch: f"{epoch['bound']:.4f}",
    "held-out bound": lambda epoch: f"{-epoch['valid_loss']:.4f}",
    "accuracy": lambda epoch: f"{epoch['valid_acc']:.4f}",
}
"""Columns between epoch and time: the text for an epoch of the history."""

WIDTH = 9
"""Smallest width of a column."""


class EpochTable(Callback):
    """Print a table with a line per epoch.

    Its columns are the stage, if there are several; the epoch; loss and bound; the
    bound of held-out rows and the accuracy of held-out labelled rows, if there are any;
    the time since the fit began; and the time that the other epochs will take if they
    take the mean time of those so far, and no stage ends early, or that a time limit
    leaves them.

    Parameters
    ----------
    stages : sequence of (str, int)
        Names of the stages, and their numbers of epochs.
    held_out, held_out_labels : bool
        Whether rows, and labelled rows, are held out.
    start_time : float
        Time at which the fit began, in seconds of `time.perf_counter`.
    end_time : float, default=None
        Time at which training should end, if it is limited.
    is_stream : bool, default=False
        Whether each call trains for one epoch, as `partial_fit` does: the table then
        goes on from call to call, and has no remaining time.
    """

    def __init__(
        self,
        stages: Sequence[tuple[str, int]],
        *,
        held_out: bool,
        held_out_labels: bool,
        start_time: float,
        end_time: float | None = None,
        is_stream: bool = False,
    ) -> None:
        self.stages = [*stages]
        self.held_out = held_out
        self.held_out_labels = held_out_labels
        self.start_time = start_time
        self.end_time = end_time
        self.is_stream = is_stream
        self._n_timed = 0
        self._is_due = False

    def start_stage(self, number: int, epochs_done: int) -> None:
        """Begin a stage, of which an earlier process did `epochs_done` epochs."""
        self._stage, self._n_epochs = self.stages[number]
        self._n_later = sum(n for _, n in self.stages[number + 1 :])
        self._n_done = epochs_done

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Measure the time of the epochs from the first one on."""
        if self._n_timed == 0:
            self._training_start = time.perf_counter()
        self._is_due = True

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Print the line of the epoch, and the headings before the first one."""
        self._is_due = False
        now = time.perf_counter()
        self._n_done += 1
        self._n_timed += 1
        cells = self._cells(net.history_[-1])
        cells["elapsed"] = format_duration(now - self.start_time)
        if not self.is_stream:
            n_left = self._n_epochs - self._n_done + self._n_later
            per_epoch = (now - self._training_start) / self._n_timed
            remaining = per_epoch * n_left
            if self.end_time is not None:
                remaining = min(remaining, max(0.0, self.end_time - now))
            cells["remaining"] = format_duration(remaining)
        names = [name.rjust(WIDTH) for name in cells]
        is_continued = self.is_stream and len(net.history_) > 1
        if self._n_timed == 1 and not is_continued:
            print("  ".join(names))
            print("  ".join("-" * len(name) for name in names))
        texts = zip(cells.values(), names, strict=True)
        print("  ".join(text.rjust(len(name)) for text, name in texts), flush=True)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Print the line of an epoch at whose end a callback stopped training."""
        if self._is_due and "kl" in net.history_[-1]:
            self.on_epoch_end(net)

    def _cells(self, epoch: dict[str, Any]) -> dict[str, str]:
        """Return the cells of an epoch before the times, by column."""
        cells = {}
        if sum(n > 0 for _, n in self.stages) > 1:
            cells["stage"] = self._stage
        cells["epoch"] = f"{self._n_done}/{self._n_epochs}"
        if self.is_stream:
            cells["epoch"] = str(epoch["epoch"])
        shown = {"held-out bound": self.held_out, "accuracy": self.held_out_labels}
        for name, text in COLUMNS.items():
            if shown.get(name, True):
                # Nothing is classified in an unsupervised stage.
                is_known = name != "accuracy" or "valid_acc" in epoch
                cells[name] = text(epoch) if is_known else "-"
        return cells


def format_duration(seconds: float) -> str:
    """Return a duration as m:ss, or as h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def prints_history(callbacks: Sequence[tuple[str, Any]]) -> bool:
    """Return whether a callback of the user's prints the epochs already.

    Parameters
    ----------
    callbacks : sequence of (str, Callback)
        Names and initialised callbacks.
    """
    return any(isinstance(c, PrintLog) and c.sink is print for _, c in callbacks)
