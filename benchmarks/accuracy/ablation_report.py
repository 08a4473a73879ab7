"""Tables of the ablations: what each ingredient of the default adds.

    python benchmarks/ablation_report.py benchmarks/results/ablations.json

Differences are in points of held-out accuracy, variant minus default, on the same
splits with the same seeds: their mean over settings, and after ± its standard error
over settings (a setting is a data set with a number of labels a class, its difference
the mean over seeds). Negative: the ingredient helps.
"""

import argparse
from pathlib import Path

import numpy as np
from ablations import VARIANTS
from measure import table
from panel import read
from panel_data import CHOSEN_ON, REPORTED_ON


def by_setting(results, rows, name):
    """Accuracies in % by setting and seed."""
    found = {}
    for cell, result in results.items():
        if cell.rows == rows and cell.method == name and "held_out" in result:
            setting = cell.dataset, cell.labels
            found.setdefault(setting, {})[cell.seed] = 100 * result["held_out"]
    return found


def differences(results, rows, name):
    """Mean difference from the default by setting, over the seeds that both have."""
    default = by_setting(results, rows, "default")
    other = by_setting(results, rows, name)
    paired = {}
    for setting in default.keys() & other.keys():
        seeds = default[setting].keys() & other[setting].keys()
        if seeds:
            paired[setting] = np.mean(
                [other[setting][s] - default[setting][s] for s in seeds]
            )
    return paired


def mean_and_error(values):
    """Write a mean and its standard error."""
    if not values:
        return ""
    text = f"{np.mean(values):+.2f}"
    if len(values) > 1:
        text += f" ± {np.std(values, ddof=1) / np.sqrt(len(values)):.2f}"
    return text


def extremes(paired):
    """Name the settings that lose and gain most."""
    ordered = sorted(paired, key=paired.get)
    return [f"{s[0]}/{s[1]} {paired[s]:+.1f}" for s in (ordered[0], ordered[-1])]


def report(results, rows):
    """Print the table of one panel."""
    default = by_setting(results, rows, "default")
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
    table([*header, *more], lines)


def main():
    """Print a table for each panel in the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    results, _ = read(parser.parse_args().file)
    for rows in sorted({cell.rows for cell in results}, key=str):
        report(results, rows)


if __name__ == "__main__":
    main()
