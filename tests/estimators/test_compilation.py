"""``compile=True`` and ``precision="bf16"``: nearly the same model, in one graph."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from few_labels import hide
from model_objects import make_spec
from sklearn.datasets import load_digits, make_blobs
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import compilation

ONE_GRAPH = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 13)
"""Older compilers split the loss into several graphs, with the same values."""

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning"),
]


@pytest.fixture
def uncompiled():
    """Clear the cache of compiled losses before and after the test."""
    compilation._compiled.cache_clear()
    yield
    compilation._compiled.cache_clear()


@pytest.fixture
def graphs(uncompiled, monkeypatch):
    """Compile with a backend that runs graphs as they are; return the list of them."""
    compiled = []

    def backend(graph, example_inputs):
        compiled.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    return compiled


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
@pytest.mark.parametrize("marginalization", ["exact", 1])
def test_the_loss_is_compiled_once_as_one_graph(
    quick, iris, graphs, likelihood, marginalization
):
    X, y, _ = iris
    X = X.mean(0) < X if likelihood == "bernoulli" else X
    clf = quick(likelihood=likelihood, marginalization=marginalization)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(options__compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain, atol=1e-6)
    n_graphs = len(graphs)
    assert n_graphs == 1 or not ONE_GRAPH
    clf.fit(X, y)  # the same shapes: the compiled loss is reused
    assert len(graphs) == n_graphs


@pytest.mark.parametrize(
    ("model", "n_graphs"), [("sdgm", 1), ("adgm", 1), ("m1+m2", 3)]
)
def test_each_stage_of_every_model_is_compiled_as_one_graph(
    quick, iris, graphs, model, n_graphs
):
    X, y, _ = iris
    clf = quick(
        model=make_spec(model, inner_size=3, pretrain_epochs=3, finetune_epochs=2)
    )
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(options__compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.predict_proba(X), plain, atol=1e-5)
    assert len(graphs) == n_graphs or not ONE_GRAPH


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_default_compiler_gives_nearly_the_same_model(quick, uncompiled):
    X, y_true = make_blobs(400, 5, centers=3, random_state=0)
    y = hide(y_true, 10)
    clf = quick(max_epochs=5)
    plain = clf.fit(X, y).predict_proba(X)
    compiled = clf.set_params(options__compile=True).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(compiled, plain, atol=1e-4)


def test_bfloat16_keeps_weights_in_single_precision(quick, blobs):
    X, y, y_true = blobs
    teacher = LabelSpreading(kernel="knn", max_iter=500)
    clf = quick(hidden_sizes=(32,), max_epochs=30, teacher=teacher).fit(X, y)
    losses = clf.history_[:, "train_loss"]
    clf.set_params(options__precision="bf16").fit(X, y)
    assert {p.dtype for p in clf.module_.parameters()} == {torch.float32}
    assert clf.module_(torch.ones(1, 2)).dtype == torch.float32
    assert clf.history_[:, "train_loss"] != losses
    np.testing.assert_allclose(clf.history_[:, "train_loss"], losses, rtol=0.2)
    assert clf.score(X, y_true) > 0.95


@pytest.mark.slow
def test_digits_are_classified_as_accurately_in_bfloat16():
    X, y_true = load_digits(return_X_y=True)
    y = hide(y_true, 10)
    clf = SSVAEClassifier(teacher=None, max_epochs=30, random_state=0)
    full = clf.fit(X / 16, y).score(X / 16, y_true)
    half = clf.set_params(options__precision="bf16").fit(X / 16, y)
    assert half.score(X / 16, y_true) > full - 0.02
