"""Print the table of the sets with many rows, 20 labels of each class.

    python -m benchmarks accuracy.many_rows

Held-out accuracies are in %, means over seeds: of the default, of its teacher (the
opinion pool of the same fit), and of the default without its deep generative parts, a
graph of the latent means of a VAE and the bound's say in q(y given x). Other methods
have the better of standardised columns and columns as they are. The best of them is
that with the highest mean, without those that use true classes; differences are paired
by seed. After ± is the standard error over data sets.

The cells are those of `accuracy.panel --all-rows` with methods and with ablations.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_arrays import NAMES, ORDER, REFERENCES, better_columns
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.tables import print_table

LABELS = 20
DEFAULT = "default"
PARTS = {
    "pool alone": "teacher",
    "nothing deep generative": "without deep generative parts",
}
OTHERS = ("rf", "lr", "self_lr", "knn7", "gl_poisson_mbo")


def accuracies(results):
    """Return accuracies in % by method, set and seed."""
    panel = ("per_class", None, LABELS)
    chosen, _ = better_columns(
        {c: r for c, r in results.items() if (c.scheme, c.rows, c.labels) == panel}
    )
    accuracy = {}
    for cell, result in chosen.items():
        if "held_out" in result:
            by_set = accuracy.setdefault(cell.method, {})
            by_set.setdefault(cell.dataset, {})[cell.seed] = 100 * result["held_out"]
    return accuracy


def difference(accuracy, name, dataset):
    """Return the default minus another method, mean over the seeds that both have."""
    default = accuracy[DEFAULT][dataset]
    other = accuracy.get(name, {}).get(dataset, {})
    paired = [default[seed] - other[seed] for seed in default.keys() & other.keys()]
    return np.mean(paired) if paired else np.nan


def best_other(accuracy, dataset):
    """Return the best other method that uses no true classes, or None."""
    means = {
        name: np.mean([*accuracy[name][dataset].values()])
        for name in OTHERS
        if name not in REFERENCES and dataset in accuracy.get(name, {})
    }
    return max(means, key=means.get, default=None)


def formatted(values):
    """Format a mean over data sets and its standard error."""
    values = np.array(values)[~np.isnan(values)]
    if not len(values):
        return ""
    text = f"{values.mean():+.2f}"
    if len(values) > 1:
        text += f" ± {values.std(ddof=1) / np.sqrt(len(values)):.2f}"
    return text


def main(argv=None):
    """Print the tables."""
    parser = make_parser("accuracy.many_rows", __doc__)
    parser.add_argument(
        "file", type=Path, nargs="?", default=RESULTS / "many_rows.json"
    )
    results, _ = read(parser.parse_args(argv).file)
    accuracy = accuracies(results)
    sets = sorted(accuracy[DEFAULT], key=lambda name: ORDER.get(name, 99))
    titles = {DEFAULT: DEFAULT} | PARTS | {name: NAMES[name] for name in OTHERS}
    columns = {name: title for name, title in titles.items() if name in accuracy}
    rows, minus_best = [], []
    for dataset in sets:
        cells = []
        for name in columns:
            by_seed = accuracy[name].get(dataset, {})
            cells.append(f"{np.mean([*by_seed.values()]):.1f}" if by_seed else "")
        minus_best.append(difference(accuracy, best_other(accuracy, dataset), dataset))
        points = "" if np.isnan(minus_best[-1]) else f"{minus_best[-1]:+.1f}"
        rows.append([dataset, *cells, points, len(accuracy[DEFAULT][dataset])])
    print(f"All rows, {LABELS} labels of each class\n")
    print_table(["", *columns.values(), "default minus the best other", "seeds"], rows)
    lines = [
        [
            f"default minus {title}",
            formatted([difference(accuracy, name, dataset) for dataset in sets]),
        ]
        for name, title in PARTS.items()
        if name in accuracy
    ]
    lines.append(["default minus the best other method", formatted(minus_best)])
    print_table(["", "mean over sets"], lines)


if __name__ == "__main__":
    main()
