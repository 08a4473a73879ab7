"""Shards of minibatches: they partition them, and their losses sum to that of all."""

import itertools

import numpy as np
import pytest
import torch

from sk_ssvae.models.adgm import ADGMModule
from sk_ssvae.models.m1m2 import M1M2Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.network_factories import NetworkFactories
from sk_ssvae.models.sdgm import SDGMModule
from sk_ssvae.training.batches import MixedBatches
from sk_ssvae.training.loss import Loss
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.sharding import BatchShard

SIZES = [*itertools.product((0, 1, 2, 5), (0, 1, 8), (1, 2, 3))]


@pytest.mark.parametrize(("n_labelled", "n_unlabelled", "world_size"), SIZES)
def test_shards_partition_the_minibatch(n_labelled, n_unlabelled, world_size):
    shards = [
        BatchShard(n_labelled, n_unlabelled, rank, world_size)
        for rank in range(world_size)
    ]
    whole = torch.arange(n_labelled + n_unlabelled)
    parts = [shard.rows(whole) for shard in shards]
    assert torch.equal(torch.cat(parts).sort().values, whole)
    for shard, part in zip(shards, parts, strict=True):
        assert len(shard) == len(whole)
        assert shard.count(len(shard)) == len(part)
        n = shard.count(n_labelled)
        assert (part[:n] < n_labelled).all()
        assert torch.equal(shard.unlabelled(whole[n_labelled:]), part[n:])
    for limit in (n_labelled, len(whole)):
        counts = [shard.count(limit) for shard in shards]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(("n_labelled", "n_unlabelled", "world_size"), SIZES)
@pytest.mark.parametrize("bound_rows", [None, 1, 2, 7])
def test_rows_in_the_bound(n_labelled, n_unlabelled, world_size, bound_rows):
    whole = torch.arange(n_unlabelled)
    chosen = []
    for rank in range(world_size):
        shard = BatchShard(n_labelled, n_unlabelled, rank, world_size)
        n, factor = shard.bound_rows(bound_rows)
        chosen.append(shard.unlabelled(whole)[:n])
        if bound_rows is None or bound_rows >= n_unlabelled:
            assert (n, factor) == (None, None)
        else:
            assert factor == n_unlabelled / bound_rows
    expected = whole if bound_rows is None else whole[:bound_rows]
    assert torch.equal(torch.cat(chosen).sort().values, expected)


def make_rows(n=41, n_labelled=7):
    rng = np.random.default_rng(0)
    codes = np.full(n, -1)
    codes[rng.choice(n, n_labelled, replace=False)] = np.arange(n_labelled) % 3
    soft = rng.dirichlet(np.ones(3), n)
    return Rows(
        rng.normal(size=(n, 4)),
        codes,
        weight=rng.uniform(0.5, 2, n),
        soft_targets=soft,
        confidence=soft.max(axis=1),
    )


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_minibatches_of_the_shards_partition_those_of_one_process(world_size):
    rows = make_rows()
    whole = [*MixedBatches(rows, 9, seed=3)]
    parts = [
        [*MixedBatches(rows, 9, seed=3, rank=rank, world_size=world_size)]
        for rank in range(world_size)
    ]
    for (inputs, codes), *shards in zip(whole, *parts, strict=True):
        n = len(codes)
        for rank, (part, part_codes) in enumerate(shards):
            shard = BatchShard(n, len(inputs["x"]) - n, rank, world_size)
            for name in ("x", "bound_weight", "target_weight"):
                assert torch.equal(part[name], shard.rows(inputs[name]))
            assert torch.equal(part_codes, codes[rank::world_size])
            expected = shard.unlabelled(inputs["soft_targets"])
            assert torch.equal(part["soft_targets"], expected)


CASES = [
    *itertools.product((M2Module, SDGMModule, ADGMModule, M1M2Module), ["all"]),
    (M1M2Module, "m1"),
]
"""Models and stages of training."""

OBJECTIVES = {
    "kingma": Objective(),
    "all terms": Objective(
        teacher_weight=0.7, entropy_weight=0.3, adversarial_weight=0.5
    ),
    "few rows and classes": Objective(entropy_weight=0.3, top_k=1, bound_rows=3),
}


def make_model(kind, **options):
    return kind(
        n_features=4,
        class_prior=(0.2, 0.3, 0.5),
        latent_size=2,
        hidden_sizes=(5,),
        likelihood="gaussian",
        seed=0,
        **options,
    ).double()


def loss_and_gradients(model, objective, inputs, codes, shard):
    model.zero_grad()
    generator = torch.Generator().manual_seed(0)
    loss, _ = objective.training_loss(
        model, inputs, codes, generator=generator, progress=0.2, shard=shard
    )
    loss.total.backward()
    gradients = [
        torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for p in model.parameters()
    ]
    return torch.stack([*loss]).detach(), gradients


@pytest.mark.parametrize("world_size", [2, 3, 8])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("kind", "stage"), CASES)
def test_losses_and_gradients_sum_to_those_of_the_minibatch(
    kind, objective, stage, world_size
):
    """Of every model and term; some shards have no labelled row or none in the bound.

    In double precision, since single precision rounds adversarial directions coarsely.
    """
    rows, model = make_rows(), make_model(kind)
    model.start_stage(stage, rows)
    inputs, codes = next(iter(MixedBatches(rows, 13, seed=0)))
    args = model, OBJECTIVES[objective]
    expected, expected_gradients = loss_and_gradients(*args, inputs, codes, None)
    total, gradients = torch.zeros(len(Loss._fields)).double(), []
    for rank in range(world_size):
        batches = MixedBatches(rows, 13, seed=0, rank=rank, world_size=world_size)
        loss, some = loss_and_gradients(*args, *next(iter(batches)), batches.shard)
        total += loss
        gradients.append(some)
    assert torch.allclose(total, expected, rtol=1e-9)
    for parts, whole in zip(
        zip(*gradients, strict=True), expected_gradients, strict=True
    ):
        assert torch.allclose(sum(parts), whole, rtol=1e-6, atol=1e-9)


def test_shards_of_a_user_network():
    """Shards without rows of a kind do not call it; its rows are independent."""
    factories = NetworkFactories(classifier_module=torch.nn.Linear)
    rows, model = make_rows(), make_model(M2Module, networks=factories)
    inputs, codes = next(iter(MixedBatches(rows, 13, seed=0)))
    whole, _ = loss_and_gradients(model, Objective(), inputs, codes, None)
    parts = []
    for rank in range(9):
        batches = MixedBatches(rows, 13, seed=0, rank=rank, world_size=9)
        loss, _ = loss_and_gradients(
            model, Objective(), *next(iter(batches)), batches.shard
        )
        parts.append(loss)
    assert torch.allclose(sum(parts), whole, rtol=1e-9)
