"""Progress of training, from 0 to 1, by the steps done and by a time limit.

All schedules, such as that of the learning rate, are functions of this progress. If a
time limit leaves time for fewer steps than planned, the progress per step is larger, so
that the schedules still end, as in M. Li, E. Yumer and D. Ramanan. Budgeted training:
rethinking deep neural network training under resource constraints. ICLR 2020.
"""

import time

from skorch import NeuralNet
from skorch.callbacks import Callback

__all__ = ["MIN_SHARE", "EndOfStage", "Schedule", "StageLimit", "TimeLimit"]

MIN_SHARE = 0.2
"""Smallest fraction of the time limit that is left for training, whatever the steps
before it took: a model that is hardly trained is of no use."""

MIN_TIMED_STEPS = 10
MIN_TIMED_SHARE = 0.1
"""The time of a step is estimated after this number of steps, or after this fraction of
the time, whichever is earlier, without the first step, which may be much slower."""


class EndOfStage(KeyboardInterrupt):
    """Ends the training of a stage in skorch, as planned."""


class Schedule:
    """Progress of a stage of training.

    Without a time limit, and with one that leaves time for all steps, the progress is
    the fraction of the steps done. Otherwise each step advances it by the fraction of
    what is left that this step is of the steps for which there is time.

    Parameters
    ----------
    n_steps : int
        Number of steps of the stage.
    step : int, default=0
        Number of steps that an earlier process did.
    progress : float, default=None
        Progress at these steps; None is their fraction.
    deadline : float, default=None
        Time at which the stage should end, in seconds of `time.perf_counter`.

    Attributes
    ----------
    step : int
        Number of steps done.
    progress : float in [0, 1]
        Progress before the next step.
    """

    def __init__(
        self,
        n_steps: int,
        *,
        step: int = 0,
        progress: float | None = None,
        deadline: float | None = None,
    ) -> None:
        self.n_steps = n_steps
        self.step = step
        self.progress = step / n_steps if progress is None else progress
        self.deadline = deadline
        self._start = time.perf_counter() if deadline is not None else 0.0
        self._timing_start = self._start
        self._n_taken = 0  # unlike `step`, it counts steps that are repeated
        self.start_epoch()

    @property
    def is_on_plan(self) -> bool:
        """Whether the progress is the fraction of the steps done."""
        return self.progress == self.step / self.n_steps

    @property
    def is_over(self) -> bool:
        """Whether there is no further step, because of the progress or the deadline."""
        if self.deadline is not None and time.perf_counter() >= self.deadline:
            return True
        return self.progress >= 1

    def start_epoch(self) -> None:
        """Remember the position, for an epoch that has to be repeated."""
        self._epoch_start = self.step, self.progress

    def restart_epoch(self) -> None:
        """Return to the start of the epoch."""
        self.step, self.progress = self._epoch_start

    def take_step(self) -> float:
        """Count a step, at its beginning.

        Returns
        -------
        progress : float in [0, 1)
            Progress before the step.
        """
        progress = self.progress
        n_left = self.n_steps - self.step
        n_fitting = self._count_fitting_steps()
        is_on_plan = self.is_on_plan and n_fitting >= n_left
        self.step += 1
        self._n_taken += 1
        if is_on_plan:
            self.progress = self.step / self.n_steps
        else:
            n_steps = max(1.0, min(n_left, n_fitting))
            self.progress = min(1.0, progress + (1 - progress) / n_steps)
        return progress

    def _count_fitting_steps(self) -> float:
        """Return for how many steps there is time."""
        if self.deadline is None:
            return float("inf")
        now = time.perf_counter()
        if self._n_taken <= 1:
            self._timing_start = now
        n_timed = self._n_taken - 1
        is_early = now - self._start < MIN_TIMED_SHARE * (self.deadline - self._start)
        # The time of validation and callbacks is part of that of the steps.
        elapsed = now - self._timing_start
        if elapsed <= 0 or (n_timed < MIN_TIMED_STEPS and is_early):
            return float("inf")
        return max(0.0, self.deadline - now) * n_timed / elapsed


class TimeLimit:
    """Divides the time that `fit` may take among the stages of training.

    Parameters
    ----------
    seconds : float
        Time that `fit` may take.
    start_time : float
        When it began, in seconds of `time.perf_counter`.
    seconds_after : float, default=0.0
        Time that it takes after training.

    Attributes
    ----------
    seconds_besides : float
        Time that it takes before and after training.
    end_time : float
        When training should end: at least `MIN_SHARE` of the time limit from now.
    is_extended : bool
        Whether that is later than the time limit allows.
    """

    def __init__(
        self, seconds: float, start_time: float, seconds_after: float = 0.0
    ) -> None:
        now = time.perf_counter()
        self.seconds = seconds
        self.seconds_besides = now - start_time + seconds_after
        left = seconds - self.seconds_besides
        self.is_extended = left < MIN_SHARE * seconds
        self.end_time = now + max(left, MIN_SHARE * seconds)

    def stage_deadline(self, n_epochs: int, n_later_epochs: int) -> float:
        """Return when a stage that begins now should end.

        Parameters
        ----------
        n_epochs, n_later_epochs : int
            Numbers of epochs of the stage, and of all later ones. The time that is left
            is divided in this ratio.
        """
        now = time.perf_counter()
        share = n_epochs / max(1, n_epochs + n_later_epochs)
        return now + share * max(0.0, self.end_time - now)


class StageLimit(Callback):
    """End a stage after the epoch in which its time has run out.

    The net has a `Schedule` as ``schedule_``. The other callbacks have to come first.

    Attributes
    ----------
    has_shortened : bool
        Whether the current stage had further steps when it was ended.
    """

    has_shortened = False

    def on_train_begin(self, net: NeuralNet, **kwargs: object) -> None:
        """Begin a stage."""
        self.has_shortened = False

    def on_epoch_end(self, net: NeuralNet, **kwargs: object) -> None:
        """End the stage if its schedule has ended."""
        schedule = net.schedule_
        if schedule.is_over:
            self.has_shortened = schedule.step < schedule.n_steps
            raise EndOfStage
