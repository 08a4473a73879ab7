"""Print the tables and draw the plots of the accuracy panel.

    python -m benchmarks accuracy.panel_report
    python -m benchmarks accuracy.panel_report benchmarks/results/panel_alone.json

A setting is a data set with a number of labels of each class. Accuracies are in %,
means over settings of the means over seeds; after ± is the standard error of the mean
over seeds. Ranks are computed within each setting from the means over seeds, with ties
averaged, among the methods that were run on all settings; a method that failed is
ranked last. "20 labels" are 10 where classes are too small. The plots are of the panel
with labels by class.
"""

import warnings
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from benchmarks.accuracy.panel_data import (
    CHOSEN_ON,
    MANY_ROWS,
    MAX_ROWS,
    PANEL,
    REPORTED_ON,
)
from benchmarks.accuracy.panel_plots import plot_differences, plot_ranks
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.tables import format_number, print_table

NAMES = {
    "ours": "SSVAEClassifier",
    "m2": "SSVAEClassifier(teacher=None)",
    "network": "SSVAEClassifier(teacher=None), labelled rows",
    "rf": "RandomForest(200), labelled rows",
    "self_lr": "SelfTraining(LogisticRegression)",
    "self_svc": "SelfTraining(SVC)",
    "lr": "LogisticRegression, labelled rows",
    "svc": "SVC(C=10), labelled rows",
    "boosting": "HistGradientBoosting, labelled rows",
    "knn20": "LabelSpreading (min-max, knn, 20)",
    "knn7": "LabelSpreading (knn, 7)",
    "spreading": "LabelSpreading (rbf, as shipped)",
    "propagation": "LabelPropagation (knn, 7)",
    "pyroved": "pyroVED ssiVAE",
    "oracle": "LabelSpreading, best of 36 by the true labels",
    "majority": "majority class",
}
OURS, OWN = "ours", ("ours", "m2", "network")
REFERENCES = ("oracle", "majority")
BASIC = ("knn7", "lr", "svc")
MAIN = (
    *("ours", "m2", "rf", "self_lr", "lr", "svc", "knn20", "knn7", "pyroved"),
    "oracle",
)
ORDER = {name: i for i, name in enumerate(dict.fromkeys((*PANEL, *MANY_ROWS)))}


class Panel:
    """Results of one scheme and one limit of rows, as arrays.

    Parameters
    ----------
    results : dict of Cell to dict
        All results of a file.
    scheme, rows
        Scheme and limit of rows of the panel; other results are ignored.

    Attributes
    ----------
    settings : list of (str, int)
        Data set and labels of each class.
    seeds : list of int
        Seeds.
    methods : list of str
        Methods with results.
    complete : list of str
        Methods that were run on all settings.
    ranked : list of str
        Methods among them that do not use the true labels.
    few : ndarray of bool of shape (n_settings,)
        Settings with 5 labels of each class.
    """

    def __init__(self, results, scheme, rows):
        self.results = {
            cell: result
            for cell, result in results.items()
            if (cell.scheme, cell.rows) == (scheme, rows)
        }
        cells = self.results
        settings = {(cell.dataset, cell.labels) for cell in cells}
        self.settings = sorted(settings, key=lambda s: (ORDER.get(s[0], 99), *s))
        self.seeds = sorted({cell.seed for cell in cells})
        present = {cell.method for cell in cells}
        self.methods = [name for name in NAMES if name in present]
        run = {(cell.method, cell.dataset, cell.labels) for cell in cells}
        self.complete = [
            name
            for name in self.methods
            if all((name, *setting) in run for setting in self.settings)
        ]
        self.ranked = [name for name in self.complete if name not in REFERENCES]
        self.few = np.array([labels == 5 for _, labels in self.settings])

    def among(self, sets):
        """Return a mask of the settings of these data sets."""
        return np.array([name in sets for name, _ in self.settings])

    def values(self, key):
        """Return values by method, of shape (n_settings, n_seeds); NaN if missing."""
        shape = len(self.settings), len(self.seeds)
        arrays = {name: np.full(shape, np.nan) for name in self.methods}
        for cell, result in self.results.items():
            i = self.settings.index((cell.dataset, cell.labels))
            value = result.get(key)
            if value is not None:
                arrays[cell.method][i, self.seeds.index(cell.seed)] = value
        return arrays

    def ranks(self, key="held_out"):
        """Return ranks of shape (n_settings, n_ranked); 1 is the largest value."""
        values = self.values(key)
        means = np.column_stack([mean(values[name]) for name in self.ranked])
        return rankdata(-np.nan_to_num(means, nan=-1), axis=1)


