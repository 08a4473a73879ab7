"""Print the MNIST table, with the errors of the papers, and plot errors over time.

python -m benchmarks mnist.report
"""

import json
from pathlib import Path

import numpy as np

from benchmarks.common.command_line import make_parser
from benchmarks.common.figures import save_figure
from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.tables import print_table
from benchmarks.mnist.methods import METHODS
from benchmarks.mnist.train import LABELS

PAPERS = {
    "Kingma 2014, M1+TSVM": (11.82, 5.72, 4.24, 3.49),
    "Kingma 2014, M2": (11.97, 4.94, 3.60, 3.92),
    "Kingma 2014, M1+M2": (3.33, 2.59, 2.40, 2.18),
    "Maaloe 2016, ADGM": (0.96,),
    "Maaloe 2016, SDGM": (1.32,),
}
"""Errors in % with 100, 600, 1000 and 3000 labels, as printed in the papers."""


def report(results):
    """Print the table: means over seeds, standard deviations and numbers of seeds."""
    lines = [
        [name, *(f"{e:.2f}" for e in errors), *[""] * (len(LABELS) - len(errors)), ""]
        for name, errors in PAPERS.items()
    ]
    for method in METHODS:
        errors = {n: [] for n in LABELS}
        minutes = []
        for key, result in results.items():
            name, n, _ = key.rsplit(" / ", 2)
            if name == method:
                errors[int(n)].append(result["error"])
                minutes.append(result["minutes"])
        if not minutes:
            continue
        texts = [
            f"{np.mean(v):.2f} ± {np.std(v, ddof=min(1, len(v) - 1)):.2f} ({len(v)})"
            if v
            else ""
            for v in errors.values()
        ]
        lines.append([method, *texts, f"{np.mean(minutes):.0f}"])
    header = ["error, % (seeds)", *(f"{n} labels" for n in LABELS), "minutes"]
    print_table(header, lines)


def plot(results, path):
    """Plot test errors with 100 labels against training time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    colours = {method: f"C{i}" for i, method in enumerate(METHODS)}
    for key, result in results.items():
        method, n, seed = key.rsplit(" / ", 2)
        points = [p for p in result["curve"] if "error" in p]
        if int(n) == 100 and points:
            axes.plot(
                [p["minutes"] for p in points],
                [p["error"] for p in points],
                color=colours[method],
                lw=1,
                label=method if seed == "0" else None,
            )
    axes.set(xlabel="minutes", ylabel="test error, %", ylim=(0, 20))
    axes.legend(fontsize=8)
    save_figure(figure, path)


def main(argv=None):
    """Print the table and draw the plot."""
    parser = make_parser("mnist.report", __doc__)
    parser.add_argument("--file", type=Path, default=RESULTS / "mnist.json")
    parser.add_argument("--image", type=Path, default=IMAGES / "mnist.png")
    args = parser.parse_args(argv)
    results = json.loads(args.file.read_text())
    report(results)
    plot(results, args.image)


if __name__ == "__main__":
    main()
