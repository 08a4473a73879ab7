"""Devices, default torch settings and memory."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from sk_ssvae.utils.threads import fork_safe_threads

__all__ = ["default_torch_state", "resolve_device", "retain_freed_memory"]


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
def default_torch_state(device: torch.device) -> Iterator[None]:
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
        fork_safe_threads(),
    ):
        yield


BLOCK = 31 * 2**20
"""Bytes; glibc takes no notice of blocks of 32 MiB and more."""


def retain_freed_memory() -> None:
    """Let the C library keep what a step frees, instead of asking for it anew.

    glibc returns memory at the top of its heap to the system as soon as there is a
    little of it, and then every step of training pays for fresh pages. How much is
    little depends on the largest block that was freed before (``M_TRIM_THRESHOLD`` in
    mallopt(3), which is dynamic), so one large block, of which no page is ever touched,
    is taken and freed. Other C libraries lose a few microseconds.
    """
    torch.empty(BLOCK, dtype=torch.uint8, device="cpu")
