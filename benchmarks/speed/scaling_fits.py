"""Whole fits for `speed.scaling`: in memory, of memory maps, and by processes."""

import contextlib
import tempfile
import time
from unittest import mock

import numpy as np

from benchmarks.common.data import blobs, hide_labels
from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.speed.distributed import EPOCHS, SIZES, run

__all__ = ["fit_by_processes", "fit_rows", "measure_map"]


def write_map(path, rows, columns):
    """Write rows and labels to files."""
    X, y = blobs(rows, columns, 5, distance=0.5)
    np.save(f"{path}/rows.npy", X)
    np.save(f"{path}/labels.npy", hide_labels(y, 20, 0))
    return {}


def fit_map(path):
    """Return seconds and memory of a fit of one epoch to a memory map.

    Returns
    -------
    found : dict of str to float
        "teacher", of it "teacher's rows", the prediction of rows outside of its sample,
        and "fit", in CPU seconds; "bytes"; "sample", the rows that the teacher saw; and
        "views", the number of its views that have weight.
    """
    from benchmarks.speed.out_of_core import PeakMemory, anonymous_memory
    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.estimators import classifier
    from sk_ssvae.teachers import sampled_targets

    X, y = np.load(f"{path}/rows.npy", mmap_mode="r"), np.load(f"{path}/labels.npy")
    small = np.concatenate([np.flatnonzero(y >= 0), np.flatnonzero(y < 0)[:200]])
    SSVAEClassifier(max_epochs=1, random_state=0).fit(X[small], y[small])
    found = {"teacher": 0.0, "teacher's rows": 0.0, "sample": len(X), "views": 0}

    def timed(function, key):
        def call(*args, **kwargs):
            start = time.process_time()
            result = function(*args, **kwargs)
            found[key] += time.process_time() - start
            if key != "teacher":
                weights = args[0].weights_.values()
                found["views"] = sum(weight > 0 for weight in weights)
                found["sample"] -= len(args[1])
            return result

        return call

    patches = [(classifier, "make_soft_targets", "teacher")]
    patches.append((sampled_targets, "proba_of_unlabelled", "teacher's rows"))
    with contextlib.ExitStack() as stack:
        for module, name, key in patches:
            new = timed(getattr(module, name), key)
            stack.enter_context(mock.patch.object(module, name, new))
        memory = stack.enter_context(PeakMemory(anonymous_memory()))
        start = time.process_time()
        SSVAEClassifier(max_epochs=1, random_state=0).fit(X, y)
        found["fit"] = time.process_time() - start
    return found | {"bytes": memory.peak}


def measure_map(rows, columns):
    """Fit a memory map, which another process has written."""
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process(
            f"{__name__}:write_map", path=folder, rows=rows, columns=columns
        )
        return in_fresh_process(f"{__name__}:fit_map", path=folder)


def fit_rows(rows, columns):
    """Fit rows in memory."""
    return in_fresh_process(
        "benchmarks.speed.whole_fit:fit", rows=rows, columns=columns
    )


def fit_by_processes(name, processes):
    """Return the largest CPU and wall time of a fit of `speed.distributed`."""
    found = run(processes, SIZES[name], EPOCHS)
    return {key: max(one[key] for one in found) for key in ("cpu", "wall")}
