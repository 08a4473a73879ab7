"""Batch normalisation: statistics of minibatches, running and weighted ones."""

import copy

import numpy as np
import pytest
import torch
from few_labels import hide
from sklearn.datasets import load_digits
from sklearn.semi_supervised import LabelSpreading
from torch import nn

from sk_ssvae.models.batch_norm import (
    MIN_BATCH_NORM_ROWS,
    BatchNorm,
    frozen_batch_norms,
    weighted_batch_norms,
)
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.rows import Rows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_batch_norm_normalises_over_all_rows_and_few_rows_by_running_statistics():
    norm, plain = BatchNorm(3), nn.BatchNorm1d(3, momentum=1.0)
    rows = torch.randn(8, 5, 3, generator=generator())
    out = norm(rows)
    torch.testing.assert_close(out, plain(rows.view(40, 3)).view(8, 5, 3))
    assert out.mean((0, 1)).abs().max() < 1e-6
    before = copy.deepcopy(norm.state_dict())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(before[name], value)
    few = rows[0]
    assert len(few) < MIN_BATCH_NORM_ROWS <= len(rows)
    torch.testing.assert_close(norm(few), plain.eval()(few))
    with frozen_batch_norms(norm):
        with frozen_batch_norms(norm):
            pass
        torch.testing.assert_close(norm(rows), plain(rows.view(40, 3)).view(8, 5, 3))
    assert all((norm.state_dict()[name] == before[name]).all() for name in before)
    torch.testing.assert_close(norm.eval()(few), plain(few))


def test_running_statistics_are_means_at_first_and_exponentially_weighted_later():
    minibatches = torch.randn(14, 9, 3, generator=generator())
    norm, mean = BatchNorm(3), nn.BatchNorm1d(3, momentum=None)
    for minibatch in minibatches[:10]:
        norm(minibatch), mean(minibatch)
    torch.testing.assert_close(norm.running_mean, mean.running_mean)
    torch.testing.assert_close(norm.running_var, mean.running_var)
    weighted = nn.BatchNorm1d(3, momentum=0.1)
    weighted.load_state_dict(norm.state_dict())
    for minibatch in minibatches[10:]:
        norm(minibatch), weighted(minibatch)
    torch.testing.assert_close(norm.running_mean, weighted.running_mean)
    torch.testing.assert_close(norm.running_var, weighted.running_var)


def test_weighted_rows_count_as_often_as_they_weigh():
    rows = torch.randn(20, 3, generator=generator())
    weight = torch.randint(1, 4, (20,), generator=generator())
    norm, plain = BatchNorm(3), nn.BatchNorm1d(3)
    repeated = rows.repeat_interleave(weight, 0)
    expected = plain(repeated)
    with weighted_batch_norms(norm, 0.2 * weight):
        out = norm(rows)
    torch.testing.assert_close(out.repeat_interleave(weight, 0), expected)
    torch.testing.assert_close(norm.running_mean, repeated.mean(0))
    # Unbiased for weights that say how precise a row is, not how often it occurred.
    share = weight / weight.sum()
    biased = repeated.var(0, correction=0)
    torch.testing.assert_close(norm.running_var, biased / (1 - share.square().sum()))


def test_equal_weights_are_no_weights():
    rows = torch.randn(20, 2, 3, generator=generator())
    norm, plain = BatchNorm(3), BatchNorm(3)
    with weighted_batch_norms(norm, torch.full((20,), 0.3)):
        out = norm(rows)
    torch.testing.assert_close(out, plain(rows))
    torch.testing.assert_close(norm.running_var, plain.running_var)
    assert norm.row_weight is None


def test_gradients_of_weighted_statistics():
    norm = BatchNorm(2).double()
    weight = torch.rand(9, generator=generator(), dtype=torch.float64) + 0.5
    rows = torch.randn(9, 2, generator=generator(), dtype=torch.float64)

    def normalised(rows):
        out = copy.deepcopy(norm)._normalise_weighted(rows, weight)
        return out.square() * out

    assert torch.autograd.gradcheck(normalised, rows.requires_grad_())


def test_a_row_that_hardly_weighs_hardly_changes_the_statistics():
    rows = torch.randn(30, 3, generator=generator())
    extreme = torch.cat([rows, 1e4 * torch.ones(2, 3)])
    weight = torch.cat([torch.ones(30), torch.full((2,), 1e-12)])
    norm, plain = BatchNorm(3), BatchNorm(3)
    with weighted_batch_norms(norm, weight):
        out = norm(extreme)
    torch.testing.assert_close(out[:30], plain(rows), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var, rtol=1e-3, atol=0)


