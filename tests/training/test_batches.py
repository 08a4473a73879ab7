"""Minibatches contain labels, and the loss that they estimate is unbiased."""

import math

import numpy as np
import pytest
import torch

from sk_ssvae.training.batches import (
    MixedBatches,
    OrderedBatches,
    resolve_max_epochs,
)
from sk_ssvae.training.rows import Rows, choose_held_out
from sk_ssvae.utils.chunks import row_chunks

N_CLASSES = 3


def make_rows(n=40, n_labelled=5, weighted=False, seed=0):
    rng = np.random.RandomState(seed)
    codes = np.full(n, -1)
    codes[rng.choice(n, n_labelled, replace=False)] = np.arange(n_labelled) % N_CLASSES
    weight = rng.rand(n) if weighted else None
    parts = {
        "weight": weight,
        "soft_targets": rng.dirichlet(np.ones(N_CLASSES), n),
        "confidence": rng.rand(n),
    }
    return Rows(rng.randn(n, 2), codes, **parts), codes, parts


def targets(codes, soft_targets):
    """Return one-hot classes of the labelled rows, soft targets of the others."""
    one_hot = torch.eye(N_CLASSES, dtype=soft_targets.dtype)[codes]
    return torch.cat([one_hot, soft_targets])


def row_loss(x, target):
    """Return functions of each row in place of its bound and cross-entropy."""
    return x.square().sum(1) + x[:, 0], (target * x[:, :1].abs()).sum(1) + x[:, 1]


def full_loss(rows):
    """Return the two weighted sums over all rows."""
    bound, cross = row_loss(rows.x[rows.order], targets(rows.codes, rows.soft_targets))
    return torch.stack([rows.bound_weight @ bound, rows.target_weight @ cross])


