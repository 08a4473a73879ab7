"""What a fit may not do: wait for the device, copy the rows, import the needless."""

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.datasets import load_digits, make_blobs
from sklearn.semi_supervised import LabelSpreading
from skorch.callbacks import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from sk_ssvae import SSVAEClassifier
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training import compilation
from sk_ssvae.utils.optimizers import Adam

HEAVY = ("torch._dynamo", "torch._inductor", "torch.onnx", "sympy", "matplotlib")

ONE_GRAPH = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
"""Older compilers break the graph in several, to the same loss."""


def run(script, *arguments):
    """Run a script in a process of its own, and return the numbers that it prints."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()


def test_neither_import_nor_fit_imports_heavy_extras():
    loaded = run(
        "import sys, numpy as np, sk_ssvae.display\n"
        "from sk_ssvae import SSVAEClassifier\n"
        "X = np.random.RandomState(0).randn(40, 3)\n"
        "y = np.where(np.arange(40) < 8, np.arange(40) % 2, -1)\n"
        "clf = SSVAEClassifier(max_epochs=2, random_state=0).fit(X, y)\n"
        "clf.fit(X, y).predict(X), clf.transform(X), clf.sample(3)\n"
        "print(*sys.modules)"
    )
    assert "torch.optim" in loaded
    assert not set(HEAVY) & set(loaded)


class CountReads(TorchDispatchMode):
    """Count how often a number is read off a tensor: a wait, on a device."""

    n = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"marginalization": "topk", "top_k": 1}])
def test_reads_do_not_grow_with_the_number_of_batches(quick, iris, options):
    X, y, _ = iris
    reads = []
    for batch_size in (150, 10):
        with CountReads() as count:
            quick(batch_size=batch_size, **options).fit(X, y)
        reads.append(count.n)
    assert reads[0] == reads[1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_an_epoch_on_cuda_does_not_wait_for_the_device(quick, iris):
    X, y, _ = iris

    class Forbid(Callback):
        def on_epoch_begin(self, net, **kwargs):
            torch.cuda.set_sync_debug_mode("error")

        def on_grad_computed(self, net, **kwargs):
            self.steps = getattr(self, "steps", 0) + 1
            if self.steps % 8 == 0:  # the last step of an epoch of 150 rows
                torch.cuda.set_sync_debug_mode("default")

    try:
        quick(device="cuda", batch_size=20, callbacks=[Forbid()]).fit(X, y)
    finally:
        torch.cuda.set_sync_debug_mode("default")


class Rows(Callback):
    """Note the rows that training sees."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_begin(self, net, X=None, **kwargs):
        self.seen.append(X.x)


def test_rows_in_single_precision_are_not_copied(quick, iris):
    X, y, _ = iris
    X = X.astype(np.float32)
    seen = []
    clf = quick(callbacks=[Rows(seen)])
    weight = np.arange(150.0)
    frozen = X.copy()
    frozen.flags.writeable = False
    for rows in (X, frozen):
        clf.fit(rows, y)
        clf.fit(rows, y, sample_weight=weight)
        clf.partial_fit(rows, y)
    assert [x.data_ptr() for x in seen] == [X.ctypes.data] * 3 + [
        frozen.ctypes.data
    ] * 3
    assert clf.net_.train_split is None


@pytest.mark.parametrize("layout", ["float64", "columns first", "huge"])
def test_rows_that_have_to_be_copied_are_copied_once(quick, iris, layout):
    X, y, _ = iris
    X = {
        "float64": X,
        "columns first": np.asfortranarray(X.astype(np.float32)),
        "huge": (X * 1e35).astype(np.float32),
    }[layout]
    seen = []
    quick(callbacks=[Rows(seen)]).fit(X, y)
    (x,) = seen
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    assert x.data_ptr() != X.ctypes.data
    assert abs(x.mean().item()) < 1e-4  # standardised once, before training


