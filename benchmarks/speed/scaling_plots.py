"""Figures of the model of time: steps, efficiency, epochs and fits."""

import numpy as np

from benchmarks.common.figures import save_figure

__all__ = ["plot_steps", "plot_time"]

ROWS = np.logspace(4, 9, 61)
MANY = 10**7


def new_axes():
    """Return a figure with two axes, and both."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for one in axes:
        one.grid(alpha=0.3)
    return figure, axes


def plot_steps(path, model, steps, batches):
    """Plot measured steps against the model, and efficiency against processes.

    Parameters
    ----------
    path : Path
        Image file to write.
    model : FitModel
    steps : list of (float, float, bool)
        Measured seconds, those of the model, and whether the step was left out.
    batches : sequence of int
        Rows of a minibatch, one line each.
    """
    figure, (left, right) = new_axes()
    for is_out, marker, label in ((False, "o", "fitted"), (True, "s", "left out")):
        points = [step[:2] for step in steps if step[2] == is_out]
        left.loglog(*1e3 * np.array(points).T, marker, label=label)
    both = 1e3 * np.array([step[:2] for step in steps])
    ends = [both.min() / 1.2, 1.2 * both.max()]
    left.loglog(ends, ends, "k-", linewidth=0.8)
    left.set(xlabel="measured, ms", ylabel="model, ms", title="Steps, one process")
    processes = np.unique(np.logspace(0, np.log10(256), 40).astype(int))
    for batch in batches:
        efficiency = [model.efficiency(MANY, batch, int(w)) for w in processes]
        right.semilogx(processes, efficiency, "--", label=f"batch_size={batch:,}")
    right.set(
        xlabel="processes",
        ylabel="efficiency",
        title="Steps by several processes, extrapolated",
        ylim=(0, 1.05),
    )
    for axes in (left, right):
        axes.legend(frameon=False)
    save_figure(figure, path)


def plot_time(path, model, fits, processes, batch):
    """Plot the time of an epoch and of a fit against the number of rows.

    Parameters
    ----------
    path : Path
        Image file to write.
    model : FitModel
    fits : dict of int to float
        Measured seconds of training with ``batch_size=128``, by rows.
    processes : sequence of int
        Numbers of processes, one line each.
    batch : int
        Rows of a minibatch.
    """
    figure, (left, right) = new_axes()
    lines = [(128, 1, "k"), *((batch, w, None) for w in processes)]
    for size, w, colour in lines:
        label = f"W = {w}, batch_size={size}"
        epochs = [model.epoch(int(n), size, w) for n in ROWS]
        training = [model.training(int(n), size, w) for n in ROWS]
        style = {"color": colour, "linewidth": 1.2}
        left.loglog(ROWS, epochs, "--", label=label, **style)
        right.loglog(ROWS, training, "--", **style)
    right.loglog([*fits], [*fits.values()], "ko", label="training, measured")
    teacher, gray = model.teacher, {"color": "tab:gray"}
    rows = [*teacher.rows, *ROWS[teacher.rows[-1] < ROWS]]
    low, high = ([teacher(n, most=most) for n in rows] for most in (False, True))
    right.fill_between(rows, low, high, alpha=0.25, label="teacher", **gray)
    right.loglog(teacher.rows, teacher.seconds, "s", label="teacher, measured", **gray)
    left.set(xlabel="rows", ylabel="seconds", title="An epoch, extrapolated")
    right.set(
        xlabel="rows", ylabel="seconds", title="Training of a fit, and its teacher"
    )
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
