"""Rows: time and memory of an epoch against the number of rows.

    python -m benchmarks speed.rows

One epoch of 10,000 to 1,000,000 rows x 30 with 2 classes. Memory is the peak growth of
the process during `fit`, which excludes X.
"""

import numpy as np
import torch

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.figures import save_figure
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from sk_ssvae import SSVAEClassifier

N_FEATURES = 30
PER_CLASS = 50
LAYOUTS = {
    "float32": lambda X: X,
    "float64": lambda X: X.astype(np.float64),
    "float32, Fortran order": np.asfortranarray,
}


def make_rows(n):
    """Return rows of two classes in single precision, with 50 labels of each class."""
    X, y = blobs(n, N_FEATURES, 2)
    return X, hide_labels(y, PER_CLASS, 0)


def fit(X, y):
    """Fit for one epoch."""
    plain = plain_m2(max_epochs=1, n_threads=1)
    model = SSVAEClassifier(random_state=0, device="cpu", **plain)
    return model.fit(X, y)


def memory_of(n, layout):
    """Return the bytes that a fit takes besides X, including its results."""
    torch.set_num_threads(1)
    X, y = make_rows(n)
    X = LAYOUTS[layout](X)
    small = np.concatenate([np.flatnonzero(y >= 0), np.flatnonzero(y < 0)[:200]])
    fit(X[small], y[small])  # the first call loads code
    _, n_bytes = peak_memory(fit, X, y)
    return {"bytes": n_bytes}


def slope(n, values):
    """Return the exponent b of values = a n^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(n), np.log(values), 1)[0])


def time_fits(results, args, sizes):
    """Time one epoch for every number of rows; return the seconds."""
    data = {n: make_rows(n) for n in sizes}
    fit(*data[sizes[0]])
    summary = results.interleave(
        "time",
        {f"{n}": lambda r, n=n: seconds_of(fit, *data[n]) for n in sizes},
        args.rounds,
        info={"features": N_FEATURES, "labels": 2 * PER_CLASS, "sizes": sizes},
    )
    seconds = [summary[f"{n}"]["seconds"] for n in sizes]
    results.groups["time"]["slope"] = slope(sizes, seconds)
    results.write()
    print_table(
        ["rows", "seconds", "microseconds a row", "spread"],
        (
            [
                f"{n:,}",
                format_number(s),
                format_number(s / n * 1e6),
                format_percent(summary[f"{n}"]["seconds_spread"]),
            ]
            for n, s in zip(sizes, seconds, strict=True)
        ),
    )
    print(f"Slope of log(seconds) on log(rows): {slope(sizes, seconds):.3f}\n")
    return seconds


def memory(results, args, sizes):
    """Measure memory for every number of rows and layout of X; return the bytes."""
    names = {f"{n}, {layout}": (n, layout) for n in sizes for layout in LAYOUTS}
    summary = results.interleave(
        "memory",
        {
            name: lambda r, n=n, layout=layout: in_fresh_process(
                "benchmarks.speed.rows:memory_of", n=n, layout=layout
            )
            for name, (n, layout) in names.items()
        },
        min(args.rounds, 3),
        info={"features": N_FEATURES, "sizes": sizes},
    )
    n_bytes = {
        layout: [summary[f"{n}, {layout}"]["bytes"] for n in sizes]
        for layout in LAYOUTS
    }
    header = ["rows"]
    for layout in LAYOUTS:
        header += [f"{layout}: bytes a row", "times X in float32"]
    rows = []
    for i, n in enumerate(sizes):
        row = [f"{n:,}"]
        for layout in LAYOUTS:
            each = n_bytes[layout][i] / n
            row += [f"{each:.0f}", f"{each / (4 * N_FEATURES):.2f}"]
        rows.append(row)
    print_table(header, rows)
    for layout in LAYOUTS:
        each = np.polyfit(sizes, n_bytes[layout], 1)[0]
        print(f"{layout}: {each:.0f} bytes for every further row")
    print()
    return n_bytes


def plot(results, sizes, seconds, n_bytes):
    """Plot time and memory against the number of rows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    left.loglog(sizes, seconds, "o-", label=f"slope {slope(sizes, seconds):.2f}")
    left.set(xlabel="rows", ylabel="seconds an epoch", title="Time of fit")
    for layout, values in n_bytes.items():
        right.loglog(sizes, np.array(values) / 1e6, "o-", label=layout)
    own = np.array(sizes) * 4 * N_FEATURES / 1e6
    right.loglog(sizes, own, "k--", label="X itself, float32")
    right.set(xlabel="rows", ylabel="MB", title="Memory of fit beyond X")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    save_figure(figure, results.images / "cost_rows.png")


def main(argv=None):
    """Measure time and memory, and plot both."""
    parser = make_speed_parser("rows", __doc__, rounds=7)
    args = parse_speed_args(parser, argv)
    torch.set_num_threads(1)
    results = Results("rows", quick=args.quick, resume=args.resume)
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000]
    if args.quick:
        sizes = [1000, 2000, 4000]
    seconds = time_fits(results, args, sizes)
    n_bytes = memory(results, args, sizes)
    plot(results, sizes, seconds, n_bytes)
    print(f"Written to {results.path.name} and cost_rows.png.")


if __name__ == "__main__":
    main()