def test_layouts_of_the_same_numbers_give_the_same_model(quick, iris):
    X, y, _ = iris
    X = X.astype(np.float32)
    views = np.zeros((150, 8), np.float32)
    views[:, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    expected = quick(max_epochs=8).fit(X, y).predict_proba(X)
    for same in (np.asfortranarray(X), views[:, ::2], X[::-1].copy()[::-1], read_only):
        ours = quick(max_epochs=8).fit(same, y).predict_proba(same)
        np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_callbacks_that_listen_to_batches_see_skorchs_history(quick, iris):
    X, y, _ = iris

    class Listen(Callback):
        def on_batch_end(self, net, training=False, loss=None, **kwargs):
            key = "train_loss" if training else "valid_loss"
            assert net.history[-1, "batches", -1, key] == pytest.approx(loss.item())

    silent = quick(batch_size=20, validation_fraction=0.2).fit(X, y)
    heard = quick(batch_size=20, validation_fraction=0.2, callbacks=[Listen()])
    heard.fit(X, y)
    assert len(heard.history_[-1]["batches"]) > len(silent.history_[-1]["batches"]) == 2
    for name in ("train_loss", "valid_loss", "bound", "classification"):
        np.testing.assert_allclose(
            heard.history_[:, name], silent.history_[:, name], rtol=1e-5
        )
    np.testing.assert_array_equal(heard.predict_proba(X), silent.predict_proba(X))


@pytest.mark.parametrize("event", ["on_batch_end", "on_grad_computed"])
def test_listeners_with_a_teacher(quick, iris, event):
    """A batch then has parts of different lengths."""
    X, y, _ = iris

    def record(self, net, **kwargs):
        net.history.record_batch("norm", 1.0)

    listener = type("Listener", (Callback,), {event: record})()
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(batch_size=20, teacher=teacher, callbacks=[listener]).fit(X, y)
    assert [b["norm"] for b in clf.history_[-1]["batches"]] == [1.0] * 8
    silent = quick(batch_size=20, teacher=teacher).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), silent.predict_proba(X))


@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_hooks_on_layers(quick, iris):
    X, y, _ = iris
    seen = []

    class Hook(Callback):
        def on_train_begin(self, net, **kwargs):
            for module in net.module_.modules():
                if isinstance(module, torch.nn.Linear):
                    module.register_full_backward_hook(
                        lambda module, given, got: seen.append(module)
                    )

    hooked = quick(hidden_sizes=(8, 8), callbacks=[Hook()]).fit(X, y)
    plain = quick(hidden_sizes=(8, 8)).fit(X, y)
    assert len(set(seen)) == 9
    np.testing.assert_array_equal(hooked.predict_proba(X), plain.predict_proba(X))


def test_adam_is_pytorchs():
    def weights(optimizer_class, **options):
        model = M2Module(3, [0.5, 0.5], 2, (4,), "gaussian", seed=0)
        optimizer = optimizer_class(model.parameters(), lr=0.05, **options)
        g = torch.Generator().manual_seed(0)
        for step in range(5):
            optimizer.zero_grad()
            x = torch.randn(6, 3, generator=g)
            model(x)[:, 0].sum().backward()
            optimizer.step()
            if step == 2:  # the state goes through a copy
                state = optimizer.state_dict()
                optimizer = optimizer_class(model.parameters(), lr=9.0, **options)
                optimizer.load_state_dict(state)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    torch.testing.assert_close(weights(Adam), weights(torch.optim.Adam))
    torch.testing.assert_close(
        weights(Adam, amsgrad=True), weights(torch.optim.Adam, amsgrad=True)
    )


