"""Sample weights in training: of any ratio, with bfloat16, of extreme rows."""

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.datasets import load_digits
from sklearn.semi_supervised import LabelSpreading

from sk_ssvae.training import ClassifierOptions


@pytest.mark.parametrize("weights", ["sample_weight", "class_weight"])
def test_weights_with_bfloat16(quick, iris, weights):
    X, y, truth = iris
    options = ClassifierOptions(precision="bf16")
    clf = quick(options=options, max_epochs=30, learning_rate=0.01)
    if weights == "class_weight":
        clf.set_params(class_weight={0: 1.0, 1: 0.5, 2: 0.7})
        clf.fit(X, y)
    else:
        clf.fit(X, y, sample_weight=np.linspace(0.1, 1, len(X)))
    assert {p.dtype for p in clf.module_.parameters()} == {torch.float32}
    assert clf.score(X, truth) > 0.7


def test_weights_of_any_ratio_do_not_diverge(quick, iris):
    X, y, _ = iris
    weight = np.ones(len(X))
    weight[np.flatnonzero(y < 0)[0]] = 1e200
    clf = quick(batch_size=32).fit(X, y, sample_weight=weight)
    assert clf.net_.rollbacks_ == []


@pytest.mark.parametrize("model", ["m2", "sdgm"])
def test_extreme_rows_of_negligible_weight_do_not_spoil_a_fit(quick, model):
    """With a teacher, unlabelled rows train the classifier."""
    X, truth = load_digits(return_X_y=True)
    X, truth = X[:500] / 16, truth[:500]
    y = hide(truth, 8, seed=0)
    weight = np.ones(len(X))
    extreme = np.flatnonzero(y < 0)[:40]
    X[extreme] = 1e3
    weight[extreme] = 1e-9
    teacher = LabelSpreading(kernel="knn", n_neighbors=7)
    clf = quick(model=model, teacher=teacher, hidden_sizes=(64,), max_epochs=30)
    kept = np.setdiff1d(np.arange(len(X)), extreme)
    without = clf.fit(X[kept], y[kept]).score(X[kept], truth[kept])
    weighted = clf.fit(X, y, sample_weight=weight).score(X[kept], truth[kept])
    assert without > 0.8
    assert weighted > without - 0.03
