"""Times that the model extrapolates: to many rows, and to many processes."""

import math

from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.scaling_results import median, names_of, stored_fits

__all__ = [
    "BATCHES",
    "LARGE_BATCH",
    "PROCESSES",
    "print_choices",
    "print_curves",
    "print_efficiency",
]

PROCESSES = (1, 4, 16, 64)
BATCHES = (1024, 16_384)
"""Rows of the minibatches whose efficiencies are compared."""

LARGE_BATCH = 8192
"""Rows of a minibatch of several processes in the curves."""

CURVE_ROWS = tuple(10**k for k in range(4, 10))
MANY_ROWS = 10**7
"""Rows for which efficiencies are computed; they hardly depend on it."""

MOST_PROCESSES = 1024


def duration(seconds):
    """Format seconds with a unit that suits them."""
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{format_number(seconds / size, 2)} {unit}"
    return f"{format_number(seconds, 2)} s"


def span(low, high):
    """Format a range of seconds, or one of them if they look the same."""
    low, high = duration(low), duration(high)
    return low if low == high else f"{low} to {high}"


def print_curves(model):
    """Print times against rows and processes."""
    columns = [(128, 1), *((LARGE_BATCH, w) for w in PROCESSES)]
    header = [f"batch_size={b}, W = {w}" for b, w in columns]
    print("An epoch: extrapolated\n")
    print_table(
        ["rows", *header],
        (
            [power(n), *(duration(model.epoch(n, b, w)) for b, w in columns)]
            for n in CURVE_ROWS
        ),
    )
    print("The default teacher, and training with it: extrapolated\n")
    print_table(
        ["rows", "teacher", *header],
        (
            [
                power(n),
                span(model.teacher(n), model.teacher(n, most=True)),
                *(duration(model.training(n, b, w)) for b, w in columns),
            ]
            for n in CURVE_ROWS
        ),
    )


def power(n):
    """Format a power of ten."""
    return f"10^{round(math.log10(n))}"


def print_efficiency(model):
    """Print efficiencies, and the parts of a step that are not divided."""
    rows = []
    undivided = ("overhead", "optimizer", "draws", "all-reduce")
    for batch in BATCHES:
        for w in PROCESSES:
            parts = model.step_parts(model.step(MANY_ROWS, batch, w))
            whole = sum(parts.values())
            rows.append(
                [
                    f"{batch:,}",
                    w,
                    format_number(1e3 * whole),
                    format_percent(model.efficiency(MANY_ROWS, batch, w)),
                    *(format_percent(parts[name] / whole) for name in undivided),
                ]
            )
    print("Steps divided among W processes: extrapolated\n")
    print_table(["batch_size", "W", "ms", "efficiency", *undivided], rows)
    for batch in (64, 128, 256, 512):
        parts = model.step_parts(model.step(MANY_ROWS, batch))
        share = format_percent(parts["overhead"] / sum(parts.values()))
        print(f"batch_size={batch}, W = 1: the overhead is {share} of a step")
    for batch in (128, *BATCHES, 131_072):
        most = max(
            w
            for w in range(1, MOST_PROCESSES + 1)
            if model.efficiency(MANY_ROWS, batch, w) >= 0.5
        )
        print(f"batch_size={batch:,}: efficiency of at least 50 % up to W = {most}")
    print()


def print_choices(results, model):
    """Print seconds and memory for several numbers of rows."""
    rows = [*_measured(results, model), *_extrapolated(results, model)]
    print("What fits take, with 50 columns and 5 classes\n")
    print_table(
        ["rows", "", "teacher", "training", "memory, MB", ""],
        (
            [f"{n:,}", what, *seconds, f"{n_bytes / 1e6:,.0f}", how]
            for n, what, seconds, n_bytes, how in rows
        ),
    )
    print(
        f"A further row of a memory map takes {bytes_of_a_row():.0f} bytes "
        "(speed.out_of_core).\n"
    )


def _measured(results, model):
    """Yield measured fits, with the memory of X where it is in memory."""
    own = {10_000: ("speed.scaling", median(results, "fits", "10000"))}
    for n in (100_000, 1_000_000):
        own[n] = ("speed.whole_fit", stored_fits()[n])
    for n, (benchmark, fit) in own.items():
        seconds = _seconds(fit)
        n_bytes = fit["bytes"] + 4 * model.columns * n
        yield n, "in memory", seconds, n_bytes, f"measured, `{benchmark}`"
    for name in names_of(results, "maps"):
        fit = median(results, "maps", name)
        seconds = _seconds(fit)
        what = "memory map, max_epochs=1"
        yield int(name), what, seconds, fit["bytes"], "measured, `speed.scaling`"


def _seconds(fit):
    """Return the times of the teacher and of training of a fit."""
    return duration(fit["teacher"]), duration(fit["fit"] - fit["teacher"])


def bytes_of_a_row():
    """Return the bytes of memory of a further row of a memory map."""
    low, high = _map_points()
    return (high[1] - low[1]) / (high[0] - low[0])


def _map_points():
    """Return rows and bytes of two fits to a memory map, without a teacher."""
    stored = read_json(RESULTS / "speed_out_of_core.json")
    sizes = {625_000: "0.25 GB", 2_500_000: "1.0 GB"}
    return [(n, stored[key]["memory map"]["fit bytes"]) for n, key in sizes.items()]


def _extrapolated(results, model):
    """Yield fits to more rows, by memory maps."""
    largest = max(map(int, names_of(results, "maps")))
    with_teacher = largest, median(results, "maps", f"{largest}")["bytes"]
    without = _map_points()[0]
    for n in (10**6, 10**7):
        for batch, w, taught in (
            (128, 1, True),
            (LARGE_BATCH, 16, True),
            (128, 1, False),
            (LARGE_BATCH, 16, False),
        ):
            training = model.training(
                n, batch, w, taught=taught, epochs=None if taught else 1
            )
            teacher = "none"
            if taught:
                teacher = span(model.teacher(n), model.teacher(n, most=True))
            what = "memory map"
            what += f", W = {w}, batch_size={batch}" * (w > 1)
            what += ", teacher=None, max_epochs=1" * (not taught)
            n_known, n_bytes = with_teacher if taught else without
            n_bytes += bytes_of_a_row() * (n - n_known)
            seconds = teacher, duration(training)
            yield n, what, seconds, n_bytes, "extrapolated"
