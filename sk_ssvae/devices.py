"""The device asked for, if it is there, and torch as we know it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from sk_ssvae.threads import threads_that_live

__all__ = ["plain_torch", "resolve_device"]


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device asked for, if this machine has it.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}, "cuda:N" or torch.device
        "auto" takes CUDA, then MPS, then the CPU, whichever is there first.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the name is unknown or there is no such device.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n_cuda:
        available = ["cuda", *(f"cuda:{i}" for i in range(n_cuda)), *available]
    if device == "auto":
        return torch.device(available[0])
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    found = resolved is not None and (
        str(resolved) in available
        or (resolved.type in available and resolved.type != "cuda")
    )
    if resolved is None or not found:
        raise ValueError(
            f"device={str(device)!r} is not available on this machine. "
            f"Use 'auto' or one of {available}."
        )
    return resolved


@contextmanager
def plain_torch(device: torch.device) -> Iterator[None]:
    """Compute with gradients and full precision, on `device`.

    Whatever the caller is inside of: inference mode, no_grad, autocast, another default
    device, a process that was forked.
    """
    elsewhere = torch.get_default_device().type != device.type
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        device if elsewhere else nullcontext(),
        threads_that_live(),
    ):
        yield
