r"""From two labels a class to labels for all rows: tables and a picture.

    python benchmarks/panel.py --sets optdigits satimage segment phoneme covtype15k \\
        --labels 1 2 5 10 20 50 100 100000 --seeds 0 1 \\
        --methods ours network lr svc rf knn7 --out benchmarks/results/curves.json
    python benchmarks/learning_curves.py benchmarks/results/curves.json

Mean held-out accuracy over seeds, in %. "all" is a label for every training row, where
no teacher is asked; "SSVAEClassifier(teacher=None), labelled rows" is the same network
without unlabelled rows.
"""

import argparse
from pathlib import Path

import numpy as np
from measure import HERE, table
from panel import read
from panel_report import NAMES

ALL = 100_000


def curves(results):
    """Means over seeds: by set and method a dict from labels to %."""
    values = {}
    for cell, result in results.items():
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


def write(labels):
    """Name a number of labels."""
    return "all" if labels >= ALL else str(labels)


def draw(found, path):
    """Draw a panel for each set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, every = plt.subplots(
        1, len(found), figsize=(3.4 * len(found), 3.6), layout="constrained"
    )
    for axes, (name, methods) in zip(np.atleast_1d(every), found.items(), strict=True):
        for method in (m for m in NAMES if m in methods):
            curve = methods[method]
            strong = {"lw": 2.5, "color": "black"} if method == "ours" else {"lw": 1.2}
            axes.plot(
                range(len(curve)), list(curve.values()), label=NAMES[method], **strong
            )
        axes.set_xticks(range(len(curve)), map(write, curve))
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("labels a class")
    np.atleast_1d(every)[0].set_ylabel("held-out accuracy, %")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main():
    """Print a table for each set, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--images", type=Path, default=HERE.parent / "docs" / "images", help="folder"
    )
    args = parser.parse_args()
    results, _ = read(args.file)
    found = curves(results)
    for name, methods in found.items():
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
        table(["", *map(write, columns)], rows)
    draw(found, args.images / "learning_curves.png")


if __name__ == "__main__":
    main()
