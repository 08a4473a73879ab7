"""Times of the parts of a fit: steps, random draws, rows, views and an all-reduce.

All are seconds of CPU time on one thread, but for the all-reduce. Measured functions
return what JSON can represent, so that they can run in a process of their own.
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

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import ONE_THREAD
from benchmarks.common.paths import ROOT
from benchmarks.speed.step_cost import default_step

__all__ = [
    "DEFAULTS",
    "draw_seconds",
    "make_step",
    "measure_all_reduce",
    "row_seconds",
    "step_seconds",
    "view_seconds",
]

DEFAULTS = {
    "batch_size": 128,
    "columns": 50,
    "classes": 5,
    "hidden": 128,
    "classifier_hidden": 200,
    "bound_rows": "auto",
    "adversarial": True,
}
"""The setting that others differ from: the default networks and 50 columns."""

N_BATCHES = 4
"""Minibatches in a pass over the rows of a measured step."""

MESSAGE_CELLS = [100, 1000, 10_000, 100_000, 1_000_000]


def make_step(setting):
    """Return the `Step` of a setting; a quarter of a minibatch is labelled."""
    setting = DEFAULTS | setting
    size = setting["batch_size"]
    return default_step(
        N_BATCHES * size,
        size,
        size,
        setting["columns"],
        setting["classes"],
        hidden=(setting["hidden"],),
        classifier_hidden=(setting["classifier_hidden"],) * 2,
        bound_rows=setting["bound_rows"],
        adversarial=setting["adversarial"],
    )


def step_seconds(settings, n_steps):
    """Return the median seconds of a step in the training loop, for each setting."""
    from sk_ssvae.utils.devices import retain_freed_memory

    retain_freed_memory()
    _time_steps({"batch_size": 32}, 5)  # first calls load code
    return [_time_steps(setting, n_steps) for setting in settings]


def _time_steps(setting, n_steps):
    """Return the median seconds between the starts of two steps."""
    import torch

    from sk_ssvae.models.m2 import M2Module
    from sk_ssvae.training.net import make_net
    from sk_ssvae.training.objective import Objective
    from sk_ssvae.training.rows import Rows

    setting, step = DEFAULTS | setting, make_step(setting)
    size, n_classes = setting["batch_size"], setting["classes"]
    X, y = blobs(N_BATCHES * size, setting["columns"], n_classes, distance=0.5)
    y[size:] = -1
    net = make_net(
        module_class=M2Module,
        n_features=X.shape[1],
        class_prior=np.full(n_classes, 1 / n_classes),
        latent_size=step.latent,
        hidden_sizes=step.hidden,
        classifier_hidden_sizes=step.classifier_hidden,
        likelihood="gaussian",
        seed=0,
        device=torch.device("cpu"),
    )
    net.set_params(
        max_epochs=1,
        batches_per_epoch=n_steps + 1,
        batch_size=size,
        lr=1e-3,
        objective=Objective(
            alpha=30.0,
            teacher_weight=1.0,
            entropy_weight=0.3,
            adversarial_weight=float(setting["adversarial"]),
            top_k=None if step.summed is None else step.summed - 1,
            bound_rows=step.bound_rows,
            large_steps=True,
        ),
    )
    starts, train_step = [], net.train_step

    def timed_step(batch, **fit_params):
        starts.append(time.process_time())
        return train_step(batch, **fit_params)

    net.train_step = timed_step
    soft = np.full((len(X), n_classes), 1 / n_classes, dtype=np.float32)
    net.fit_loop(Rows(X, y, soft_targets=soft))
    return float(np.median(np.diff(starts)))


def draw_seconds(n=2**20):
    """Return the seconds of a normal draw, median of five calls."""
    import torch

    generator = torch.Generator().manual_seed(0)
    draws = torch.empty(n)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        draws.normal_(generator=generator)
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)) / n


def row_seconds(n_rows, columns, batch_size):
    """Return the seconds that each row takes outside of the steps of a fit.

    Returns
    -------
    seconds : dict of str to float
        "preparation" reads, scales and orders a row, "shuffle" puts it into a minibatch
        in each epoch, and "prediction" computes its class probabilities. "step" is the
        mean of a step, with its minibatch.
    """
    from unittest import mock

    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.training.batches import MixedBatches
    from sk_ssvae.training.net import SSVAENet
    from sk_ssvae.training.rows import Rows

    X, y = blobs(n_rows, columns, 5, distance=0.5)
    few = hide_labels(y, 20, 0)
    rows = Rows(X, few)
    start = time.process_time()
    next(iter(MixedBatches(rows, batch_size, seed=0)))
    shuffle = time.process_time() - start
    clf = SSVAEClassifier(
        teacher=None, max_epochs=1, batch_size=batch_size, random_state=0
    )
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(few < 0)[:400]])
    clf.fit(X[small], few[small])  # first calls load code
    times, train_step = [], SSVAENet.train_step

    def timed_step(self, batch, **fit_params):
        times.append(time.process_time())
        return train_step(self, batch, **fit_params)

    with mock.patch.object(SSVAENet, "train_step", timed_step):
        start = time.process_time()
        clf.fit(X, few)
        whole = time.process_time() - start
    steps = (times[-1] - times[0]) * len(times) / (len(times) - 1)
    start = time.process_time()
    clf.predict_proba(X)
    prediction = time.process_time() - start
    return {
        "preparation": max(0.0, whole - steps - prediction - shuffle) / n_rows,
        "shuffle": shuffle / n_rows,
        "prediction": prediction / n_rows,
        "step": steps / len(times),
    }


def view_seconds(name, n_rows, columns, n_new):
    """Return the seconds of a view of the default teacher: its fit, and a further row.

    Parameters
    ----------
    name : str
        Name of the view, the only one of its pool.
    n_rows, columns, n_new : int
        Rows of the fit, columns, and rows that are predicted.
    """
    from sk_ssvae import OpinionPoolClassifier

    X, y = blobs(n_rows + n_new, columns, 5, distance=0.5)
    few = hide_labels(y[:n_rows], 20, 0)
    pool = OpinionPoolClassifier(views=[name], random_state=0)
    small = np.concatenate([np.flatnonzero(few >= 0), np.flatnonzero(few < 0)[:200]])
    pool.fit(X[small], few[small]).predict_proba(X[:10])  # first calls load code
    start = time.process_time()
    pool.fit(X[:n_rows], few)
    fitted = time.process_time()
    pool.predict_proba(X[n_rows:])
    return {"fit": fitted - start, "row": (time.process_time() - fitted) / n_new}


def measure_all_reduce(repetitions=200):
    """Return seconds of an all-reduce by two processes, by its bytes.

    They are on this machine, and gloo connects them. The wall time is the shortest one,
    which depends least on what else runs; with " CPU", the mean CPU time of a process.
    """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seconds.json"
        processes = []
        for rank in range(2):
            arguments = {"rank": rank, "port": port, "repetitions": repetitions}
            code = (
                f"from {__name__} import all_reduce; "
                f"all_reduce(out={str(out)!r}, **{arguments!r})"
            )
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", code], cwd=ROOT, env=os.environ | ONE_THREAD
                )
            )
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit(f"The processes of the all-reduce ended with {codes}.")
        return json.loads(out.read_text())


def all_reduce(rank, port, repetitions, out):
    """Time all-reduces in one of two processes; process 0 writes the results."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = {}
    for cells in MESSAGE_CELLS:
        message = torch.zeros(cells)
        n = max(10, min(repetitions, 2 * 10**7 // cells))
        seconds, cpu = [], 0.0
        for _ in range(n):
            dist.barrier()
            start, cpu_start = time.perf_counter(), time.process_time()
            dist.all_reduce(message)
            seconds.append(time.perf_counter() - start)
            cpu += time.process_time() - cpu_start
        found[f"{4 * cells}"] = min(seconds)
        found[f"{4 * cells} CPU"] = cpu / n
    if rank == 0:
        Path(out).write_text(json.dumps(found))
    dist.destroy_process_group()
