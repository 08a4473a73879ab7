"""The model of time compared with fits that it was not fitted to."""

import math

import numpy as np

from benchmarks.common.tables import format_number, print_table
from benchmarks.speed.distributed import EPOCHS
from benchmarks.speed.scaling_results import (
    all_reduce_seconds,
    median,
    names_of,
    stored_fits,
)
from benchmarks.speed.step_cost import Step

__all__ = ["print_checks"]


def print_checks(results, model):
    """Print measured and modelled seconds of whole fits."""
    rows = [
        *_own_fits(results, model),
        *_whole_fits(results, model),
        *_processes(results, model),
    ]
    print("The model, and fits that it was not fitted to\n")
    print_table(
        ["benchmark", "CPU seconds of", "measured", "model", "error"],
        (
            [
                benchmark,
                what,
                format_number(measured),
                format_number(predicted),
                f"{100 * (predicted / measured - 1):+.0f} %",
            ]
            for benchmark, what, measured, predicted in rows
        ),
    )


def _own_fits(results, model):
    """Yield the training of fits of this benchmark."""
    for name in names_of(results, "fits"):
        fit = median(results, "fits", name)
        what = f"training, {int(name):,} rows"
        training = fit["fit"] - fit["teacher"]
        yield "speed.scaling", what, training, model.training(int(name))
    for name in names_of(results, "maps"):
        fit = median(results, "maps", name)
        what = f"one epoch, memory map of {int(name):,} rows"
        predicted = model.training(int(name), epochs=1)
        yield "speed.scaling", what, fit["fit"] - fit["teacher"], predicted


def _whole_fits(results, model):
    """Yield the training of stored fits of another benchmark, and their teachers."""
    measured = max(map(int, names_of(results, "fits")))
    for n, fit in stored_fits().items():
        what = f"training, {n:,} rows"
        training = fit["fit"] - fit["teacher"]
        yield "speed.whole_fit", what, training, model.training(n)
        if measured < n <= model.teacher.rows[-1]:
            what = f"teacher, {n:,} rows"
            yield "speed.whole_fit", what, fit["teacher"], model.teacher(n)


def _processes(results, model):
    """Yield fits by one and by two processes, whose all-reduce takes CPU time."""
    all_reduce = all_reduce_seconds(results, " CPU")
    for name in names_of(results, "processes"):
        size, w = name.split(", ")
        setting = results.groups["processes"]["info"]["settings"][size]
        what = f"{size}, each of {w} process{'es' * (w != '1')}"
        n_steps, step = _step_of_distributed(setting, int(w))
        each = model.steps.seconds(step)
        if w != "1":
            n_bytes = 4 * step.parameters
            each += np.interp(n_bytes, [*all_reduce], [*all_reduce.values()])
        n_rows = setting["rows"]
        predicted = EPOCHS * (n_steps * each + n_rows * model.shuffle)
        predicted += n_rows * (model.preparation + model.prediction / int(w))
        measured = median(results, "processes", name)["cpu"]
        yield "speed.scaling", what, measured, predicted


def _step_of_distributed(setting, processes):
    """Return the number of steps in an epoch of `speed.distributed`, and a step."""
    n, size = setting["rows"], setting["batch_size"]
    n_steps = math.ceil(n / size)
    unlabelled = math.ceil((n - 100) / n_steps)
    step = Step(
        labelled=min(100, math.ceil(size / 4)),
        unlabelled=unlabelled,
        bound_rows=unlabelled,
        columns=setting["columns"],
        classes=5,
        hidden=(setting["hidden"],),
        adversarial=False,
        processes=processes,
    )
    return n_steps, step
