"""The cost of a training step on paper, against PyTorch's counter and the package."""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.speed.step_cost import N_TERMS, Product, Step, default_step
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.training.batches import MixedBatches
from sk_ssvae.training.loss import Loss
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.rows import Rows
from sk_ssvae.training.sharding import BatchShard

SIZES = {
    "small": {},
    "two hidden layers": {"hidden": (6, 5), "classifier_hidden": (8,)},
    "one column": {"columns": 1, "latent": 1},
    "no labels": {"labelled": 0},
    "one label": {"labelled": 1},
    "all in bound": {"bound_rows": 15},
    "25 classes, 9 summed": {"classes": 25, "summed": 9},
    "25 classes": {"classes": 25},
}


def make_step(**changes):
    sizes = {
        "labelled": 5,
        "unlabelled": 15,
        "bound_rows": 6,
        "columns": 7,
        "classes": 3,
        "latent": 4,
        "hidden": (6,),
        "classifier_hidden": (8, 9),
        "adversarial": False,
    }
    return Step(**(sizes | changes))


def run(step, rank=0):
    """Return the model, and a function that runs the step with its gradient."""
    n_classes = step.classes
    model = M2Module(
        step.columns,
        [1 / n_classes] * n_classes,
        step.latent,
        step.hidden,
        "gaussian",
        0,
        step.classifier_hidden,
    ).train()
    generator = torch.Generator().manual_seed(0)
    n = step.labelled + step.unlabelled
    shard = BatchShard(step.labelled, step.unlabelled, rank, step.processes)
    x = shard.rows(torch.randn(n, step.columns, generator=generator))
    codes = torch.arange(step.labelled) % n_classes
    weight = torch.full((len(x),), 1 / n)
    inputs = {
        "x": x,
        "bound_weight": weight,
        "target_weight": weight,
        "soft_targets": shard.unlabelled(
            torch.full((step.unlabelled, n_classes), 1 / n_classes)
        ),
    }
    objective = Objective(
        alpha=30.0,
        teacher_weight=1.0,
        entropy_weight=0.3,
        adversarial_weight=float(step.adversarial),
        top_k=None if step.summed is None else step.summed - 1,
        bound_rows=step.bound_rows,
    )

    def compute():
        loss, _ = objective.training_loss(
            model,
            inputs,
            shard.rows(codes),
            generator=generator,
            progress=0.1,
            shard=shard,
        )
        torch.autograd.backward(loss.total)

    return model, compute


class CountBytes(TorchDispatchMode):
    """Count the bytes of the inputs and outputs of all operations but views."""

    def __init__(self):
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        inputs = [t for t in tree_leaves((args, kwargs)) if torch.is_tensor(t)]
        outputs = [t for t in tree_leaves(out) if torch.is_tensor(t)]
        stores = {t.untyped_storage().data_ptr() for t in inputs}
        is_view = any(t.untyped_storage().data_ptr() in stores for t in outputs)
        if not is_view or function._schema.is_mutable:
            self.n_bytes += sum(map(stored_bytes, inputs + outputs))
        return out


def stored_bytes(tensor):
    if 0 in tensor.stride():  # an expanded tensor
        return tensor.untyped_storage().nbytes()
    return tensor.numel() * tensor.element_size()


@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_flops_are_those_of_torch(name, adversarial):
    step = make_step(**SIZES[name], adversarial=adversarial)
    _, compute = run(step)
    with FlopCounterMode(display=False) as counter:
        compute()
    assert step.flops == counter.get_total_flops()


@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_flops_are_the_formula_of_the_guide(name, adversarial):
    # docs/scaling.md, for one hidden layer of encoder and decoder each.
    sizes = SIZES[name] | {"hidden": (6,), "adversarial": adversarial}
    step = make_step(**sizes)
    a, n, b, r = int(adversarial), step.labelled, step.bound_rows, step.pairs
    d, k, latent, h = step.columns, step.classes, step.latent, 6
    widths = [d, *step.classifier_hidden, k]
    w_c = sum(i * o for i, o in itertools.pairwise(widths))
    w_e, w_d = 2 * h * latent, latent * h + h * d
    products = step.rows * ((3 + 5 * a) * w_c - (1 + a) * d * widths[1])
    products += 2 * (n + b) * d * h + 4 * n * k * h + 3 * r * (w_e + w_d)
    assert step.flops == 2 * products


