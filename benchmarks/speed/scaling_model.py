"""The model of time: seconds of a step, an epoch and a whole fit.

The seconds of a step are a sum of what `benchmarks.speed.step_cost` counts, with
factors that are fitted to measured steps. Those of a fit follow from the number of its
steps, and from measured seconds of the rows and of the teacher.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.optimize import nnls

from benchmarks.speed.step_cost import default_step
from sk_ssvae.training.batches import resolve_max_epochs

__all__ = ["FitModel", "Network", "StepModel", "Teacher", "fit_network", "fit_steps"]


@dataclass(frozen=True)
class StepModel:
    """Seconds of a step in one process.

    Attributes
    ----------
    overhead : float
        Seconds of a step, whatever its size.
    adversarial_overhead : float
        Further seconds of a step with adversarial training.
    per_flop, per_byte, per_draw : float
        Seconds of a floating-point operation of the matrix products, of a byte that is
        read or written, and of a normal draw.
    """

    overhead: float
    adversarial_overhead: float
    per_flop: float
    per_byte: float
    per_draw: float

    def parts(self, step):
        """Return the seconds of a step by their cause."""
        fixed = self.overhead + self.adversarial_overhead * step.adversarial
        optimizer = self.per_byte * step.optimizer_bytes
        return {
            "overhead": fixed,
            "products": self.per_flop * step.flops,
            "bytes": self.per_byte * step.bytes - optimizer,
            "optimizer": optimizer,
            "draws": self.per_draw * step.draws,
        }

    def seconds(self, step):
        """Return the seconds of a step."""
        return sum(self.parts(step).values())


def fit_steps(steps, seconds, per_draw):
    """Fit a `StepModel` by non-negative least squares of relative errors.

    Parameters
    ----------
    steps : list of Step
        Measured steps.
    seconds : list of float
        Their seconds.
    per_draw : float
        Seconds of a normal draw, which are measured alone.

    Returns
    -------
    model : StepModel
    """
    design = np.array([[1.0, s.adversarial, s.flops, s.bytes] for s in steps])
    seconds = np.asarray(seconds)
    rest = seconds - per_draw * np.array([s.draws for s in steps])
    scale = np.maximum(design.max(axis=0), 1e-300)  # no step may be adversarial
    factors, _ = nnls(design / scale / seconds[:, None], rest / seconds)
    return StepModel(*(factors / scale).tolist(), per_draw)


@dataclass(frozen=True)
class Network:
    """Latency of a message in seconds, and bytes per second."""

    latency: float
    bandwidth: float

    def seconds(self, step):
        """Return the seconds of the all-reduce of a step."""
        return step.messages * self.latency + step.sent_bytes / self.bandwidth


def fit_network(seconds_by_bytes):
    """Fit a `Network` to times of an all-reduce by two processes.

    Either sends two messages, with as many bytes together as the reduced array has.

    Parameters
    ----------
    seconds_by_bytes : dict of int to float
        Seconds by the bytes of the array.

    Returns
    -------
    network : Network
    """
    n_bytes = np.array([float(n) for n in seconds_by_bytes])
    seconds = np.array([*seconds_by_bytes.values()])
    design = np.column_stack([np.full(len(seconds), 2.0), n_bytes])
    scale = design.max(axis=0)
    factors, _ = nnls(design / scale / seconds[:, None], np.ones(len(seconds)))
    latency, per_byte = factors / scale
    return Network(float(latency), float(1 / per_byte))


@dataclass(frozen=True)
class Teacher:
    """Seconds of the default teacher, which does not use more than one process.

    Attributes
    ----------
    rows, seconds : tuple
        Measured points, by rising numbers of rows, between which the seconds are
        interpolated. The last one is the largest sample that the teacher is fitted to.
    per_row, most_per_row : float
        Seconds of each further row, which is predicted by the views that have weight:
        in two fits, as these views differ.
    """

    rows: tuple
    seconds: tuple
    per_row: float
    most_per_row: float

    def __call__(self, n_rows, *, most=False):
        """Return the seconds for a number of rows; `most` with `most_per_row`."""
        inside = float(np.interp(n_rows, self.rows, self.seconds))
        if n_rows < self.rows[0]:
            inside *= n_rows / self.rows[0]
        per_row = self.most_per_row if most else self.per_row
        return inside + per_row * max(0, n_rows - self.rows[-1])


@dataclass(frozen=True)
class FitModel:
    """Seconds of epochs and fits with `columns` columns and `classes` classes.

    Attributes
    ----------
    steps : StepModel
    network : Network
    teacher : Teacher
    preparation, prediction, shuffle : float
        Seconds of a row: reading and scaling, in every process; its class probabilities
        at the end, divided among processes; and, in every process and epoch, its place
        in a minibatch.
    columns, classes, labels : int
        Sizes, and the number of labelled rows.
    """

    steps: StepModel
    network: Network
    teacher: Teacher
    preparation: float
    prediction: float
    shuffle: float
    columns: int = 50
    classes: int = 5
    labels: int = 100

    def step(self, n_rows, batch_size, processes=1, *, adversarial=True):
        """Return a step; half of a minibatch enters the bound, as with the defaults."""
        step = default_step(
            n_rows,
            self.labels,
            batch_size,
            self.columns,
            self.classes,
            bound_rows=math.ceil(batch_size / 2),
            adversarial=adversarial,
        )
        return step.divided(processes)

    def step_parts(self, step):
        """Return the seconds of a step by their cause, with the all-reduce."""
        return self.steps.parts(step) | {"all-reduce": self.network.seconds(step)}

    def efficiency(self, n_rows, batch_size, processes):
        """Return the time of one process over that of all, and over their number."""
        one, many = (
            sum(self.step_parts(self.step(n_rows, batch_size, w)).values())
            for w in (1, processes)
        )
        return one / many / processes

    def epoch(self, n_rows, batch_size, processes=1, *, adversarial=True):
        """Return the seconds of an epoch."""
        step = self.step(n_rows, batch_size, processes, adversarial=adversarial)
        n_steps = math.ceil(n_rows / batch_size)
        return n_steps * sum(self.step_parts(step).values()) + n_rows * self.shuffle

    def training(
        self, n_rows, batch_size=128, processes=1, *, taught=True, epochs=None
    ):
        """Return the seconds of a fit without those of the teacher.

        Without a teacher there is no adversarial training.
        """
        if epochs is None:
            epochs = resolve_max_epochs(
                "auto", n_rows, batch_size, taught=taught, large_steps=True
            )
        seconds = n_rows * (self.preparation + self.prediction / processes)
        seconds += epochs * self.epoch(
            n_rows, batch_size, processes, adversarial=taught
        )
        if taught and processes > 1:  # the soft targets are sent
            seconds += 4 * n_rows * self.classes / self.network.bandwidth
        return seconds

    def as_dict(self):
        """Return what was fitted or measured, for a file."""
        return asdict(self)