def test_few_effective_rows_are_normalised_by_running_statistics():
    norm, plain = BatchNorm(3), BatchNorm(3)
    first = 2 + 3 * torch.randn(40, 3, generator=generator())
    norm(first), plain(first)
    rows = torch.randn(40, 3, generator=generator())
    weight = torch.full((40,), 1e-6)
    weight[: MIN_BATCH_NORM_ROWS - 1] = 1.0
    before = copy.deepcopy(norm.state_dict())
    with weighted_batch_norms(norm, weight):
        out = norm(rows)
    torch.testing.assert_close(out, plain.eval()(rows))
    for name, value in norm.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_rows_of_equal_weight_have_no_weights_in_the_statistics():
    x, codes = np.zeros((4, 1), np.float32), np.array([-1, 0, -1, 1])
    assert Rows(x, codes).statistics_weight is None
    assert Rows(x, codes, weight=np.full(4, 0.1)).statistics_weight is None


def test_weights_in_the_statistics_are_limited():
    """They are relative to the upper quartile, which is 5, and at most 1."""
    x, codes = np.zeros((4, 1), np.float32), np.array([-1, 0, -1, 1])
    rows = Rows(x, codes, weight=np.array([1.0, 2.0, 4.0, 8.0]))
    expected = torch.tensor([0.4, 1.0, 0.2, 0.8])
    torch.testing.assert_close(rows.statistics_weight, expected)
    torch.testing.assert_close(rows.labelled().statistics_weight, expected[:2])
    heavy = Rows(np.zeros((9, 1), np.float32), codes.repeat(3)[:9], weight=np.ones(9))
    assert heavy.statistics_weight is None
    weight = np.ones(9)
    weight[3] = 1e300  # a heavy row does not make the others light
    heavy = Rows(np.zeros((9, 1), np.float32), codes.repeat(3)[:9], weight=weight)
    assert heavy.statistics_weight is None
    light = Rows(x, codes, weight=np.array([1.0, 1e-300, 1.0, 1.0]))
    assert light.statistics_weight.min() > 0


def test_eight_equal_rows_are_enough_with_any_weight():
    rows = torch.randn(MIN_BATCH_NORM_ROWS, 3, generator=generator())
    for percent in range(1, 100):
        norm = BatchNorm(3)
        with weighted_batch_norms(norm, torch.full((len(rows),), percent / 100)):
            norm(rows)
        assert norm.num_batches_tracked == 1


def test_values_that_are_not_finite_do_not_count_without_enough_rows():
    norm = BatchNorm(2)
    rows = torch.ones(20, 2)
    rows[1] = 1e38
    weight = torch.full((20,), 1e-30)
    weight[0] = 1.0
    with weighted_batch_norms(norm, weight):
        norm(rows)
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_var.tolist() == [1, 1]


@pytest.mark.parametrize("weights", ["sample_weight", "class_weight"])
def test_weights_in_half_precision(quick, iris, weights):
    X, y, truth = iris
    options = ClassifierOptions(precision="bf16")
    clf = quick(options=options, max_epochs=30, learning_rate=0.01)
    if weights == "class_weight":
        clf.set_params(class_weight={0: 1.0, 1: 0.5, 2: 0.7})
        clf.fit(X, y)
    else:
        clf.fit(X, y, sample_weight=np.linspace(0.1, 1, len(X)))
    (norm, *_) = (m for m in clf.module_.modules() if isinstance(m, BatchNorm))
    assert norm.num_batches_tracked > 0
    assert norm.running_mean.dtype == torch.float32
    assert clf.score(X, truth) > 0.7


def test_weights_of_any_ratio_do_not_diverge(quick, iris):
    X, y, _ = iris
    weight = np.ones(len(X))
    weight[np.flatnonzero(y < 0)[0]] = 1e200
    clf = quick(batch_size=32).fit(X, y, sample_weight=weight)
    assert clf.net_.rollbacks_ == []


@pytest.mark.parametrize("model", ["m2", "sdgm"])
def test_extreme_rows_without_weight_do_not_spoil_a_fit(quick, model):
    """Of a teacher's student: its classifier sees the unlabelled rows."""
    X, truth = load_digits(return_X_y=True)
    X, truth = X[:500] / 16, truth[:500]
    y = hide(truth, 8, seed=0)
    weight = np.ones(len(X))
    extreme = np.flatnonzero(y < 0)[:40]
    X = X.copy()
    X[extreme] = 1e3
    weight[extreme] = 1e-9
    teacher = LabelSpreading(kernel="knn", n_neighbors=7)
    clf = quick(model=model, teacher=teacher, hidden_sizes=(64,), max_epochs=30)
    kept = np.setdiff1d(np.arange(len(X)), extreme)
    without = clf.fit(X[kept], y[kept]).score(X[kept], truth[kept])
    weighted = clf.fit(X, y, sample_weight=weight).score(X[kept], truth[kept])
    assert without > 0.8
    assert weighted > without - 0.03
