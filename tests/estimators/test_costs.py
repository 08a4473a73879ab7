"""Imports, waits for the device, copies of rows, and memory of fits and predictions."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode

HEAVY_MODULES = {
    "matplotlib",
    "sympy",
    "torch._dynamo",
    "torch._inductor",
    "torch.onnx",
}


def run(script, *arguments):
    """Run a script in a new process, and return the words that it prints."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def test_importing_and_fitting_do_not_import_heavy_modules():
    loaded = run(
        "import sys, numpy as np, sk_ssvae.display\n"
        "from sk_ssvae import SSVAEClassifier\n"
        "X = np.random.RandomState(0).randn(40, 3)\n"
        "y = np.where(np.arange(40) < 8, np.arange(40) % 2, -1)\n"
        "clf = SSVAEClassifier(max_epochs=2, random_state=0).fit(X, y)\n"
        "clf.predict(X), clf.transform(X), clf.sample(3)\n"
        "print(*sys.modules)"
    )
    assert "torch.optim" in loaded
    assert not HEAVY_MODULES & set(loaded)


# Waits for the device


class CountReads(TorchDispatchMode):
    """Count the numbers that are read from tensors. On a device, each read waits."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("marginalization", ["exact", 1])
def test_numbers_are_read_once_per_epoch_not_per_minibatch(
    quick, iris, marginalization
):
    X, y, _ = iris
    reads = []
    for batch_size in (150, 10):
        clf = quick(
            batch_size=batch_size, marginalization=marginalization, max_epochs=2
        )
        with CountReads() as count:
            clf.fit(X, y)
        reads.append(count.n)
    assert reads[0] == reads[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_an_epoch_on_cuda_does_not_wait_for_the_device(quick, iris):
    X, y, _ = iris

    class ForbidWaiting(Callback):
        def on_epoch_begin(self, net, **kwargs):
            torch.cuda.set_sync_debug_mode("error")

        def on_grad_computed(self, net, **kwargs):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps % 8 == 0:  # the last step of an epoch of 150 rows
                torch.cuda.set_sync_debug_mode("default")

    try:
        quick(device="cuda", batch_size=20, callbacks=[ForbidWaiting()]).fit(X, y)
    finally:
        torch.cuda.set_sync_debug_mode("default")


# Copies of the rows


class RecordRows(Callback):
    """Append the rows of training, a tensor, to a list."""

    def __init__(self, recorded):
        self.recorded = recorded

    def on_train_begin(self, net, X=None, **kwargs):
        self.recorded.append(X.x)


def test_rows_in_single_precision_are_not_copied(quick, iris):
    X, y, _ = iris
    X = X.astype(np.float32)
    recorded = []
    clf = quick(callbacks=[RecordRows(recorded)])
    weight = np.arange(150.0)
    read_only = X.copy()
    read_only.flags.writeable = False
    for rows in (X, read_only):
        clf.fit(rows, y)
        clf.fit(rows, y, sample_weight=weight)
        clf.partial_fit(rows, y)
    expected = [X.ctypes.data] * 3 + [read_only.ctypes.data] * 3
    assert [x.data_ptr() for x in recorded] == expected
    assert clf.net_.train_split is None


@pytest.mark.parametrize("layout", ["float64", "columns first", "huge"])
def test_other_rows_are_copied_once_and_standardised_before_training(
    quick, iris, layout
):
    X, y, _ = iris
    X = {
        "float64": X,
        "columns first": np.asfortranarray(X.astype(np.float32)),
        "huge": (X * 1e35).astype(np.float32),
    }[layout]
    recorded = []
    quick(callbacks=[RecordRows(recorded)]).fit(X, y)
    (x,) = recorded
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert x.data_ptr() != X.ctypes.data
    assert abs(x.mean().item()) < 1e-4


def test_copied_and_shared_rows_give_nearly_the_same_model(quick, iris):
    X, y, _ = iris
    X = X.astype(np.float32)
    wide = np.zeros((150, 8), np.float32)
    wide[:, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    expected = quick(max_epochs=8).fit(X, y).predict_proba(X)
    for same in (np.asfortranarray(X), wide[:, ::2], X[::-1].copy()[::-1], read_only):
        proba = quick(max_epochs=8).fit(same, y).predict_proba(same)
        np.testing.assert_allclose(proba, expected, atol=2e-4)


# Memory

PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import ClassifierOptions

def peak():  # not ru_maxrss, which includes that of the parent process
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1)) * 1024

n, method = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = rng.standard_normal((n, 30), dtype=np.float32)
y = np.where(np.arange(n) < 100, np.arange(n) % 2, -1)
clf = SSVAEClassifier(
    teacher=None, max_epochs=1, random_state=0, options=ClassifierOptions(n_threads=1)
)
clf.fit(X[:2000], y[:2000])
for warm_up in ("predict_proba", "transform", "predict"):
    getattr(clf, warm_up)(X[:50000])
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
before = peak()
out = clf.fit(X, y) if method == "fit" else getattr(clf, method)(X)
print(peak() - before - getattr(out, "nbytes", 0), X.nbytes)
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"
)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("method", ["predict_proba", "transform", "predict"])
def test_predictions_need_the_memory_of_a_chunk(method):
    extra, rows = map(int, run(PEAK, 1_000_000, method))
    # predict: log-probabilities and codes, 16 bytes per row beside the labels
    allowance = 40e6 if method != "predict" else 60e6
    assert extra < allowance < rows


@pytest.mark.slow
@needs_proc
def test_fit_needs_less_memory_than_a_copy_of_the_rows():
    extra, rows = map(int, run(PEAK, 1_000_000, "fit"))
    assert extra < rows


WORD_COUNTS = """
import re
from pathlib import Path
import numpy as np
from scipy import sparse
from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import ClassifierOptions

rng = np.random.default_rng(0)
n, d, words = 11_314, 16_158, 80
columns = np.minimum(rng.zipf(1.3, size=(n, words)), d) - 1
X = sparse.csr_array(
    (np.ones(n * words, np.float32), (np.repeat(np.arange(n), words), columns.ravel())),
    shape=(n, d),
)
X.sum_duplicates()
y = np.where(np.arange(n) < 400, np.arange(n) % 20, -1)
clf = SSVAEClassifier(
    max_epochs=1, random_state=0, options=ClassifierOptions(n_threads=1)
).fit(X, y)
clf.predict(X), clf.transform(X[:500]), clf.score_samples(X[:100], n_draws=2)
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1)) * 1024, clf.likelihood_)
"""


@pytest.mark.slow
@needs_proc
def test_sparse_word_counts_are_never_dense_as_a_whole():
    peak, likelihood = run(WORD_COUNTS)
    assert likelihood == "negative_binomial"
    assert int(peak) < 1.5 * 2**30
