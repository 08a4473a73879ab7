"""Print the tables of ablations: what each ingredient of the default contributes.

    python -m benchmarks accuracy.ablation_report
    python -m benchmarks accuracy.ablation_report benchmarks/results/formulations.json

Differences are in percentage points of held-out accuracy, variant minus default, on the
same splits with the same seeds. A setting is a data set with a number of labels of each
class; its difference is the mean over seeds. The table has the mean over settings and,
after ±, its standard error over settings. A negative difference means that the
ingredient helps.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.ablations import VARIANTS
from benchmarks.accuracy.panel_data import CHOSEN_ON, MANY_ROWS, PANEL, REPORTED_ON
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.tables import print_table

ORDER = PANEL + MANY_ROWS


def accuracy_by_setting(results, rows, name):
    """Return accuracies in %, by setting and seed."""
    accuracy = {}
    for cell, result in results.items():
        if cell.rows == rows and cell.method == name and "held_out" in result:
            setting = cell.dataset, cell.labels
            accuracy.setdefault(setting, {})[cell.seed] = 100 * result["held_out"]
    return accuracy


def differences(results, rows, name):
    """Return the mean difference from the default by setting, over common seeds.

    Settings are in the order of the panel, which decides between ties in `extremes`.
    """
    default = accuracy_by_setting(results, rows, "default")
    other = accuracy_by_setting(results, rows, name)
    paired = {}
    common = default.keys() & other.keys()
    for setting in sorted(common, key=lambda s: (ORDER.index(s[0]), s[1])):
        seeds = default[setting].keys() & other[setting].keys()
        if seeds:
            paired[setting] = np.mean(
                [other[setting][s] - default[setting][s] for s in seeds]
            )
    return paired


def mean_and_error(values):
    """Format a mean and its standard error."""
    if not values:
        return ""
    text = f"{np.mean(values):+.2f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1) / np.sqrt(len(values)):.2f}"
    return text


def extremes(paired):
    """Format the settings with the smallest and the largest difference."""
    ordered = sorted(paired, key=paired.get)
    return [f"{s[0]}/{s[1]} {paired[s]:+.1f}" for s in (ordered[0], ordered[-1])]


def report(results, rows):
    """Print the table of one panel."""
    default = accuracy_by_setting(results, rows, "default")
    seeds = sorted({seed for values in default.values() for seed in values})
    level = np.mean([np.mean(list(v.values())) for v in default.values()])
    panel = "all rows" if rows is None else f"at most {rows:,} rows"
    print(f"{panel}: {len(default)} settings, seeds {seeds}; default {level:.1f} %\n")
    lines = []
    for name, variant in VARIANTS.items():
        paired = differences(results, rows, name)
        if name == "default" or not paired:
            continue
        line = [name, variant.meaning, mean_and_error(list(paired.values()))]
        for sets in (CHOSEN_ON, REPORTED_ON):
            line.append(mean_and_error([d for s, d in paired.items() if s[0] in sets]))
        lines.append([*line, *extremes(paired), len(paired)])
    header = ["", "what is changed", "all settings", "sets chosen on"]
    more = ["sets reported on", "hurts most", "gains most", "settings"]
    print_table([*header, *more], lines)


def main(argv=None):
    """Print a table for each panel in the file."""
    parser = make_parser("accuracy.ablation_report", __doc__)
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=RESULTS / "ablations.json",
        help="default: benchmarks/results/ablations.json",
    )
    results, _ = read(parser.parse_args(argv).file)
    for rows in sorted({cell.rows for cell in results}, key=str):
        report(results, rows)


if __name__ == "__main__":
    main()
