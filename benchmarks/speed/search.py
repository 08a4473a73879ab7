"""A search over `latent_size`: the default teacher fitted anew, and read from disk.

    python -m benchmarks speed.search

Five candidates and three folds of the labelled rows, no refit, CPU seconds on one
thread. "stored" has ``teacher=OpinionPoolClassifier(memory=folder)`` with an empty
folder, which it fills. Both searches must have the same scores.
"""

import tempfile
import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SETS = ("digits", "pendigits", "satimage")
LATENT_SIZES = (2, 5, 10, 20, 30)


def search(dataset, memory, quick):
    """Return the CPU seconds and the scores of a grid search."""
    from sklearn.model_selection import GridSearchCV

    from benchmarks.common.data import few_labels, load
    from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
    from sk_ssvae.model_selection import LabeledStratifiedKFold, labeled_scorer

    X, y = load(dataset, 500 if quick else 5000)
    X, y_few, *_ = few_labels(X, y, 20, 0)
    found = GridSearchCV(
        SSVAEClassifier(teacher=OpinionPoolClassifier(memory=memory), random_state=0),
        {"latent_size": LATENT_SIZES[:2] if quick else LATENT_SIZES},
        scoring=labeled_scorer("accuracy"),
        cv=LabeledStratifiedKFold(3, shuffle=True, random_state=0),
        refit=False,
        error_score="raise",
    )
    start = time.process_time()
    found.fit(X, y_few)
    seconds = time.process_time() - start
    return seconds, found.cv_results_["mean_test_score"]


def compare(results, dataset, rounds, quick):
    """Interleave the two searches; return their summary."""
    scores = {}

    def candidate(stored):
        def run(_):
            with tempfile.TemporaryDirectory() as folder:
                seconds, found = search(dataset, folder if stored else None, quick)
            np.testing.assert_array_equal(found, scores.setdefault("first", found))
            return seconds

        return run

    candidates = {"fitted": candidate(False), "stored": candidate(True)}
    return results.interleave(dataset, candidates, rounds, base="fitted")


def main(argv=None):
    """Run the searches and print a table."""
    import torch

    parser = make_speed_parser("search", __doc__, rounds=3)
    args = parse_speed_args(parser, argv)
    torch.set_num_threads(1)
    results = Results("search", quick=args.quick, resume=args.resume)
    rows = []
    with threadpool_limits(1):
        for dataset in SETS[: 1 if args.quick else None]:
            summary = compare(results, dataset, args.rounds, args.quick)
            seconds = [format_number(v["seconds"]) for v in summary.values()]
            stored = summary["stored"]
            spread = format_percent(stored["ratio_spread"])
            rows.append([dataset, *seconds, format_number(stored["ratio"]), spread])
    header = ["", "fitted, CPU s", "stored, CPU s", "fitted / stored", "spread"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