def batch_loss(batch):
    inputs, codes = batch
    bound, cross = row_loss(inputs["x"], targets(codes, inputs["soft_targets"]))
    return torch.stack(
        [inputs["bound_weight"] @ bound, inputs["target_weight"] @ cross]
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_weights_of_all_rows_express_means(weighted):
    rows, codes, parts = make_rows(weighted=weighted)
    w = np.ones(len(codes)) if parts["weight"] is None else parts["weight"]
    labelled = codes >= 0
    n = rows.n_labelled
    assert n == labelled.sum()
    order = np.concatenate([np.flatnonzero(labelled), np.flatnonzero(~labelled)])
    assert rows.order.tolist() == order.tolist()
    assert rows.codes.tolist() == codes[labelled].tolist()
    expected = np.concatenate([w[labelled], w[~labelled]]) / w.sum()
    np.testing.assert_allclose(rows.bound_weight.numpy(), expected)
    expected = np.concatenate(
        [
            w[labelled] / w[labelled].sum(),
            w[~labelled] / w[~labelled].sum(),
        ]
    )
    np.testing.assert_allclose(rows.target_weight.numpy(), expected)
    weighted = parts["soft_targets"] * parts["confidence"][:, None]
    np.testing.assert_allclose(rows.soft_targets, weighted[~labelled])


@pytest.mark.parametrize(
    ("n", "n_labelled", "batch_size"),
    [(40, 5, 8), (40, 1, 8), (40, 39, 8), (41, 7, 5), (40, 5, 2), (40, 5, 1)],
)
def test_every_minibatch_has_rows_of_both_kinds(n, n_labelled, batch_size):
    rows, _, _ = make_rows(n, n_labelled)
    batches = MixedBatches(rows, batch_size, seed=0)
    minibatches = list(batches)
    assert len(minibatches) == len(batches) == -(-n // batch_size)
    quarter = min(n_labelled, math.ceil(batch_size / 4))
    for inputs, codes in minibatches:
        assert len(codes) >= quarter
        assert (codes >= 0).all()
        assert len(codes) < len(inputs["x"]) <= batch_size + quarter + 1


def test_an_epoch_contains_every_row():
    for n_labelled in (0, 3, 17, 40):
        rows, _, _ = make_rows(40, n_labelled)
        seen = torch.cat([b[0]["x"] for b in MixedBatches(rows, 8, seed=0)])
        assert {tuple(x) for x in seen.tolist()} == {tuple(x) for x in rows.x.tolist()}


def test_rows_that_are_all_labelled_or_all_unlabelled():
    for n_labelled in (0, 40):
        rows, _, _ = make_rows(40, n_labelled)
        for inputs, codes in MixedBatches(rows, 8, seed=0):
            assert len(inputs["x"]) == 8
            assert len(codes) == (8 if n_labelled else 0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_labelled", [0, 3, 11, 40])
def test_a_batch_of_all_rows_gives_the_loss_of_the_data(weighted, n_labelled):
    rows, _, _ = make_rows(40, n_labelled, weighted)
    for batch_size in (40, 1000):
        batches = list(MixedBatches(rows, batch_size, seed=1))
        assert len(batches) == 1
        torch.testing.assert_close(batch_loss(batches[0]), full_loss(rows))


def test_an_epoch_of_complete_passes_gives_the_loss_of_the_data():
    """5 minibatches of 3 labelled (15 = 3 passes of 5) and 7 unlabelled (of 35)."""
    rows, _, _ = make_rows(40, 5, weighted=True)
    batches = MixedBatches(rows, 9, seed=3)
    assert (len(batches), batches.labelled_size, batches.unlabelled_size) == (5, 3, 7)
    mean = torch.stack([batch_loss(b) for b in batches]).mean(0)
    torch.testing.assert_close(mean, full_loss(rows))


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_labelled", "batch_size"), [(5, 8), (5, 1), (23, 7), (2, 16)]
)
def test_every_minibatch_estimates_the_loss_without_bias(
    weighted, n_labelled, batch_size
):
    """Each position in the epoch by itself, over many seeds."""
    rows, _, _ = make_rows(40, n_labelled, weighted)
    exact = full_loss(rows)
    estimates = torch.stack(
        [
            torch.stack([batch_loss(b) for b in MixedBatches(rows, batch_size, seed=s)])
            for s in range(1500)
        ]
    )
    error = estimates.std(0) / len(estimates) ** 0.5
    deviations = (estimates.mean(0) - exact).abs() / error.clamp_min(1e-12)
    assert (deviations < 4.5).all()


def test_an_unweighted_mean_of_such_minibatches_is_biased():
    """The test above is able to fail: it does without the factors."""
    rows, _, _ = make_rows(40, 5)
    naive = [
        row_loss(b[0]["x"], targets(b[1], b[0]["soft_targets"]))[0].mean()
        for s in range(1500)
        for b in MixedBatches(rows, 8, seed=s)
    ]
    naive = torch.stack(naive)
    error = naive.std() / len(naive) ** 0.5
    assert (naive.mean() - full_loss(rows)[0]).abs() / error > 4.5


def test_an_epoch_depends_on_seed_and_number_only():
    rows, _, _ = make_rows()
    first = MixedBatches(rows, 8, seed=0)
    epochs = [torch.cat([b[0]["x"] for b in first]) for _ in range(3)]
    later = torch.cat([b[0]["x"] for b in MixedBatches(rows, 8, seed=0, epoch=2)])
    assert torch.equal(epochs[2], later)
    assert not torch.equal(epochs[0], epochs[1])
    other = torch.cat([b[0]["x"] for b in MixedBatches(rows, 8, seed=1)])
    assert not torch.equal(epochs[0], other)


def test_chunks_cover_all_rows_within_the_budget():
    for n_rows, cells_per_row, cells in [
        (10, 3, 9),
        (10, 100, 9),
        (1, 1, 5),
        (7, 1, 7),
    ]:
        chunks = list(row_chunks(n_rows, cells_per_row, cells))
        rows = np.concatenate([np.arange(n_rows)[c] for c in chunks])
        assert rows.tolist() == list(range(n_rows))
        largest = max(c.stop - c.start for c in chunks)
        assert largest == 1 or largest * cells_per_row <= cells


def test_validation_batches_average_to_the_weighted_mean():
    rows, _, _ = make_rows(40, 5, weighted=True)
    batches = list(OrderedBatches(rows, 7))
    assert len(batches) == len(OrderedBatches(rows, 7)) == 6
    value = [row_loss(b["x"], torch.zeros(len(b["x"]), 3))[0] for b, _ in batches]
    means = [
        (inputs["bound_weight"] * v).mean()
        for (inputs, _), v in zip(batches, value, strict=True)
    ]
    sizes = torch.tensor([len(v) for v in value], dtype=torch.float64)
    average = (torch.stack(means) * sizes).sum() / sizes.sum()
    torch.testing.assert_close(average, full_loss(rows)[0])
    assert torch.equal(torch.cat([b["x"] for b, _ in batches]), rows.x[rows.order])
    assert torch.cat([codes for _, codes in batches]).tolist() == [
        *rows.codes.tolist(),
        *[-1] * 35,
    ]


@pytest.mark.parametrize("world_size", [1, 2, 4, 9])
def test_parts_of_ordered_minibatches_partition_them(world_size):
    rows, _, _ = make_rows()
    whole = OrderedBatches(rows, 7)
    expected = [*whole]
    parts = [whole.part(rank, world_size) for rank in range(world_size)]
    for rank, part in enumerate(parts):
        found = [*part]
        own = expected[rank::world_size]
        assert len(part) == len(found) == len(own)
        for (inputs, codes), (own_inputs, own_codes) in zip(found, own, strict=True):
            assert torch.equal(codes, own_codes)
            assert all(torch.equal(inputs[k], v) for k, v in own_inputs.items())
    assert whole.sizes == [len(inputs["x"]) for inputs, _ in expected]


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_extreme_weights_do_not_overflow(size):
    codes, rng = np.array([0, 1, -1, -1]), np.random.RandomState(0)
    x = rng.randn(4, 2).astype(np.float32)
    weight = np.array([1.0, 2.0, 3.0, 2.0])
    for scale in (np.full(4, size), np.array([size, size, 1, 1])):
        rows = Rows(x, codes, weight=weight * scale)
        expected = torch.tensor([1 / 3, 2 / 3, 0.6, 0.4])
        torch.testing.assert_close(rows.target_weight, expected)
        assert rows.bound_weight.sum().item() == pytest.approx(1)


def test_held_out_rows_are_a_random_choice_of_unlabelled_rows():
    codes = np.array([0, -1, 1, -1, -1, -1, -1])
    held_out = choose_held_out(codes, 0.4, seed=0)
    assert held_out.sum() == 2
    assert (codes[held_out] == -1).all()
    assert (held_out == choose_held_out(codes, 0.4, seed=0)).all()
    assert not choose_held_out(codes, 0.0, seed=0).any()
    chosen = sum(choose_held_out(codes, 0.4, seed=s) for s in range(300))
    assert (chosen[codes == -1] > 80).all()  # 120 expected of each


@pytest.mark.parametrize("n_rows", [1, 7, 64, 65, 1000, 2133, 2134, 50_000])
@pytest.mark.parametrize("batch_size", [1, 64, np.int8(100), 128])
def test_automatic_epochs_are_sixty_or_make_a_thousand_minibatches(n_rows, batch_size):
    rows = Rows(np.zeros((n_rows, 1)), np.full(n_rows, -1))
    n_batches = len(MixedBatches(rows, int(batch_size), seed=0))
    epochs = resolve_max_epochs("auto", n_rows, batch_size)
    assert epochs >= 60
    assert epochs * n_batches >= 1000
    assert epochs == 60 or (epochs - 1) * n_batches < 1000
    assert resolve_max_epochs("auto", 10**6, batch_size, taught=True) == 1
    assert resolve_max_epochs(np.int8(7), n_rows, batch_size) == 7
    assert resolve_max_epochs(7, n_rows, batch_size, taught=True) == 7


@pytest.mark.parametrize("n_rows", [1, 7, 64, 65, 499, 1000, 2133, 50_000, 80_000])
@pytest.mark.parametrize("batch_size", [1, 64, np.int8(100), 128])
@pytest.mark.parametrize(("large_steps", "max_passes"), [(False, 30), (True, 20)])
def test_automatic_epochs_with_a_teacher(n_rows, batch_size, large_steps, max_passes):
    n_batches = -(-n_rows // int(batch_size))
    epochs = resolve_max_epochs(
        "auto", n_rows, batch_size, taught=True, large_steps=large_steps
    )
    min_steps = np.clip(n_rows / 2, 250, 500)  # proportional to few rows
    n_passes = min(max_passes, 1_024_000 // n_rows)  # fewer of many rows
    assert epochs >= n_passes >= 1
    assert epochs * n_batches >= min_steps
    assert epochs == n_passes or (epochs - 1) * n_batches < min_steps


@pytest.mark.parametrize(
    ("n_rows", "taught", "expected"),
    [
        (200, True, (32, 125, 125)),  # at least 62.5, 250 and 250 minibatches of two
        (1797, True, (9, 34, 60)),  # at least 125, 500 and 500 of fifteen
        (3500, True, (5, 20, 60)),
        (102_400, True, (2, 10, 30)),
        (10**6, True, (1, 1, 3)),
        (10**8, True, (1, 1, 1)),
        (200, False, (125, 500, 500)),
        (1797, False, (17, 67, 180)),
        (10**8, False, (15, 60, 180)),
    ],
)
def test_few_and_many_epochs(n_rows, taught, expected):
    """A quarter of the automatic number, and three times as many passes.

    But with few rows not more minibatches.
    """
    epochs = tuple(
        resolve_max_epochs(word, n_rows, 128, taught=taught, large_steps=taught)
        for word in ("few", "auto", "many")
    )
    assert epochs == expected


@pytest.mark.parametrize("n_labelled", [0, 7])
@pytest.mark.parametrize("n_batches", [1, 3, 40])
def test_number_of_minibatches_in_an_epoch(n_labelled, n_batches):
    """Sizes are those of one pass; rows come from consecutive passes."""
    rows, _, _ = make_rows(40, n_labelled)
    one_pass = MixedBatches(rows, 8, seed=0)
    batches = MixedBatches(rows, 8, seed=0, n_batches=n_batches)
    assert len(batches) == len(list(batches)) == n_batches
    assert batches.unlabelled_size == one_pass.unlabelled_size
    assert batches.labelled_size == one_pass.labelled_size
    if n_labelled == 0:
        x = torch.cat([inputs["x"] for inputs, _ in batches]).tolist()
        for first in range(0, len(x) - 39, 40):
            passed = {tuple(row) for row in x[first : first + 40]}
            assert passed == {tuple(row) for row in rows.x.tolist()}
