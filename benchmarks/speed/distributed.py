"""Several processes that train one model: the same result, wall and CPU time.

    python -m benchmarks speed.distributed

Fits without a teacher by one process, and by two processes of this machine that
``torch.distributed`` connects (backend gloo, 127.0.0.1), with one thread each. Training
is timed from the call of `fit` to its return, after a fit of one epoch to 500 rows.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common.fresh_process import ONE_THREAD
from benchmarks.common.paths import RESULTS, ROOT
from benchmarks.common.result_files import write_json
from benchmarks.common.tables import format_number, print_table
from benchmarks.common.versions import package_versions
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

SIZES = {
    "small batches": {"rows": 10_000, "columns": 20, "batch_size": 128, "hidden": 128},
    "large batches": {
        "rows": 20_000,
        "columns": 100,
        "batch_size": 2048,
        "hidden": 512,
    },
}
"""Rows and networks of each setting."""

EPOCHS = 3


def fit(rows, columns, batch_size, hidden, epochs, noise, out):
    """Fit, in one of the processes, and write losses, predictions and times.

    The cells of the rows are changed by the relative `noise`.
    """
    import torch

    from benchmarks.common.data import blobs, hide_labels
    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.training import ClassifierOptions

    torch.set_num_threads(1)
    X, y = blobs(rows, columns, 5, distance=0.5)
    few = hide_labels(y, 20, 0)
    clf = SSVAEClassifier(
        teacher=None,
        hidden_sizes=(hidden,),
        batch_size=batch_size,
        max_epochs=epochs,
        device="cpu",
        random_state=0,
        options=ClassifierOptions(distributed="auto", bound_rows=None, n_threads=1),
    )
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(few < 0)[:400]])
    clf.set_params(max_epochs=1).fit(X[small], few[small])
    clf.set_params(max_epochs=epochs)
    changed = X * (1 + noise * np.random.default_rng(0).normal(size=X.shape))
    wall, cpu = time.perf_counter(), time.process_time()
    clf.fit(changed, few)
    found = {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "losses": [epoch["train_loss"] for epoch in clf.history_],
        "predictions": clf.predict_proba(X[:1000]).tolist(),
    }
    Path(out).write_text(json.dumps(found))


def run(n, setting, epochs, noise=0.0):
    """Fit by n processes; return what each of them has written."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{rank}.json" for rank in range(n)]
        processes = []
        for rank, file in enumerate(files):
            launcher = {"RANK": rank, "WORLD_SIZE": n, "LOCAL_RANK": rank}
            launcher |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            arguments = setting | {"epochs": epochs, "noise": noise, "out": str(file)}
            code = f"from {__name__} import fit; fit(**{arguments!r})"
            environment = os.environ | ONE_THREAD
            environment |= {k: str(v) for k, v in launcher.items()}
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", code], cwd=ROOT, env=environment
                )
            )
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit(f"{n} processes ended with the codes {codes}.")
        return [json.loads(file.read_text()) for file in files]


def compare(setting, epochs, rounds):
    """Return times and differences of two processes and one."""
    found = {
        "one process, wall": [],
        "two processes, wall": [],
        "one process, CPU": [],
        "two processes, CPU of each": [],
    }
    for _ in range(rounds):
        (one,), two = run(1, setting, epochs), run(2, setting, epochs)
        found["one process, wall"].append(one["wall"])
        found["one process, CPU"].append(one["cpu"])
        found["two processes, wall"].append(max(process["wall"] for process in two))
        found["two processes, CPU of each"].append(
            max(process["cpu"] for process in two)
        )
    found = {name: float(np.median(seconds)) for name, seconds in found.items()}
    pairs = {
        "two processes and one": (two[0], one),
        "one process, rows changed by 1e-7": (
            run(1, setting, epochs, noise=1e-7)[0],
            one,
        ),
        "first and second process": two,
    }
    return found | {"differences": {k: differences(*pair) for k, pair in pairs.items()}}


def differences(a, b):
    """Return the largest differences of two fits."""
    losses = np.array(a["losses"]) / np.array(b["losses"]) - 1
    predictions = np.array(a["predictions"]) - np.array(b["predictions"])
    return [float(np.abs(losses).max()), float(np.abs(predictions).max())]


def main(argv=None):
    """Run the benchmark."""
    parser = make_speed_parser("distributed", __doc__, rounds=3)
    args = parse_speed_args(parser, argv)
    settings, epochs = SIZES, EPOCHS
    if args.quick:
        settings = {name: one | {"rows": 2000} for name, one in SIZES.items()}
    results = {}
    for name, setting in settings.items():
        results[name] = compare(setting, epochs, args.rounds)
    if not args.quick:
        settings = {"sizes": SIZES, "epochs": EPOCHS, "rounds": args.rounds}
        write_json(
            RESULTS / "speed_distributed.json",
            {"settings": settings, "results": results, "versions": package_versions()},
        )
    names = [
        "one process, wall",
        "two processes, wall",
        "one process, CPU",
        "two processes, CPU of each",
    ]
    print_table(
        ["", *(f"{name}, s" for name in names)],
        (
            [key, *(format_number(one[name]) for name in names)]
            for key, one in results.items()
        ),
    )
    print()
    print_table(
        ["largest difference", "", "losses, relative", "predictions"],
        (
            [key, pair, *(f"{value:.1e}" for value in values)]
            for key, one in results.items()
            for pair, values in one["differences"].items()
        ),
    )


if __name__ == "__main__":
    main()