def mean(values):
    """Return the mean over seeds by setting; NaN where there are no values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=1)


def mean_and_error(values, chosen, factor=100, digits=1):
    """Format the mean over settings and its standard error over seeds."""
    values = factor * values[chosen]
    values = values[~np.isnan(values).all(axis=1)]
    if not len(values):
        return ""
    text = f"{mean(values).mean():.{digits}f}"
    # Effect of each seed on the mean over settings; a setting may lack some seeds.
    by_seed = values - mean(values)[:, None]
    by_seed = mean(by_seed[:, ~np.isnan(values).all(axis=0)].T)
    if len(by_seed) < 2:
        return text
    return f"{text} ± {by_seed.std(ddof=1) / np.sqrt(len(by_seed)):.{digits}f}"


def print_means(panel, title, key, columns, more=None, **options):
    """Print a row for each method, with a column for each subset of the settings."""
    print(f"{title}\n")
    values = panel.values(key)
    rows = []
    for name in panel.methods:
        if np.isnan(values[name]).all():
            continue
        cells = [mean_and_error(values[name], c, **options) for c in columns.values()]
        rows.append([NAMES[name], *cells, *(more[name].values() if more else ())])
    header = list(next(iter(more.values()))) if more else []
    print_table(["", *columns, *header], rows)


def summary(panel):
    """Return the further columns of the first table, by method."""
    held_out = panel.values("held_out")
    seconds, fit = panel.values("predict"), panel.values("fit")
    ranks = dict(zip(panel.ranked, panel.ranks().mean(axis=0), strict=True))
    columns = {}
    for name in panel.methods:
        total = (fit[name] + seconds[name])[~np.isnan(fit[name])]
        runs = [r for cell, r in panel.results.items() if cell.method == name]
        columns[name] = {"mean rank": f"{ranks[name]:.2f}" if name in ranks else ""}
        if "oracle" in panel.methods:
            above = mean(held_out[name]) > mean(held_out["oracle"])
            columns[name]["above the oracle"] = (
                "" if name in REFERENCES else above.sum()
            )
        columns[name] |= {
            "seconds, median": format_number(np.median(total)) if len(total) else "",
            "worst": format_number(total.max()) if len(total) else "",
            "settings": int((~np.isnan(held_out[name])).any(axis=1).sum()),
            "failed": sum("error" in result for result in runs) or "",
        }
    return columns


def print_below(panel):
    """Print the settings in which SSVAEClassifier is below three simple methods."""
    held_out = {name: 100 * mean(v) for name, v in panel.values("held_out").items()}
    if not {OURS, *BASIC} <= set(panel.methods):
        return
    best = np.max([held_out[name] for name in BASIC], axis=0)
    below = np.flatnonzero(held_out[OURS] < best)
    below = sorted(below, key=lambda i: held_out[OURS][i] - best[i])
    names = ", ".join(NAMES[name] for name in BASIC)
    print(f"Below the best of {names}: {len(below)} of {len(best)} settings\n")
    rows = []
    for i in below:
        name, labels = panel.settings[i]
        which = next(NAMES[b] for b in BASIC if held_out[b][i] == best[i])
        rows.append([name, labels, f"{held_out[OURS][i] - best[i]:.1f}", which])
    if rows:
        print_table(["", "labels", "difference", "the best of them"], rows)


def print_settings(panel):
    """Print the held-out accuracies of the main methods in all settings."""
    held_out = panel.values("held_out")
    shown = [name for name in MAIN if name in panel.methods]
    means = np.array([100 * mean(held_out[name]) for name in shown]).round(1)
    comparable = [name not in REFERENCES for name in shown]
    rows = []
    for i, setting in enumerate(panel.settings):
        best = np.nan_to_num(means[comparable, i], nan=-1).max()
        row = list(setting)
        for value, bold in zip(means[:, i], comparable, strict=True):
            text = "" if np.isnan(value) else f"{value:.1f}"
            row.append(f"**{text}**" if bold and value == best else text)
        rows.append(row)
    print("Held-out accuracy by setting; the best but for the oracle is bold\n")
    print_table(["", "labels", *(NAMES[name] for name in shown)], rows)


def report(panel, heading):
    """Print all tables of a panel."""
    print(f"## {heading}\n")
    everything = np.ones(len(panel.settings), dtype=bool)
    by_labels = {
        "all settings": everything,
        "5 labels": panel.few,
        "20 labels": ~panel.few,
    }
    seeds = ", ".join(map(str, panel.seeds))
    print(f"{len(panel.settings)} settings, seeds {seeds}\n")
    print_means(panel, "Held-out accuracy", "held_out", by_labels, summary(panel))
    by_group = {}
    for group, sets in (("chosen on", CHOSEN_ON), ("reported on", REPORTED_ON)):
        for column, chosen in by_labels.items():
            by_group[f"{group}: {column}"] = chosen & panel.among(sets)
    if panel.among(CHOSEN_ON).any() and panel.among(REPORTED_ON).any():
        print_means(
            panel, "Held-out accuracy, sets that constants were", "held_out", by_group
        )
    title = "Accuracy on unlabelled training rows"
    print_means(panel, title, "transductive", by_labels)
    title = "Log-loss of held-out rows in nats, probabilities clipped at 1e-6"
    print_means(panel, title, "log_loss", by_labels, factor=1, digits=2)
    print_below(panel)
    print_settings(panel)
    for cell, result in panel.results.items():
        if "error" in result:
            where = f"{cell.dataset}, {cell.labels} labels, seed {cell.seed}"
            print(f"- {NAMES[cell.method]}, {where}: {result['error']}")
    print()


def plot(panel, folder):
    """Plot mean ranks, and differences from the best other method."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [NAMES[name] for name in panel.ranked]
    sets = np.array([name for name, _ in panel.settings])
    plot_ranks(folder / "panel_ranks.png", names, panel.ranks(), sets)
    others = [name for name in panel.ranked if name not in OWN]
    if OURS in panel.ranked and others:
        means = {name: 100 * mean(v) for name, v in panel.values("held_out").items()}
        of_others = np.column_stack([means[name] for name in others])
        best = np.nan_to_num(of_others, nan=-1).argmax(axis=1)
        names = [NAMES[others[i]].removesuffix(", labelled rows") for i in best]
        differences = means[OURS] - np.nanmax(of_others, axis=1)
        cells = zip(panel.settings, differences, names, strict=True)
        plot_differences(folder / "panel_heatmap.png", list(cells))


def main(argv=None):
    """Print the tables and draw the plots."""
    parser = make_parser("accuracy.panel_report", __doc__)
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=RESULTS / "panel.json",
        help="default: benchmarks/results/panel.json",
    )
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder")
    args = parser.parse_args(argv)
    results, _ = read(args.file)
    for scheme, rows in sorted({cell[:2] for cell in results}, key=str):
        panel = Panel(results, scheme, rows)
        limit = "all rows" if rows is None else f"at most {rows:,} rows"
        labels = {
            "per_class": "by class",
            "random": "drawn at random",
            "flipped": "by class, a tenth of them wrong",
        }[scheme]
        report(panel, f"Labels {labels}, {limit}")
        if (scheme, rows) == ("per_class", MAX_ROWS):
            plot(panel, args.images)


if __name__ == "__main__":
    main()
