"""The device of a computation, and default settings while it runs."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from sk_ssvae.utils.threads import fork_safe_threads, one_blas_thread

__all__ = ["default_torch_state", "resolve_device", "retain_freed_memory"]


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device for an estimator's `device` parameter.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}, "cuda:N" or torch.device
        "auto" selects the first available of CUDA, MPS and the CPU.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the device is unknown or not available on this machine.
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
    # The CPU and MPS are single devices: their index is not checked.
    is_available = resolved is not None and (
        str(resolved) in available
        or (resolved.type in available and resolved.type != "cuda")
    )
    if resolved is None or not is_available:
        raise ValueError(
            f"device={str(device)!r} is not available on this machine. "
            f"Use 'auto' or one of {available}."
        )
    return resolved


@contextmanager
def default_torch_state(device: torch.device) -> Iterator[None]:
    """Enable gradients, disable autocast and make `device` the default device.

    The result of a computation then does not depend on the caller's context: inference
    mode, ``no_grad``, autocast, another default device, the number of threads of the
    BLAS library, or a forked process.

    Parameters
    ----------
    device : torch.device
        Device of the computation.
    """
    is_default = torch.get_default_device().type == device.type
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device.type, enabled=False),
        nullcontext() if is_default else device,
        fork_safe_threads(),
        one_blas_thread(),
    ):
        yield


BLOCK_BYTES = 31 * 2**20
"""Size of the block that is allocated and freed. glibc ignores blocks of 32 MiB and
more when it adapts its threshold."""


def retain_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the operating system.

    glibc returns free memory at the top of the heap once it exceeds a threshold, and
    every training step then pays for fresh pages. The threshold adapts to the largest
    block that was freed so far (``M_TRIM_THRESHOLD`` in mallopt(3)), so one large block
    is allocated and freed here; none of its pages is touched. With other C libraries
    this has no effect and costs a few microseconds.
    """
    torch.empty(BLOCK_BYTES, dtype=torch.uint8, device="cpu")
