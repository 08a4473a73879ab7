"""Print the tables and draw the plots of the accuracy panel.

    python -m benchmarks accuracy.panel_report
    python -m benchmarks accuracy.panel_report benchmarks/results/panel_alone.json

A setting is a data set with a number of labels of each class. Accuracies are in %,
means over settings of the means over seeds; after ± is the standard error of the mean
over seeds. Of methods that were run on standardised columns and on the columns as they
are, each setting has the better one. Ranks are computed within each setting from the
means over seeds, with ties averaged, among the methods that were run on all settings; a
method that failed is ranked last. "20 labels" are 10 where classes are too small. The
plots are of the panel with labels by class. Those of another file than the default are
drawn only into a folder that is given.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_arrays import (
    NAMES,
    REFERENCES,
    Panel,
    mean,
    mean_and_error,
)
from benchmarks.accuracy.panel_data import CHOSEN_ON, MAX_ROWS, REPORTED_ON
from benchmarks.accuracy.panel_plots import plot_differences, plot_ranks
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.tables import format_number, print_table

OURS, OWN = "ours", ("ours", "m2", "network")
BASIC = ("knn7", "lr", "svc", "rf", "majority")
MARGIN = 3
"""Points below the best of `BASIC` that are too many."""

MAIN = (
    *("ours", "m2", "rf", "self_lr", "lr", "svc", "knn20", "knn7", "gl_laplace"),
    *("gl_poisson", "pyroved", "gl_poisson_mbo", "oracle"),
)
TITLES = {
    "per_class": "Labels by class",
    "random": "Labels drawn at random",
    "flipped": "Labels by class, a tenth of them wrong",
    "imbalanced": "Labels by class, imbalanced classes",
}


def print_means(panel, title, key, columns, more=None, **options):
    """Print a row for each method, with a column for each subset of the settings."""
    values = panel.values(key)
    if all(np.isnan(v).all() for v in values.values()):
        return
    print(f"{title}\n")
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


def differences(panel):
    """Return accuracies of SSVAEClassifier minus those of the best simple method.

    Returns
    -------
    points : ndarray of shape (n_settings,) or None
        Differences in points; None if SSVAEClassifier or all of `BASIC` are missing.
    best : list of str
        The best of the methods in `BASIC`, by setting.
    """
    basic = [name for name in BASIC if name in panel.methods]
    if OURS not in panel.methods or not basic:
        return None, []
    held_out = {name: 100 * mean(v) for name, v in panel.values("held_out").items()}
    others = np.nan_to_num(np.column_stack([held_out[name] for name in basic]), nan=-1)
    best = [basic[i] for i in others.argmax(axis=1)]
    return held_out[OURS] - others.max(axis=1), best


def print_below(panel):
    """Print the settings in which SSVAEClassifier is below the best simple method."""
    points, best = differences(panel)
    if points is None:
        return
    below = sorted(np.flatnonzero(points < 0), key=lambda i: points[i])
    names = ", ".join(NAMES[name] for name in BASIC if name in panel.methods)
    print(
        f"Below the best of {names}: {len(below)} of {len(points)} settings, "
        f"{(points < -MARGIN).sum()} of them by more than {MARGIN} points\n"
    )
    rows = []
    for i in below:
        name, labels = panel.settings[i]
        text = f"{points[i]:.1f}"
        text = f"**{text}**" if points[i] < -MARGIN else text
        rows.append([name, labels, text, named(panel, best[i], panel.settings[i])])
    if rows:
        print_table(["", "labels", "difference", "the best of them"], rows)


def print_embarrassments(panels):
    """Print how often SSVAEClassifier is below the best simple method, by scheme."""
    rows = []
    for title, panel in panels.items():
        points, best = differences(panel)
        if points is None:
            continue
        i = np.nanargmin(points)
        name, labels = panel.settings[i]
        worst = f"{points[i]:+.1f} ({name}, {labels} labels, {NAMES[best[i]]})"
        far = int((points < -MARGIN).sum())
        rows.append([title, len(points), int((points < 0).sum()), far, worst])
    if rows:
        names = ", ".join(NAMES[name] for name in BASIC)
        print("## No embarrassment\n")
        print(f"SSVAEClassifier minus the best of {names}; held-out accuracy\n")
        header = ["", "settings", "below", f"by more than {MARGIN} points", "worst"]
        print_table(header, rows)


def named(panel, method, setting):
    """Return the name of a method, with the columns where both were tried."""
    if panel.raw.get(method, {}).get(setting):
        return f"{NAMES[method]}, columns as they are"
    return NAMES[method]


def print_columns(panel):
    """Print how often columns as they are were better than standardised ones."""
    if not panel.raw:
        return
    print(
        "Better of standardised columns and columns as they are, by setting: the mean "
        "of the held-out accuracy over seeds decides, which favours these methods. "
        "SSVAEClassifier sees the columns as they are\n"
    )
    rows = [
        [NAMES[name], sum(panel.raw[name].values()), len(panel.raw[name])]
        for name in panel.methods
        if name in panel.raw
    ]
    print_table(["", "as they are", "of settings"], rows)


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
        for name, value, bold in zip(shown, means[:, i], comparable, strict=True):
            text = "" if np.isnan(value) else f"{value:.1f}"
            text = f"**{text}**" if bold and value == best else text
            row.append(f"{text} °" if panel.raw.get(name, {}).get(setting) else text)
        rows.append(row)
    mark = "; ° columns as they are" if panel.raw else ""
    print(
        "Held-out accuracy by setting; the best without the use of true labels is "
        f"bold{mark}\n"
    )
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
    print_columns(panel)
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
    parser.add_argument("--images", type=Path, help="folder of the plots")
    args = parser.parse_args(argv)
    images = args.images
    if images is None and args.file.resolve() == (RESULTS / "panel.json").resolve():
        images = IMAGES
    results, _ = read(args.file)
    panels = {}
    for scheme, rows in sorted({cell[:2] for cell in results}, key=str):
        limit = "all rows" if rows is None else f"at most {rows:,} rows"
        title = f"{TITLES[scheme]}, {limit}"
        panels[title] = panel = Panel(results, scheme, rows)
        report(panel, title)
        if images is not None and (scheme, rows) == ("per_class", MAX_ROWS):
            plot(panel, images)
    print_embarrassments(panels)


if __name__ == "__main__":
    main()
