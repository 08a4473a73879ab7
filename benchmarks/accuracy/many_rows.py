"""Print the table of the sets with many rows: the default, its parts, other methods.

    python -m benchmarks accuracy.many_rows

Held-out accuracies are in %, means over seeds. "Without deep generative parts" is the
default without a graph of the latent means of a VAE, and without the bound's say in
q(y given x); "teacher" is the opinion pool of the same fit. Other methods have the
better of standardised columns and columns as they are. After ± is the standard error
over data sets.

The cells are those of `accuracy.panel --all-rows` with methods and with ablations.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_arrays import NAMES, ORDER, better_columns
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.tables import print_table

PARTS = {
    "default": "default",
    "pool alone": "teacher",
    "nothing deep generative": "without deep generative parts",
}
RIVALS = ("rf", "lr", "self_lr", "knn7", "gl_poisson_mbo")


def accuracies(results):
    """Return accuracies in % by method, set and seed."""
    chosen, _ = better_columns(
        {cell: result for cell, result in results.items() if cell.rows is None}
    )
    accuracy = {}
    for cell, result in chosen.items():
        if "held_out" in result:
            by_set = accuracy.setdefault(cell.method, {})
            by_set.setdefault(cell.dataset, {})[cell.seed] = 100 * result["held_out"]
    return accuracy


def difference(accuracy, name, dataset):
    """Return the default minus another method, mean over the seeds that both have."""
    default = accuracy["default"][dataset]
    other = accuracy.get(name, {}).get(dataset, {})
    paired = [default[seed] - other[seed] for seed in default.keys() & other.keys()]
    return np.mean(paired) if paired else np.nan


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
    default = RESULTS / "many_rows.json"
    parser.add_argument("file", type=Path, nargs="?", default=default)
    results, _ = read(parser.parse_args(argv).file)
    accuracy = accuracies(results)
    sets = sorted(accuracy["default"], key=lambda name: ORDER.get(name, 99))
    titles = PARTS | {name: NAMES[name] for name in RIVALS}
    columns = {name: title for name, title in titles.items() if name in accuracy}
    parts = [name for name in PARTS if name in accuracy and name != "default"]
    rows, minus_parts, minus_best = [], {name: [] for name in parts}, []
    for dataset in sets:
        cells, means = [], {}
        for name in columns:
            by_seed = accuracy.get(name, {}).get(dataset, {})
            cells.append(f"{np.mean([*by_seed.values()]):.1f}" if by_seed else "")
            if by_seed and name in RIVALS:
                means[name] = np.mean([*by_seed.values()])
        for name, values in minus_parts.items():
            values.append(difference(accuracy, name, dataset))
        minus_best.append(
            difference(accuracy, max(means, key=means.get), dataset)
            if means
            else np.nan
        )
        seeds = len(accuracy["default"][dataset])
        rows.append([dataset, *cells, f"{minus_best[-1]:+.1f}", seeds])
    print("All rows, 20 labels of each class\n")
    print_table(["", *columns.values(), "default minus the best other", "seeds"], rows)
    lines = [
        [f"default minus {PARTS[name]}", formatted(values)]
        for name, values in minus_parts.items()
    ]
    lines.append(["default minus the best other method", formatted(minus_best)])
    print_table(["", "mean over sets"], lines)


if __name__ == "__main__":
    main()
