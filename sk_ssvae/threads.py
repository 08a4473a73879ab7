"""How many threads an operation of torch is spread over, while we compute."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["intra_op_threads", "threads_for"]

WORK_PER_THREAD = 2**26
"""Multiply-adds of a step that are worth a thread: see benchmarks/README.md."""

_lock = threading.Lock()
_inside = 0
_outside = 1


def threads_for(n_threads: int | None, work: int) -> int:
    """Choose the number of intra-op threads for a computation on the CPU.

    Parameters
    ----------
    n_threads : int or None
        What the user asks for. None takes as many as the work is worth, but no more
        than torch is set to: workers of joblib, who share the cores, are set to few.
    work : int
        Multiply-adds of a step.

    Returns
    -------
    n_threads : int
    """
    if n_threads is not None:
        return int(n_threads)
    allowed = torch.get_num_threads() if _inside == 0 else _outside
    return max(1, min(allowed, work // WORK_PER_THREAD))


@contextmanager
def intra_op_threads(n_threads: int | None) -> Iterator[None]:
    """Have torch spread operations of this thread over `n_threads`, and then as before.

    torch keeps the number for the process as well as for the calling thread, so among
    several threads that are inside at once the last to leave restores what the first
    found.

    Parameters
    ----------
    n_threads : int or None
        Number of threads; None changes nothing.
    """
    global _inside, _outside
    if n_threads is None:
        yield
        return
    with _lock:
        if _inside == 0:
            _outside = torch.get_num_threads()
        _inside += 1
        before = _outside
        torch.set_num_threads(int(n_threads))
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            torch.set_num_threads(before)
