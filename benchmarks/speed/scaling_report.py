"""Tables of the model of time, from stored results; see `benchmarks.speed.scaling`."""

import numpy as np

from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.scaling_checks import print_checks
from benchmarks.speed.scaling_curves import (
    BATCHES,
    LARGE_BATCH,
    PROCESSES,
    print_choices,
    print_curves,
    print_efficiency,
)
from benchmarks.speed.scaling_plots import plot_steps, plot_time
from benchmarks.speed.scaling_results import (
    make_model,
    measured_steps,
    median,
    names_of,
    stored_fits,
)
from benchmarks.speed.step_times import make_step

__all__ = ["report"]

FEW_VIEWS = ("pca-4", "svm", "forest", "linear-generative")
"""Views that predict a row fast."""


def print_costs():
    """Print what a step costs on paper."""
    names = {
        "default, 50 columns, 5 classes": {},
        "without adversarial training": {"adversarial": False},
        "and all rows in the bound": {"adversarial": False, "bound_rows": None},
        "784 columns, 10 classes": {"columns": 784, "classes": 10},
        "100 classes": {"classes": 100},
        "batch_size=1024": {"batch_size": 1024},
        "batch_size=16384": {"batch_size": 16_384},
    }
    rows = []
    for name, setting in names.items():
        step = make_step(setting)
        rows.append(
            [
                name,
                f"{step.labelled + step.unlabelled:,}",
                f"{step.pairs:,}",
                f"{step.parameters:,}",
                f"{step.flops / 1e6:,.0f}",
                f"{step.bytes / 1e6:,.0f}",
                f"{step.draws:,}",
                f"{step.divided(16).sent_bytes / 1e6:.2f}",
            ]
        )
    print("A step on paper, one process; the all-reduce is that of 16 processes\n")
    print_table(
        [
            "",
            "rows",
            "pairs of row and class",
            "parameters",
            "MFLOP",
            "MB moved",
            "normal draws",
            "MB sent by a process",
        ],
        rows,
    )


def print_step_model(results, model):
    """Print the factors of the model, and its errors."""
    s = model.steps
    print_table(
        ["factor", "fitted"],
        [
            ["a, overhead of a step", f"{1e3 * s.overhead:.2f} ms"],
            ["of adversarial training", f"{1e3 * s.adversarial_overhead:.2f} ms"],
            ["b, matrix products", rate(s.per_flop, "GFLOP")],
            ["c, memory", rate(s.per_byte, "GB")],
            ["normal draws (measured alone)", f"{1e9 * s.per_draw:.1f} ns"],
            [
                "a message of the all-reduce",
                f"{1e6 * model.network.latency:.0f} microseconds",
            ],
            ["bandwidth", f"{model.network.bandwidth / 1e9:.1f} GB per second"],
        ],
    )
    settings, left_out, seconds = measured_steps(results)
    errors = {True: [], False: []}
    rows = []
    for name, setting in settings.items():
        predicted = s.seconds(make_step(setting))
        error = predicted / seconds[name] - 1
        errors[name in left_out].append(abs(error))
        spread = seconds[f"{name}_spread"]
        cells = [1e3 * seconds[name], 1e3 * predicted]
        rows.append(
            [
                name + (" (left out)" if name in left_out else ""),
                *map(format_number, cells),
                f"{100 * error:+.0f} %",
                format_percent(spread),
            ]
        )
    print_table(["step", "measured, ms", "model, ms", "error", "spread"], rows)
    for is_out, label in ((False, "fitted"), (True, "left out")):
        values = errors[is_out]
        print(
            f"{label}: {len(values)} settings, relative error "
            f"{format_percent(np.median(values))} in the median, "
            f"{format_percent(max(values))} at most"
        )
    print()


def rate(seconds, unit):
    """Format the seconds of an operation or a byte as a rate."""
    return f"{1e-9 / seconds:.0f} {unit} per second" if seconds else "0 seconds"


def print_rows(results, model):
    """Print the seconds of rows outside of steps, and of the teacher."""
    info = results.groups["rows"]["info"]["rows"]
    print_table(
        ["microseconds a row", *(f"{n:,} rows" for n in info)],
        (
            [
                name,
                *(
                    format_number(1e6 * median(results, "rows", f"{n}")[name])
                    for n in info
                ),
            ]
            for name in ("preparation", "shuffle", "prediction")
        ),
    )
    teacher = model.teacher
    (name,) = names_of(results, "maps")
    views = median(results, "maps", name)["views"]
    print_table(
        ["rows", "teacher, s"],
        (
            [f"{n:,}", format_number(s)]
            for n, s in zip(teacher.rows, teacher.seconds, strict=True)
        ),
    )
    print(
        f"A row outside of the sample of {teacher.rows[-1]:,} of {int(name):,} rows: "
        f"{1e3 * teacher.per_row:.3f} milliseconds, by {views:.0f} views\n"
        f"A row beyond {teacher.rows[-1]:,} of {max(stored_fits()):,} in memory "
        "(speed.whole_fit): "
        f"{1e3 * teacher.most_per_row:.3f} milliseconds\n"
    )
    info = results.groups["views"]["info"]
    found = {
        name: median(results, "views", name) for name in names_of(results, "views")
    }
    cheap = [name for name in FEW_VIEWS if name in found]
    print_table(
        ["view alone", f"fit of {info['rows']:,} rows, s", "a further row, ms"],
        (
            [name, format_number(v["fit"]), format_number(1e3 * v["row"])]
            for name, v in found.items()
        ),
    )
    total = sum(found[name]["row"] for name in cheap)
    print(f"{', '.join(cheap)}: a further row {1e3 * total:.3f} ms\n")


def report(results, latency=None, bandwidth=None):
    """Print all tables; draw both figures, unless the network is another one."""
    model = make_model(results, latency, bandwidth)
    print_costs()
    print_step_model(results, model)
    print_rows(results, model)
    print_checks(results, model)
    print_efficiency(model)
    print_curves(model)
    if "10000" in names_of(results, "fits"):  # no trial run
        print_choices(results, model)
    if latency is None and bandwidth is None:
        settings, left_out, seconds = measured_steps(results)
        steps = [
            (seconds[name], model.steps.seconds(make_step(setting)), name in left_out)
            for name, setting in settings.items()
        ]
        plot_steps(results.images / "scaling_steps.png", model, steps, BATCHES)
        fits = {int(n): median(results, "fits", n) for n in names_of(results, "fits")}
        training = {n: fit["fit"] - fit["teacher"] for n, fit in fits.items()}
        path = results.images / "scaling_time.png"
        plot_time(path, model, training, PROCESSES, LARGE_BATCH)
