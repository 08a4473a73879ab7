r"""Mixed column types, missing values and counts: accuracy, imputation, memory.

    python -m benchmarks accuracy.mixed_types accuracy
    python -m benchmarks accuracy.mixed_types imputation
    python -m benchmarks accuracy.mixed_types memory
    python -m benchmarks accuracy.mixed_types --report

``accuracy`` is measured on held-out rows, with 5 and 20 labels of each class.
``imputation`` hides a tenth of the observed cells at random and compares imputed with
true values. ``memory`` fits word counts of 11,314 x 16,158 in a new process. Each
result is written as soon as it is computed, and not computed again. See
``mixed_types_methods.py`` for data and methods.

Data come from the folder ``SK_SSVAE_DATA``; see ``benchmarks/common/data.py``.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.mixed_types_methods import (
    METHODS,
    measure_accuracy,
    measure_imputation,
)
from benchmarks.common.command_line import make_parser
from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

CHOSEN_ON = ("sc_mouse_bladder", "webkb4", "newsgroups20")
"""Sets on which the encoding of counts for teacher and networks was chosen."""

REPORTED_ON = ("adult", "sc_pbmc4k", "reuters_r8", "mushroom")
WITH_NUMBERS = ("adult", "credit_g", "bank_additional", "cells")
"""Sets with columns of numbers, reported on for imputation."""

IMPUTERS = ("default", "SimpleImputer", "IterativeImputer")


def report_accuracy(results, per_class):
    """Print the table of accuracies with a number of labels."""
    lines = []
    for name in (*CHOSEN_ON, *REPORTED_ON):
        by_method = [
            [
                result["accuracy"]
                for key, result in results.items()
                if key.startswith(f"accuracy / {name} / {per_class} / ")
                and key.endswith(f" / {method}")
            ]
            for method in METHODS
        ]
        if not all(by_method):
            continue
        best = max(np.mean(values) for values in by_method)
        texts = [
            f"{np.mean(values):.1f} ± {np.std(values):.1f}" for values in by_method
        ]
        cells = [
            f"**{text}**" if np.mean(values) == best else text
            for text, values in zip(texts, by_method, strict=True)
        ]
        lines.append([name, *cells])
    print_table([f"{per_class} labels a class", *METHODS], lines)
    print()


def report_imputation(results):
    """Print the table of imputation errors."""
    lines = []
    for name in WITH_NUMBERS:
        of_seeds = [
            r for key, r in results.items() if key.startswith(f"imputation / {name} /")
        ]
        if not of_seeds:
            continue
        rmse = {m: np.mean([r[m]["columns"] for r in of_seeds], 0) for m in IMPUTERS}
        below = int((rmse["default"] < rmse["SimpleImputer"]).sum())
        wrong = [
            f"{np.mean([r[m]['wrong'] for r in of_seeds]):.1f}"
            if "wrong" in of_seeds[0][m]
            else ""
            for m in IMPUTERS[:2]
        ]
        overall = (f"{np.mean([r[m]['rmse'] for r in of_seeds]):.3f}" for m in IMPUTERS)
        n_columns = len(rmse["default"])
        lines.append([name, *overall, f"{below} of {n_columns}", *wrong])
    header = ["columns below SimpleImputer", "default, % wrong", "mode, % wrong"]
    print_table(["", *IMPUTERS, *header], lines)


def report(results):
    """Print all tables."""
    for per_class in (5, 20):
        report_accuracy(results, per_class)
    report_imputation(results)
    if "memory" in results:
        print("\n", results["memory"])


def requested_results(args):
    """Yield the keys of the requested results, and functions that compute them."""
    if args.part == "memory":
        function = "benchmarks.accuracy.mixed_types_methods:measure_memory"
        yield "memory", lambda: in_fresh_process(function, threads=None)
        return
    seeds = args.seeds or range(10 if args.part == "accuracy" else 3)
    for name in args.sets:
        for seed in seeds:
            if args.part == "imputation":
                key = f"imputation / {name} / {seed}"
                yield key, lambda n=name, s=seed: measure_imputation(n, s)
                continue
            for n in args.labels:
                for method in args.methods:
                    key = f"accuracy / {name} / {n} / {seed} / {method}"
                    yield key, lambda a=(name, n, seed, method): measure_accuracy(*a)


def main(argv=None):
    """Compute the results that are not in the file, or print the tables."""
    parser = make_parser("accuracy.mixed_types", __doc__)
    parser.add_argument("part", nargs="?", choices=("accuracy", "imputation", "memory"))
    parser.add_argument("--sets", nargs="+", default=list(REPORTED_ON))
    parser.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        help="default: 0 to 9 for accuracy, 0 to 2 for imputation",
    )
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--out", type=Path, default=RESULTS / "mixed_types.json")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    args = parser.parse_args(argv)
    if args.part is None and not args.report:
        parser.error("Name what to measure (accuracy, imputation, memory) or --report.")
    results = read_json(args.out)
    if args.report:
        report(results)
        return
    for key, compute in requested_results(args):
        if key not in results:
            results[key] = compute()
            print(key, results[key], flush=True)
            write_json(args.out, results)


if __name__ == "__main__":
    main()
