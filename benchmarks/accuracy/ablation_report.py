"""Print the tables of ablations: what each ingredient of the default contributes.

    python -m benchmarks accuracy.ablation_report
    python -m benchmarks accuracy.ablation_report benchmarks/results/formulations.json
    python -m benchmarks accuracy.ablation_report \
        benchmarks/results/ablations_graphs.json --baseline "pool, harmonic"

Differences are in percentage points of held-out accuracy, variant minus default, or
minus another variant that is the baseline, on the same splits with the same seeds. A
setting is a data set with a number of labels of each class; its difference is the mean
over seeds. The table has the mean over settings and, after ±, its standard error over
settings. A negative difference means that the ingredient helps.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.ablations import VARIANTS
from benchmarks.accuracy.imbalanced import IMBALANCED
from benchmarks.accuracy.panel_data import (
    CHOSEN_ON,
    MANY_ROWS,
    ONE_UNIT,
    PANEL,
    REPORTED_ON,
)
from benchmarks.accuracy.panel_results import read
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.tables import print_table

ORDER = (*PANEL, *MANY_ROWS, *ONE_UNIT, *IMBALANCED)


def accuracy_by_setting(results, panel, name):
    """Return accuracies in %, by setting and seed; a panel is a scheme and rows."""
    accuracy = {}
    for cell, result in results.items():
        matches = (cell.scheme, cell.rows, cell.method) == (*panel, name)
        if matches and "held_out" in result:
            setting = cell.dataset, cell.labels
            accuracy.setdefault(setting, {})[cell.seed] = 100 * result["held_out"]
    return accuracy


def differences(results, panel, name, baseline):
    """Return the mean difference from the baseline by setting, over common seeds.

    Settings are in the order of the panel, which decides between ties in `extremes`.
    """
    reference = accuracy_by_setting(results, panel, baseline)
    other = accuracy_by_setting(results, panel, name)
    paired = {}
    common = reference.keys() & other.keys()
    for setting in sorted(common, key=lambda s: (ORDER.index(s[0]), s[1])):
        seeds = reference[setting].keys() & other[setting].keys()
        if seeds:
            paired[setting] = np.mean(
                [other[setting][s] - reference[setting][s] for s in seeds]
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


def report(results, panel, baseline):
    """Print the table of one panel, if it has the baseline."""
    reference = accuracy_by_setting(results, panel, baseline)
    if not reference:
        return
    seeds = sorted({seed for values in reference.values() for seed in values})
    level = np.mean([np.mean(list(v.values())) for v in reference.values()])
    scheme, rows = panel
    title = "all rows" if rows is None else f"at most {rows:,} rows"
    if scheme != "per_class":
        title += f", {scheme}"
    print(
        f"{title}: {len(reference)} settings, seeds {seeds}; {baseline} {level:.1f} %\n"
    )
    lines = []
    for name, variant in VARIANTS.items():
        paired = differences(results, panel, name, baseline)
        if name == baseline or not paired:
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
    parser.add_argument("--baseline", choices=VARIANTS, default="default")
    args = parser.parse_args(argv)
    results, _ = read(args.file)
    panels = {(cell.scheme, cell.rows) for cell in results}
    # Labels by class first.
    for panel in sorted(panels, key=lambda p: (p[0] != "per_class", str(p))):
        report(results, panel, args.baseline)


if __name__ == "__main__":
    main()
