"""Accuracy with few labels on 21 data sets, compared with other methods.

    python -m benchmarks accuracy.panel --methods ours rf --seeds 0 1 2 3 --jobs 2
    python -m benchmarks accuracy.panel --scheme random
    python -m benchmarks accuracy.panel --scheme imbalanced
    python -m benchmarks accuracy.panel --all-rows
    python -m benchmarks accuracy.panel --ablations --jobs 1 --seeds 0
    python -m benchmarks accuracy.panel_report

A cell is a method on one split: a data set, a number of labels of each class, a seed,
and a scheme that chooses the labelled rows (see panel_data.py and panel_methods.py).
Each cell is written to the file as soon as it is finished, and cells in the file are
not run again, so a run may be interrupted at any time. Two runs may write to the same
file. Each process has one thread. If a method fails, or its process is killed, the cell
contains the message.

With --ablations the methods are variants of the default (see ablations.py).
"""

import os
import sys
from importlib import util
from pathlib import Path

from benchmarks.accuracy.ablations import runnable_variants
from benchmarks.accuracy.imbalanced import IMBALANCED
from benchmarks.accuracy.panel_data import (
    MANY_ROWS,
    MAX_ROWS,
    PANEL,
    SCHEMES,
    labels_for,
)
from benchmarks.accuracy.panel_methods import FROM_SPLIT, METHODS
from benchmarks.accuracy.panel_results import Cell, update
from benchmarks.accuracy.panel_workers import run_cells
from benchmarks.common.command_line import make_parser
from benchmarks.common.fresh_process import GB, ONE_THREAD
from benchmarks.common.paths import RESULTS

ALL_METHODS = (*METHODS, *FROM_SPLIT)
OPTIONAL = {"pyroved": "pyroved", "gl": "graphlearning"}
"""Packages by the part of a method's name before the first underscore."""


def parse(argv):
    """Parse the command line."""
    parser = make_parser("accuracy.panel", __doc__)
    parser.add_argument(
        "--methods", nargs="+", choices=ALL_METHODS, help="default: all installed"
    )
    parser.add_argument(
        "--ablations",
        nargs="*",
        choices=runnable_variants(),
        metavar="NAME",
        help="variants of the default instead of methods (see ablations.py)",
    )
    parser.add_argument("--sets", nargs="+", help="default: all of the panel")
    parser.add_argument(
        "--labels",
        nargs="+",
        type=int,
        help="labels of each class, at most as many as there are; 10 where classes are "
        "too small for 20; default: 5 20, with --all-rows 20",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--scheme", choices=SCHEMES, default="per_class")
    parser.add_argument(
        "--all-rows", action="store_true", help="the sets with many rows, unsampled"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--memory", type=float, default=10, help="GB for each process")
    parser.add_argument(
        "--redo",
        nargs="+",
        choices=ALL_METHODS,
        default=(),
        help="first delete all cells of these methods",
    )
    parser.add_argument(
        "--retry", action="store_true", help="run cells that failed again"
    )
    parser.add_argument(
        "--out", type=Path, help="default: results/panel.json or ablations.json"
    )
    args = parser.parse_args(argv)
    if args.out is None:
        name = "panel.json" if args.ablations is None else "ablations.json"
        args.out = RESULTS / name
    return args


def is_installed(method):
    """Return whether the package of a method is installed."""
    package = OPTIONAL.get(method.partition("_")[0])
    return package is None or util.find_spec(package) is not None


def requested_cells(args):
    """List the cells that the arguments describe."""
    methods = args.methods
    if args.ablations is not None:
        methods = args.ablations or runnable_variants()
    elif methods is None:
        methods = [name for name in ALL_METHODS if is_installed(name)]
    sets = MANY_ROWS if args.all_rows else PANEL
    if args.scheme == "imbalanced":
        sets = IMBALANCED
    labels = args.labels or ([20] if args.all_rows else [5, 20])
    rows = None if args.all_rows else MAX_ROWS
    cells = (
        Cell(args.scheme, rows, name, labels_for(name, k), seed, method)
        for seed in args.seeds
        for name in args.sets or sets
        for k in labels
        for method in methods
    )
    return list(dict.fromkeys(cells))


def main(argv=None):
    """Run the requested cells that are not in the file."""
    args = parse(argv)
    os.environ |= ONE_THREAD  # inherited by the workers, which import numpy and torch
    cells = requested_cells(args)
    missing = set(cells)

    def delete_and_skip(results):
        for cell, result in list(results.items()):
            failed = args.retry and "error" in result
            if cell.method in args.redo or (failed and cell in missing):
                del results[cell]
        missing.difference_update(results)

    update(args.out, delete_and_skip)
    cells = [cell for cell in cells if cell in missing]
    memory = int(args.memory * GB)
    done = run_cells(cells, args.jobs, memory)
    for number, (cell, result) in enumerate(done, start=1):
        update(args.out, lambda results, new={cell: result}: results.update(new))
        print(f"{number} of {len(cells)}:", describe(cell, result), file=sys.stderr)


def describe(cell, result):
    """Describe the result of a cell in one line."""
    where = f"{cell.dataset}, {cell.labels} labels, {cell.scheme}, seed {cell.seed}"
    if "error" in result:
        return f"{where}: {cell.method} failed: {result['error']}"
    seconds = result["fit"] + result["predict"]
    return f"{where}: {cell.method} {result['held_out']:.1%}, {seconds:.1f} s"


if __name__ == "__main__":
    main()
