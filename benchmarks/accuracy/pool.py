"""Accuracy and time of the default teacher alone, to compare two revisions.

    python -m benchmarks accuracy.pool --seeds 0 --out pool.json
    python -m benchmarks accuracy.pool --seeds 0 --compare pool.json

The second command prints mean differences to the first one's results, with their
standard errors over the settings. The pool sees the columns as they are.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_data import PANEL, split
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


def main(argv=None):
    """Run the settings that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--datasets", nargs="+", default=PANEL)
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, help="file for the results")
    parser.add_argument("--compare", type=Path, help="results of another revision")
    args = parser.parse_args(argv)
    results = {}
    for seed in args.seeds:
        for labels in args.labels:
            for name in args.datasets:
                key = f"{name}/{labels}/{seed}"
                results[key] = measure(name, labels, seed)
                held_out, unlabelled, seconds = results[key]
                print(f"{key:20s} {held_out:.4f} {unlabelled:.4f} {seconds:6.1f} s")
    if args.out is not None:
        args.out.write_text(json.dumps(results, indent=1))
    if args.compare is not None:
        compare(results, json.loads(args.compare.read_text()))


if __name__ == "__main__":
    main()
