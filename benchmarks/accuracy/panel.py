"""Accuracy with few labels on many real data sets, beside many other methods.

    python benchmarks/panel.py --methods ours rf --seeds 0 1 2 3 --jobs 2
    python benchmarks/panel.py --scheme random
    python benchmarks/panel.py --all-rows
    python benchmarks/panel_report.py benchmarks/results/panel.json

A cell is a method on a split: a data set, a number of labels a class, a seed, and a
scheme for which labels are known (`panel_data.py`, `panel_methods.py`). Every cell is
written as soon as it is done, and those that are in the file are not run again, so that
a run may be stopped at any time; two runs may write to the same file. Each of the
processes has one thread. A method that fails, or takes its process with it, leaves its
message in the cell.

Of a cell is recorded: ``transductive``, the share of unlabelled training rows whose
class is right; ``held_out``, the same of the held-out rows; ``log_loss`` of the
held-out rows, in nats, with probabilities clipped at 1e-6; ``fit`` and ``predict``, the
seconds of fitting, and of probabilities for the held-out rows.
"""

import argparse
import contextlib
import fcntl
import json
import os
import platform
import resource
import sys
import warnings
from collections import deque
from importlib import metadata, util
from multiprocessing import connection, get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ablations import VARIANTS
from measure import GB, HERE, ONE_THREAD, PACKAGES
from panel_data import MANY_ROWS, MAX_ROWS, PANEL, SCHEMES, labels_for, split
from panel_methods import METHODS, TOLD, answer

SMALLEST_PROBABILITY = 1e-6
ALL_METHODS = (*METHODS, *TOLD)
VALUES = ("transductive", "held_out", "log_loss", "fit", "predict", "error")


class Cell(NamedTuple):
    """A method on a split; `rows` is the most rows drawn, None for all."""

    scheme: str
    rows: int | None
    dataset: str
    labels: int
    seed: int
    method: str


def measure(cell):
    """Run a method and score its answer."""
    parts = split(cell.dataset, cell.labels, cell.seed, cell.scheme, cell.rows)
    if cell.method in TOLD:
        said = TOLD[cell.method](parts)
    else:
        known = parts.X_train, parts.y_few, parts.X_test
        said = answer(cell.method, *known, cell.seed)
    hidden, log_loss = parts.y_few < 0, None
    if said.proba is not None:
        true = said.proba[np.arange(len(parts.y_test)), parts.y_test]
        log_loss = -np.log(np.clip(true, SMALLEST_PROBABILITY, 1)).mean()
    right = (said.transduced == parts.y_train)[hidden]
    values = {
        "transductive": right.mean() if hidden.any() else None,
        "held_out": (said.predicted == parts.y_test).mean(),
        "log_loss": log_loss,
        "fit": said.fit_seconds,
        "predict": said.predict_seconds,
    }
    return {k: v if v is None else round(float(v), 4) for k, v in values.items()}


def work(pipe, memory):
    """Measure the cells that come through a pipe, with so many bytes at most."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # Rows that no label reaches, iterations at an end: the answers say it.
    warnings.simplefilter("ignore")
    with contextlib.suppress(EOFError):
        while True:
            cell = pipe.recv()
            try:
                result = measure(cell)
            except Exception as error:
                message = f"{type(error).__name__}: {error}".splitlines()[0]
                result = {"error": message[:200]}
            pipe.send(result)


def in_processes(cells, jobs, memory):
    """Yield every cell with its result, as soon as it is there.

    A process that is killed takes no other cell with it: its cell's result is an error
    and a new process takes its place.
    """
    context = get_context("spawn")
    waiting, busy = deque(cells), {}

    def hire():
        pipe, other = context.Pipe()
        process = context.Process(target=work, args=(other, memory), daemon=True)
        process.start()
        other.close()
        return pipe, process

    def give(pipe, process):
        if waiting:
            busy[pipe] = process, waiting.popleft()
            with contextlib.suppress(BrokenPipeError):  # seen when its answer is due
                pipe.send(busy[pipe][1])
        else:
            pipe.close()

    for _ in range(min(jobs, len(waiting))):
        give(*hire())
    while busy:
        for pipe in connection.wait(list(busy)):
            process, cell = busy.pop(pipe)
            try:
                result = pipe.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                if process.exitcode >= 0:
                    raise RuntimeError("A process could not begin.") from None
                result = {"error": f"killed by signal {-process.exitcode}"}
                pipe.close()
                pipe, process = hire()
            give(pipe, process)
            yield cell, result


def read(path):
    """Results by cell, and the versions that were there."""
    if not path.exists():
        return {}, {}
    content = json.loads(path.read_text())
    results, n = {}, len(Cell._fields)
    for record in content["cells"]:
        pairs = zip(VALUES, record[n:], strict=True)
        results[Cell(*record[:n])] = {k: v for k, v in pairs if v is not None}
    return results, content["versions"]


def update(path, change):
    """Change the results in a file, which is whole at any time.

    Parameters
    ----------
    path : Path
        File.
    change : callable
        Called with the results by cell, which it changes. No other process writes
        meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        results, before = read(path)
        change(results)
        ordered = sorted(results, key=lambda cell: tuple(map(str, cell)))
        lines = (
            json.dumps([*cell, *(results[cell].get(name) for name in VALUES)])
            for cell in ordered
        )
        head = json.dumps(before | versions())
        fields = json.dumps([*Cell._fields, *VALUES])
        head = f'{{"versions": {head},\n"fields": {fields},\n"cells": [\n'
        whole = path.with_suffix(".tmp")
        whole.write_text(head + ",\n".join(lines) + "\n]}\n")
        whole.replace(path)
    finally:
        os.close(folder)


