"""Data-parallel training: when several processes train one model, and how they start.

Every process has all rows and the same parameters. It computes the loss of its rows of
each minibatch, and the gradients are summed over the processes, so that all of them
take the same step as one process would with the whole minibatch: Li et al. 2020,
"PyTorch Distributed: experiences on accelerating data parallel training", VLDB,
section 3. (``DistributedDataParallel`` itself hooks `forward`, which the losses of
these models do not call.)
"""

import datetime
import os
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
import torch.distributed as dist

from sk_ssvae.training.communication import (
    SINGLE_PROCESS,
    Communicator,
    GroupCommunicator,
)

__all__ = ["check_same", "connected_processes", "is_distributed"]

CONTROL_TIMEOUT = datetime.timedelta(days=7)
"""How long processes wait for one that works alone, e.g. fits the teacher. A process
that ends closes its connections, which is noticed at once."""

DATA_TIMEOUT = datetime.timedelta(minutes=10)
"""How long processes wait for the gradients of another, or for its call of `fit`."""

LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables from which a process group is initialised. ``torchrun`` sets
them."""


def is_distributed(distributed: str | bool) -> bool:
    """Return whether several processes train one model.

    Parameters
    ----------
    distributed : "auto" or bool
        See `sk_ssvae.training.TrainingOptions`.

    Raises
    ------
    ValueError
        If it is True, but there are not several processes.
    """
    if not distributed:
        return False
    available = dist.is_available() and dist.is_gloo_available()
    if available and dist.is_initialized():
        n_processes = dist.get_world_size()
    elif all(name in os.environ for name in LAUNCHER_VARIABLES):
        n_processes = _launched_processes()
    else:
        n_processes = 0
    if distributed == "auto":
        return available and n_processes > 1
    if not available:
        raise ValueError(
            "distributed=True needs torch.distributed with the backend gloo, which "
            "this build of PyTorch does not have. Set distributed=False, or install a "
            "build that has it."
        )
    if n_processes == 0:
        missing = [name for name in LAUNCHER_VARIABLES if name not in os.environ]
        raise ValueError(
            "distributed=True needs several processes, but torch.distributed is not "
            f"initialised and the environment has no {', '.join(missing)}. Start the "
            "script by torchrun, e.g. `torchrun --nproc-per-node 2 script.py`, or set "
            "distributed='auto' to train in one process without it."
        )
    return n_processes > 1


def _launched_processes() -> int:
    """Return the number of processes that the launcher has started."""
    value = os.environ["WORLD_SIZE"]
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(
            f"The environment variable WORLD_SIZE must be a positive integer, got "
            f"{value!r}. Start the script by torchrun, or unset it."
        )
    return int(value)


@contextmanager
def connected_processes(
    distributed: str | bool, device: torch.device
) -> Iterator[Communicator]:
    """Connect the processes that train one model, for the duration of a fit.

    An error in one process is raised in all of them. Processes other than the first
    issue no warnings.

    Parameters
    ----------
    distributed : "auto" or bool
        See `sk_ssvae.training.TrainingOptions`.
    device : torch.device
        Device of the model in this process.

    Yields
    ------
    communicator : Communicator
        That of a single process unless there are several.

    Raises
    ------
    ValueError
        If the processes cannot be connected.
    """
    if not is_distributed(distributed):
        yield SINGLE_PROCESS
        return
    _check_device(device)
    communicator = _connect(device)
    with ExitStack() as stack:
        stack.enter_context(communicator.shared_errors())
        if not communicator.is_main:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _check_devices(communicator, device)
        yield communicator


def _connect(device: torch.device) -> GroupCommunicator:
    """Connect all processes of the default group, which is initialised if needed.

    Raises
    ------
    RuntimeError
        If a process does not answer.
    """
    try:
        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=DATA_TIMEOUT)
        data = dist.new_group(backend="gloo", timeout=DATA_TIMEOUT)
        # All processes are here by now, so that none waits for the long timeout.
        control = dist.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)
        if device.type == "cuda":
            dist.destroy_process_group(data)
            data = dist.new_group(backend="nccl", timeout=DATA_TIMEOUT)
    except RuntimeError as error:  # e.g. dist.DistNetworkError, or one of gloo
        raise RuntimeError(
            "The processes of a distributed fit could not be connected. All of them "
            "must call fit with distributed=True (or 'auto') within "
            f"{DATA_TIMEOUT.seconds // 60} minutes, and must be able to reach each "
            f"other ({error})."
        ) from error
    return GroupCommunicator(control, data)


def _check_device(device: torch.device) -> None:
    """Raise an error if tensors on a device cannot be sent."""
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"Several processes cannot train on device={str(device)!r}: only 'cpu' and "
            "'cuda' are supported. Set device='cpu' or distributed=False."
        )
    if device.type == "cuda" and not dist.is_nccl_available():
        raise ValueError(
            "Several processes need the backend nccl to train on CUDA devices, which "
            "this build of PyTorch does not have. Set device='cpu' or "
            "distributed=False."
        )


def _check_devices(communicator: Communicator, device: torch.device) -> None:
    """Raise an error if the processes use different types of device, or share one."""
    name = str(device)
    if device.type == "cuda" and device.index is None:
        name = f"cuda:{torch.cuda.current_device()}"
    places = communicator.gather((socket.gethostname(), name))
    types = [place[1].partition(":")[0] for place in places]
    if len(set(types)) > 1:
        raise ValueError(
            f"The processes of a distributed fit use different types of device: "
            f"{types}, by rank. Set the same in all of them."
        )
    shared = [place for place in places if places.count(place) > 1]
    if types[0] == "cuda" and shared:
        host, name = shared[0]
        raise ValueError(
            f"Several processes on {host} use {name!r}. Give each its own: "
            "device=f\"cuda:{os.environ['LOCAL_RANK']}\"."
        )


def check_same(
    communicator: Communicator, describe: Callable[[], Mapping[str, object]]
) -> None:
    """Raise an error, in all processes, unless a description is the same in all.

    Parameters
    ----------
    communicator : Communicator
        The processes.
    describe : callable
        Returns the description of the fit: values or digests by name. It is not called
        in a single process.

    Raises
    ------
    ValueError
        If they differ.
    """
    if communicator.world_size == 1:
        return
    first, *others = communicator.gather(dict(describe()))
    different = {
        name: [
            rank
            for rank, other in enumerate(others, start=1)
            if other.get(name) != first.get(name)
        ]
        for name in sorted({name for one in (first, *others) for name in one})
    }
    found = [f"{name} (ranks {ranks})" for name, ranks in different.items() if ranks]
    if found:
        raise ValueError(
            "All processes of a distributed fit must be given the same data and "
            f"parameters, but these differ from those of rank 0: {', '.join(found)}. "
            "Pass the same to all of them; each trains on its part of every minibatch. "
            "To fit independent models, set distributed=False."
        )