def test_adam_takes_a_closure():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = Adam([p], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    torch.testing.assert_close(p.detach(), torch.full((2,), 0.9))
    assert optimizer.param_groups[0]["fused"] is True


def test_bfloat16_trains_weights_in_single_precision(blobs):
    X, y, truth = blobs
    clf = SSVAEClassifier(
        latent_size=2, hidden_sizes=(32,), max_epochs=30, random_state=0
    )
    full = clf.fit(X, y)
    losses = full.history_[:, "train_loss"]
    half = clf.set_params(precision="bf16").fit(X, y)
    assert {p.dtype for p in half.module_.parameters()} == {torch.float32}
    assert half.module_(torch.ones(1, 2)).dtype == torch.float32
    assert half.history_[:, "train_loss"] != losses
    np.testing.assert_allclose(half.history_[:, "train_loss"], losses, rtol=0.2)
    assert half.score(X, truth) > 0.95


@pytest.fixture
def uncompiled():
    compilation._compiled.cache_clear()
    yield
    compilation._compiled.cache_clear()


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("marginalization", ["exact", "topk"])
def test_the_loss_can_be_compiled(
    quick, iris, monkeypatch, uncompiled, likelihood, marginalization
):
    """In one graph; what the graph computes is left to the eager backend."""
    X, y, _ = iris
    X = X.mean(0) < X if likelihood == "bernoulli" else X
    seen = []

    def backend(graph, example_inputs):
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    clf = quick(likelihood=likelihood, marginalization=marginalization, top_k=1)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain, atol=1e-6)
    n_graphs = len(seen)
    assert n_graphs == 1 or not ONE_GRAPH
    clf.fit(X, y)  # the same shapes: nothing new to compile
    assert len(seen) == n_graphs


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize(("model", "graphs"), [("sdgm", 1), ("adgm", 1), ("m1+m2", 3)])
def test_the_loss_of_any_model_can_be_compiled(
    quick, iris, monkeypatch, uncompiled, model, graphs
):
    """In one graph a stage."""
    X, y, _ = iris
    seen = []

    def backend(graph, example_inputs):
        seen.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    clf = quick(model=model, inner_size=3, pretrain_epochs=3, finetune_epochs=2)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain, atol=1e-5)
    assert len(seen) == graphs or not ONE_GRAPH


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_the_compiled_loss_is_the_loss(quick, uncompiled):
    X, truth = make_blobs(400, 5, centers=3, random_state=0)
    y = hide(truth, 10)
    clf = quick(max_epochs=5)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(compile=True).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(compiled, plain, atol=1e-4)


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from sk_ssvae import SSVAEClassifier

def high_water():  # not ru_maxrss, which a process has from its parent
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1)) * 1024

n, call = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
X = rng.standard_normal((n, 30), dtype=np.float32)
y = np.where(np.arange(n) < 100, np.arange(n) % 2, -1)
clf = SSVAEClassifier(teacher=None, max_epochs=1, random_state=0, n_threads=1)
clf.fit(X[:2000], y[:2000])
for method in ("predict_proba", "transform", "predict"):
    getattr(clf, method)(X[:50000])
Path("/proc/self/clear_refs").write_text("5")  # the mark starts anew
before = high_water()
out = clf.fit(X, y) if call == "fit" else getattr(clf, call)(X)
print(high_water() - before - getattr(out, "nbytes", 0), X.nbytes)
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"
)


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("call", ["predict_proba", "transform", "predict"])
def test_the_memory_of_predictions_is_that_of_a_chunk(call):
    extra, rows = map(int, run(PEAK, 1_000_000, call))
    # predict: log-probabilities and codes, 16 bytes a row beside the labels
    allowance = 40e6 if call != "predict" else 60e6
    assert extra < allowance < rows


@pytest.mark.slow
@needs_proc
def test_the_memory_of_fit_is_less_than_a_copy_of_the_rows():
    extra, rows = map(int, run(PEAK, 1_000_000, "fit"))
    assert extra < rows


WORDS = """
import re
from pathlib import Path
import numpy as np
from scipy import sparse
from sk_ssvae import SSVAEClassifier

rng = np.random.default_rng(0)
n, d, words = 11_314, 16_158, 80
columns = np.minimum(rng.zipf(1.3, size=(n, words)), d) - 1
X = sparse.csr_array(
    (np.ones(n * words, np.float32), (np.repeat(np.arange(n), words), columns.ravel())),
    shape=(n, d),
)
X.sum_duplicates()
y = np.where(np.arange(n) < 400, np.arange(n) % 20, -1)
clf = SSVAEClassifier(max_epochs=1, random_state=0, n_threads=1).fit(X, y)
clf.predict(X), clf.transform(X[:500]), clf.score_samples(X[:100], n_draws=2)
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+)", status).group(1)) * 1024, clf.likelihood_)
"""


@pytest.mark.slow
@needs_proc
def test_word_counts_are_never_dense_as_a_whole():
    peak, likelihood = run(WORDS)
    assert likelihood == "negative_binomial"
    assert int(peak) < 2 * 2**30


@pytest.mark.slow
def test_digits_learn_as_well_in_bfloat16():
    X, truth = load_digits(return_X_y=True)
    y = hide(truth, 10)
    clf = SSVAEClassifier(teacher=None, max_epochs=30, random_state=0)
    full = clf.fit(X / 16, y).score(X / 16, truth)
    half = clf.set_params(precision="bf16").fit(X / 16, y).score(X / 16, truth)
    assert half > full - 0.02
