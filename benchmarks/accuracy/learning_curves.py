r"""Print and plot accuracy against the number of labels, from one a class to all.

    python -m benchmarks accuracy.panel \
        --sets optdigits satimage segment phoneme covtype15k \
        --labels 1 2 5 10 20 50 100 100000 --seeds 0 1 \
        --methods ours network lr svc svc_raw rf knn7 knn7_raw \
        --out benchmarks/results/curves.json
    python -m benchmarks accuracy.learning_curves

Mean held-out accuracy over seeds, in %. As in the panel, methods that depend on the
scale of the columns have the better of standardised columns and columns as they are. In
the column "all" every training row has a label, so the teacher is not used.
"SSVAEClassifier(teacher=None), labelled rows" is the same network, fitted without the
unlabelled rows.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_arrays import NAMES, better_columns
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.figures import save_figure
from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.tables import print_table

ALL = 100_000


def mean_curves(results):
    """Return mean accuracies in %, by set, method and number of labels."""
    values = {}
    for cell, result in better_columns(results)[0].items():
        if "held_out" in result:
            curve = values.setdefault(cell.dataset, {}).setdefault(cell.method, {})
            curve.setdefault(cell.labels, []).append(100 * result["held_out"])
    return {
        name: {
            method: {k: np.mean(v) for k, v in sorted(curve.items())}
            for method, curve in methods.items()
        }
        for name, methods in values.items()
    }


def format_labels(labels):
    """Format a number of labels."""
    return "all" if labels >= ALL else str(labels)


def plot(curves, path):
    """Plot the curves, one panel for each set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, every = plt.subplots(
        1, len(curves), figsize=(3.4 * len(curves), 3.6), layout="constrained"
    )
    for axes, (name, methods) in zip(np.atleast_1d(every), curves.items(), strict=True):
        for method in (m for m in NAMES if m in methods):
            curve = methods[method]
            strong = {"lw": 2.5, "color": "black"} if method == "ours" else {"lw": 1.2}
            axes.plot(
                range(len(curve)), list(curve.values()), label=NAMES[method], **strong
            )
        axes.set_xticks(range(len(curve)), map(format_labels, curve))
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("labels a class")
    np.atleast_1d(every)[0].set_ylabel("held-out accuracy, %")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    save_figure(figure, path)


def main(argv=None):
    """Print a table for each set, and plot the curves."""
    parser = make_parser("accuracy.learning_curves", __doc__)
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=RESULTS / "curves.json",
        help="default: benchmarks/results/curves.json",
    )
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder")
    args = parser.parse_args(argv)
    results, _ = read(args.file)
    curves = mean_curves(results)
    for name, methods in curves.items():
        print(f"{name}\n")
        columns = sorted({k for curve in methods.values() for k in curve})
        rows = [
            [
                NAMES[method],
                *(f"{methods[method].get(k, np.nan):.1f}" for k in columns),
            ]
            for method in NAMES
            if method in methods
        ]
        print_table(["", *map(format_labels, columns)], rows)
    plot(curves, args.images / "learning_curves.png")


if __name__ == "__main__":
    main()
