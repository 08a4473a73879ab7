"""Warnings of a training run that did not go as planned."""

from collections.abc import Sequence
from typing import NamedTuple

from sklearn.exceptions import ConvergenceWarning

from sk_ssvae.training.divergence import STEP_FACTOR
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.schedule import MIN_SHARE, TimeLimit
from sk_ssvae.utils.warnings import warn_user

__all__ = ["Shortened", "warn_diverged", "warn_interrupted", "warn_shortened"]


class Shortened(NamedTuple):
    """A stage of training that a time limit has shortened.

    Attributes
    ----------
    stage : str
        Its name; "" if it is the only one.
    done : float
        Fraction of its steps that were done.
    n_epochs : int
        Number of its epochs.
    """

    stage: str
    done: float
    n_epochs: int

    def __str__(self) -> str:
        of_stage = f" of the stage {self.stage!r}" if self.stage else ""
        return f"{self.done * self.n_epochs:.3g} of {self.n_epochs} epochs{of_stage}"


def warn_diverged(net: SSVAENet, learning_rate: float) -> None:
    """Warn that training continued with smaller steps than requested."""
    epoch, step = net.rollbacks_[0]
    smaller = learning_rate * STEP_FACTOR ** len(net.rollbacks_)
    times = "once" if len(net.rollbacks_) == 1 else f"{len(net.rollbacks_)} times"
    warn_user(
        f"Training diverged {times}, first in step {step} of epoch {epoch}. It was "
        "continued from the last good epoch with smaller steps: set "
        f"learning_rate={smaller:g} (it is {learning_rate:g}), and check X for extreme "
        "values.",
        ConvergenceWarning,
    )


def warn_interrupted(n_done: int, n_epochs: int, untrained: bool) -> None:
    """Warn that training was interrupted, unless all epochs are done."""
    if n_done == n_epochs:
        return
    consequence = "The model is fitted with these epochs and can be used."
    if untrained:
        consequence = (
            "The classifier has not been trained yet, so its predictions are "
            "meaningless. Call fit again with warm_start=True to continue with the "
            "next stage."
        )
    warn_user(
        f"Training was interrupted after {n_done} of {n_epochs} epochs. {consequence}",
        ConvergenceWarning,
    )


def warn_shortened(limit: TimeLimit, shortened: Sequence[Shortened]) -> None:
    """Warn that a time limit has shortened training."""
    extended = ""
    if limit.is_extended:
        extended = (
            f" The other steps of fit take {limit.seconds_besides:.3g} seconds; "
            f"training got {MIN_SHARE:.0%} of max_time nevertheless."
        )
    warn_user(
        f"max_time={limit.seconds:g} (seconds) was too short for max_epochs: training "
        f"was shortened to {' and '.join(map(str, shortened))}, and so were its "
        f"schedules.{extended} The model can be used. Increase max_time if it should "
        "be trained longer.",
        ConvergenceWarning,
    )
