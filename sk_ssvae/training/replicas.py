"""Conditions on a net that several processes train, and its equality in all of them."""

import torch
from skorch.callbacks import BatchScoring, PassthroughScoring
from torch import Tensor

from sk_ssvae.training.batch_norm import batch_norm_layers
from sk_ssvae.training.batches import MixedBatches
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.training.rows import Rows

__all__ = ["check_replicas", "synchronize"]


def check_replicas(net: SSVAENet, rows: Rows) -> None:
    """Raise an error if several processes cannot train a net.

    Parameters
    ----------
    net : SSVAENet
        The net, with its minibatch size, callbacks and communicator.
    rows : Rows
        Training rows.

    Raises
    ------
    ValueError
        If minibatches are too small, or a callback scores the rows of one process only.
    """
    n = net.communicator.world_size
    if n == 1:
        return
    shard = MixedBatches(rows, net.batch_size, seed=net.seed, world_size=n).shard
    if len(shard) < n:
        raise ValueError(
            f"Minibatches have fewer rows than there are processes: {len(shard)} and "
            f"{n}, with batch_size={net.batch_size} and {len(rows)} rows in all. Use "
            "fewer processes, or more rows or a larger batch_size."
        )
    for name, callback in net.callbacks_:
        if (
            isinstance(callback, BatchScoring)
            and not isinstance(callback, PassthroughScoring)
            and callback.on_train
        ):
            raise ValueError(
                f"The callback {name} scores training minibatches, of which each "
                "process has a part. Use EpochScoring, or set distributed=False."
            )
    if batch_norm_layers(net.module_):
        in_bound = shard.n_unlabelled
        if net.objective.bound_rows is not None:
            in_bound = min(in_bound, net.objective.bound_rows)
        _check_batch_statistics(
            {
                "rows": len(shard),
                "labelled rows": shard.n_labelled,
                "unlabelled rows in the bound": in_bound,
            },
            n,
        )


def _check_batch_statistics(counts: dict[str, int], n: int) -> None:
    """Raise an error if a process would have fewer than two rows of a kind.

    A network maps one row in evaluation mode, and does not wait for other processes.
    """
    for name, count in counts.items():
        if count > 1 and count // n < 2:
            raise ValueError(
                f"Batch normalisation needs at least two {name} of each minibatch in "
                f"each of the {n} processes, but a minibatch has {count}. Use fewer "
                "processes, or a larger batch_size or bound_rows."
            )


def synchronize(net: SSVAENet) -> None:
    """Give all processes the weights, buffers and optimizer state of process 0.

    They have the same already, unless the processes run on different hardware, whose
    results differ by rounding.

    Parameters
    ----------
    net : SSVAENet
        The net; changed in place in all processes but the first.
    """
    state = [
        value
        for parameter in net.module_.parameters()
        for value in net.optimizer_.state.get(parameter, {}).values()
        if isinstance(value, Tensor)
    ]
    with torch.no_grad():
        net.communicator.broadcast_tensors(
            [*net.module_.parameters(), *net.module_.buffers(), *state]
        )