@pytest.mark.parametrize("adversarial", [False, True])
@pytest.mark.parametrize("processes", [2, 3, 4])
def test_flops_of_the_first_of_several_processes(processes, adversarial):
    step = make_step(adversarial=adversarial).divided(processes)
    counts = []
    for rank in range(processes):
        _, compute = run(step, rank)
        with FlopCounterMode(display=False) as counter:
            compute()
        counts.append(counter.get_total_flops())
    assert step.flops == counts[0]


def test_product_counts():
    # Two numbers of k products and k sums each, counted as torch does.
    assert Product(1, 5, 2).flops == 20
    assert Product(1, 5, 2).cells == 5 + 10 + 2


@pytest.mark.parametrize("name", SIZES)
def test_parameters_are_those_of_the_model(name):
    step = make_step(**SIZES[name])
    model, _ = run(step)
    assert step.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        {"labelled": 32, "unlabelled": 128},
        {"labelled": 32, "unlabelled": 128, "columns": 300, "classes": 10},
        {"labelled": 256, "unlabelled": 1024, "bound_rows": 1024, "adversarial": False},
        {"labelled": 64, "unlabelled": 256, "hidden": (512,), "columns": 100},
    ],
)
def test_bytes_are_nearly_those_of_torch(changes):
    sizes = {"bound_rows": 64, "columns": 50, "classes": 5, "latent": 10}
    sizes |= {"hidden": (128,), "classifier_hidden": (200, 200), "adversarial": True}
    step = make_step(**(sizes | changes))
    _, compute = run(step)
    with CountBytes() as counter:
        compute()
    estimated = step.product_bytes + step.elementwise_bytes
    assert estimated == pytest.approx(counter.n_bytes, rel=0.05)


@pytest.mark.parametrize("processes", [1, 2, 3, 16])
def test_shards_are_those_of_the_package(processes):
    step = make_step(labelled=33, unlabelled=101, bound_rows=64).divided(processes)
    shard = BatchShard(33, 101, 0, processes)
    assert step.rows == shard.count(len(shard))
    in_bound, _ = shard.bound_rows(64)
    assert step.pairs == shard.count(33) + in_bound * step.classes


def test_ring_of_the_all_reduce():
    assert len(Loss._fields) + 1 == N_TERMS  # and the scale of the bound
    # Each process sends each of the W parts of the array W - 1 times, twice.
    step = make_step()
    n_bytes = 4 * (step.parameters + 7)
    assert (step.messages, step.sent_bytes) == (0, 0)
    for processes in (2, 3, 10):
        many = step.divided(processes)
        assert many.messages == 2 * (processes - 1)
        assert many.sent_bytes == pytest.approx(
            many.messages * n_bytes / processes, rel=1e-12
        )


@pytest.mark.parametrize(
    ("n_rows", "n_labelled", "batch_size"),
    [(1000, 20, 128), (1000, 900, 128), (50, 20, 128), (1000, 0, 100), (7, 7, 2)],
)
def test_default_step_has_the_rows_of_a_minibatch(n_rows, n_labelled, batch_size):
    step = default_step(n_rows, n_labelled, batch_size, 3, 2)
    codes = torch.full((n_rows,), -1)
    codes[:n_labelled] = 0
    rows = Rows(torch.zeros(n_rows, 3), codes.numpy())
    inputs, labels = next(iter(MixedBatches(rows, batch_size, seed=0)))
    assert step.labelled == len(labels)
    assert step.labelled + step.unlabelled == len(inputs["x"])
    assert step.bound_rows == min(64, step.unlabelled)


def test_default_step_sums_few_of_many_classes():
    assert default_step(1000, 20, 128, 50, 10).summed is None
    assert default_step(1000, 20, 128, 50, 100).summed == 9
    # 2**19 outputs of the decoder, 9 classes and 784 columns
    assert default_step(1000, 20, 128, 784, 100).bound_rows == 64
    assert default_step(1000, 20, 128, 7840, 100).bound_rows == 16
    assert default_step(1000, 20, 128, 50, 5, bound_rows=None).bound_rows == 123