def versions():
    """Say what is installed, and what it runs on."""
    found = {"python": platform.python_version(), "cores": os.cpu_count()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def parse():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--methods", nargs="+", choices=ALL_METHODS, help="default: all installed"
    )
    parser.add_argument(
        "--ablations",
        nargs="*",
        choices=VARIANTS,
        metavar="NAME",
        help="variants of the default instead of methods (see ablations.py)",
    )
    parser.add_argument("--sets", nargs="+", help="default: all of the panel")
    parser.add_argument(
        "--labels",
        nargs="+",
        type=int,
        help="a class, or all it has; 10 where classes are too small for 20; default: "
        "5 20, with --all-rows 20",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--scheme", choices=SCHEMES, default="per_class")
    parser.add_argument(
        "--all-rows", action="store_true", help="the panel of sets with many rows"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--memory", type=float, default=10, help="GB for each process")
    parser.add_argument(
        "--redo",
        nargs="+",
        choices=ALL_METHODS,
        default=(),
        help="drop all cells of these methods first",
    )
    parser.add_argument(
        "--retry", action="store_true", help="run cells again whose result is an error"
    )
    parser.add_argument(
        "--out", type=Path, help="default: results/panel.json or ablations.json"
    )
    args = parser.parse_args()
    if args.out is None:
        name = "panel.json" if args.ablations is None else "ablations.json"
        args.out = HERE / "results" / name
    return args


def cells_of(args):
    """List the cells that are asked for."""
    methods = args.methods
    if args.ablations is not None:
        methods = args.ablations or list(VARIANTS)
    elif methods is None:
        there = util.find_spec("pyroved") is not None
        methods = [name for name in ALL_METHODS if there or name != "pyroved"]
    labels = args.labels or ([20] if args.all_rows else [5, 20])
    rows = None if args.all_rows else MAX_ROWS
    cells = (
        Cell(args.scheme, rows, name, labels_for(name, k), seed, method)
        for seed in args.seeds
        for name in args.sets or (MANY_ROWS if args.all_rows else PANEL)
        for k in labels
        for method in methods
    )
    return list(dict.fromkeys(cells))


def main():
    """Run the cells that are not there."""
    args = parse()
    os.environ |= ONE_THREAD  # for the processes, which import numpy and torch later

    def drop(results):
        for cell, result in list(results.items()):
            failed = args.retry and "error" in result
            if cell.method in args.redo or (failed and cell in asked):
                del results[cell]
        asked.difference_update(results)

    cells = cells_of(args)
    asked = set(cells)
    update(args.out, drop)
    cells = [cell for cell in cells if cell in asked]
    memory = int(args.memory * GB)
    done = in_processes(cells, args.jobs, memory)
    for number, (cell, result) in enumerate(done, start=1):
        update(args.out, lambda results, new={cell: result}: results.update(new))
        print(f"{number} of {len(cells)}:", line(cell, result), file=sys.stderr)


def line(cell, result):
    """Say how a cell went."""
    where = f"{cell.dataset}, {cell.labels} labels, {cell.scheme}, seed {cell.seed}"
    if "error" in result:
        return f"{where}: {cell.method} failed: {result['error']}"
    seconds = result["fit"] + result["predict"]
    return f"{where}: {cell.method} {result['held_out']:.1%}, {seconds:.1f} s"


if __name__ == "__main__":
    main()
