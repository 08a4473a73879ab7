"""Conditions on a net that several processes train, and the equality of its copies."""

import numpy as np
import pytest
import torch
from few_labels import hide
from several_processes import ThreadCommunicator
from skorch.callbacks import BatchScoring
from user_modules import BatchNormMLP

from sk_ssvae.training.batches import MixedBatches
from sk_ssvae.training.objective import Objective
from sk_ssvae.training.replicas import check_replicas, synchronize
from sk_ssvae.training.rows import Rows


class CountingRows(Rows):
    """Rows that record how many of them are read."""

    n_read = 0

    def encoded(self, which):
        self.n_read += len(which)
        return super().encoded(which)


@pytest.fixture
def make(iris, quick):
    """Return a function that returns a net with a communicator of n processes."""
    X, few, _ = iris

    def make(n, *, batch_size=20, bound_rows=None, **params):
        net = quick(max_epochs=1, **params).fit(X, few).net_
        net.set_params(batch_size=batch_size)
        net.objective = Objective(bound_rows=bound_rows)
        net.communicator = ThreadCommunicator(0, ([None] * n, None))
        return net

    return make


def iris_rows(iris, n=150):
    X, _, y = iris
    few = hide(y, 5)
    return Rows(
        X[:n].astype(np.float32), np.unique(few, return_inverse=True)[1][:n] - 1
    )


def test_minibatches_with_fewer_rows_than_processes(make, iris):
    rows = iris_rows(iris, 3)
    check_replicas(make(3), rows)
    with pytest.raises(ValueError) as error:
        check_replicas(make(4), rows)
    assert str(error.value) == (
        "Minibatches have fewer rows than there are processes: 3 and 4, with "
        "batch_size=20 and 3 rows in all. Use fewer processes, or more rows or a "
        "larger batch_size."
    )


@pytest.mark.parametrize(
    ("n", "bound_rows", "counts"),
    [
        (1, 1, None),
        (2, None, None),
        (2, 4, None),
        (2, 1, None),  # by process 0 alone, in evaluation mode
        (2, 3, ("unlabelled rows in the bound", 3)),
        (3, None, ("labelled rows", 5)),
    ],
)
def test_batch_statistics_need_two_rows_in_each_process(
    make, iris, n, bound_rows, counts
):
    """A minibatch has 5 labelled rows, and 17 others."""
    rows = iris_rows(iris)
    check_replicas(make(n, bound_rows=bound_rows), rows)  # without such a layer
    net = make(n, bound_rows=bound_rows, classifier_module=BatchNormMLP)
    if counts is None:
        check_replicas(net, rows)
        return
    with pytest.raises(ValueError) as error:
        check_replicas(net, rows)
    assert str(error.value) == (
        f"Batch normalisation needs at least two {counts[0]} of each minibatch in each "
        f"of the {n} processes, but a minibatch has {counts[1]}. Use fewer processes, "
        "or a larger batch_size or bound_rows."
    )


def test_scores_of_training_minibatches(make, iris):
    rows = iris_rows(iris)
    for on_train in (False, True):
        score = BatchScoring("accuracy", on_train=on_train, name="own")
        nets = [make(n) for n in (1, 2)]
        for net in nets:
            net.callbacks_.append(("own", score.initialize()))
        check_replicas(nets[0], rows)
        if not on_train:
            check_replicas(nets[1], rows)
            continue
        with pytest.raises(ValueError) as error:
            check_replicas(nets[1], rows)
        assert str(error.value) == (
            "The callback own scores training minibatches, of which each process has a "
            "part. Use EpochScoring, or set distributed=False."
        )


def test_a_process_reads_its_rows_of_minibatches_only():
    """Of four minibatches with 3 labelled and 9 other rows."""
    codes = np.where(np.arange(40) % 10 == 9, 0, -1)
    rows = CountingRows(np.zeros((40, 2), np.float32), codes)
    for rank, n_rows in enumerate((3, 3, 2, 2, 2)):
        rows.n_read = 0
        list(MixedBatches(rows, 10, seed=0, rank=rank, world_size=5))
        assert rows.n_read == 4 * n_rows


def test_weights_buffers_and_moments_are_those_of_process_0(make):
    class Recorder(ThreadCommunicator):
        def broadcast_tensors(self, tensors):
            for tensor in tensors:
                tensor.fill_(0.5)

    net = make(1)
    net.communicator = Recorder(1, ([None] * 2, None))
    synchronize(net)
    for state in net.optimizer_.state.values():
        assert all((value == 0.5).all() for value in state.values())
    assert len(net.optimizer_.state) == len([*net.module_.parameters()])
    for value in net.module_.state_dict().values():
        assert torch.equal(value, torch.full_like(value, 0.5))
