"""Time and memory of SSVAEClassifier, beside other ways to the same answer.

    python benchmarks/speed.py WHAT [--rounds R] [--resume] [--quick]

WHAT is one of

- train: training beside hand-written loops and two other packages
- overhead: imports, the first fit and a later one
- inference: predict_proba and transform beside bare passes of the networks
- rows: training time and memory as rows become more
- classes: exact sums over classes and their estimates, time and accuracy
- threads: several fits at once, and one fit on several threads
- label_spreading: time, memory and accuracy beside scikit-learn's LabelSpreading

Every contestant runs once a round, in an order that rotates, so that a slow minute of
the machine does not fall on one of them. Prints tables, and writes the seconds of every
round to ``results/speed_WHAT.json``, round by round; ``--resume`` goes on from there.
``--quick`` is a trial with tiny sizes that leaves results and pictures alone.
"""

import argparse
import importlib
import os

from measure import ONE_THREAD

# Module and number of rounds of every benchmark.
WHAT = {
    "train": ("speed_train", 7),
    "overhead": ("speed_overhead", 7),
    "inference": ("speed_inference", 9),
    "rows": ("speed_rows", 7),
    "classes": ("speed_classes", 7),
    "threads": ("speed_threads", 5),
    "label_spreading": ("speed_label_spreading", 3),
}


def main():
    """Run one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subparsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for what, (_, rounds) in WHAT.items():
        sub = subparsers.add_parser(what)
        sub.add_argument("--rounds", type=int, default=None, help=f"default: {rounds}")
        sub.add_argument("--resume", action="store_true")
        sub.add_argument("--quick", action="store_true")
        if what in ("train", "threads"):
            sub.add_argument("--sizes", nargs="+", default=None)
        if what == "train":
            sub.add_argument(
                "--slow-rounds",
                type=int,
                default=None,
                help="rounds for all but ours and the floor; default: all rounds",
            )
        if what == "classes":
            only = sub.add_mutually_exclusive_group()
            only.add_argument("--time-only", action="store_true")
            only.add_argument("--accuracy-only", action="store_true")
    args = parser.parse_args()
    module, rounds = WHAT[args.what]
    if args.rounds is None:
        args.rounds = 2 if args.quick else rounds
    os.environ |= ONE_THREAD  # before numpy and torch are imported
    importlib.import_module(module).run(args)


if __name__ == "__main__":
    main()
