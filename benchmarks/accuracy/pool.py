"""Accuracy and time of the default teacher alone, and of the network minus it.

    python -m benchmarks accuracy.pool --seeds 0 --out pool.json
    python -m benchmarks accuracy.pool --seeds 0 --compare pool.json
    python -m benchmarks accuracy.pool --seeds 0 1 2 3 --network

The second command prints mean differences to the first one's results, of another
revision, with their standard errors over the settings. The third prints the accuracy of
`SSVAEClassifier` in ``results/panel.json`` minus that of its teacher, on the same
splits. The pool sees the columns as they are.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_data import (
    CHOSEN_ON,
    MAX_ROWS,
    PANEL,
    labels_for,
    split,
)
from benchmarks.accuracy.panel_results import Cell, read
from benchmarks.common.paths import RESULTS
from sk_ssvae import OpinionPoolClassifier


def measure(name, labels, seed):
    """Return held-out accuracy, accuracy on unlabelled rows, and CPU seconds."""
    data = split(name, labels, seed)
    start = time.process_time()
    pool = OpinionPoolClassifier(random_state=seed).fit(data.X_train, data.y_few)
    seconds = time.process_time() - start
    hidden = data.y_few == -1
    return [
        float((pool.predict(data.X_test) == data.y_test).mean()),
        float((pool.transduction_[hidden] == data.y_train[hidden]).mean()),
        seconds,
    ]


def compare(results, before):
    """Print mean differences in points, and the median ratio of seconds."""
    names = sorted(results.keys() & before.keys())
    new, old = (np.array([r[name] for name in names]) for r in (results, before))
    points = 100 * (new - old)[:, :2]
    mean, error = points.mean(0), points.std(0, ddof=1) / np.sqrt(len(names))
    print(f"\n{len(names)} settings, points of difference")
    for label, m, e in zip(("held-out", "unlabelled"), mean, error, strict=True):
        print(f"  {label:10s} {m:+.2f} ± {e:.2f}")
    print(f"  seconds, median ratio {np.median(new[:, 2] / old[:, 2]):.2f}")


def compare_network(results, panel):
    """Print the accuracy of the network minus that of its teacher, in points."""
    by_setting = defaultdict(list)
    for key, (held_out, unlabelled, _) in results.items():
        name, labels, seed = key.split("/")
        cell = Cell("per_class", MAX_ROWS, name, int(labels), int(seed), "ours")
        network = panel[cell]
        by_setting[name, labels].append(
            (network["held_out"] - held_out, network["transductive"] - unlabelled)
        )
    means = {k: 100 * np.mean(v, axis=0) for k, v in by_setting.items()}
    print(f"\nnetwork minus teacher, {len(means)} settings, points")
    print("| sets | held out | unlabelled | worst, held out |")
    print("|---|---|---|---|")
    for half, is_chosen in (("chosen on", True), ("reported on", False)):
        part = {k: v for k, v in means.items() if (k[0] in CHOSEN_ON) == is_chosen}
        if not part:
            continue
        points = np.array(list(part.values()))
        mean, error = points.mean(0), points.std(0, ddof=1) / np.sqrt(len(points))
        held_out, unlabelled = (
            f"{m:+.2f} ± {e:.2f}" for m, e in zip(mean, error, strict=True)
        )
        worst = min(part, key=lambda k: part[k][0])
        print(
            f"| {half} | {held_out} | {unlabelled} "
            f"| {part[worst][0]:+.1f} ({worst[0]}, {worst[1]} labels) |"
        )
    below = sorted((v[0], k) for k, v in means.items() if v[0] < -1.5)
    for difference, (name, labels) in below:
        print(f"below -1.5: {name}, {labels} labels: {difference:+.1f}")


def main(argv=None):
    """Run the settings that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=PANEL)
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, help="file for the results")
    parser.add_argument("--compare", type=Path, help="results of another revision")
    parser.add_argument(
        "--network", action="store_true", help="compare the network with the teacher"
    )
    args = parser.parse_args(argv)
    results = {}
    for seed in args.seeds:
        for wanted in args.labels:
            for name in args.datasets:
                labels = labels_for(name, wanted)
                key = f"{name}/{labels}/{seed}"
                results[key] = measure(name, labels, seed)
                held_out, unlabelled, seconds = results[key]
                print(f"{key:20s} {held_out:.4f} {unlabelled:.4f} {seconds:6.1f} s")
    if args.out is not None:
        args.out.write_text(json.dumps(results, indent=1))
    if args.compare is not None:
        compare(results, json.loads(args.compare.read_text()))
    if args.network:
        compare_network(results, read(RESULTS / "panel.json")[0])


if __name__ == "__main__":
    main()
