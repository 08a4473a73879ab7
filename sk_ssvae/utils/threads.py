"""Intra-operation threads, and locks for process-global state."""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Integral
from threading import RLock

import torch

__all__ = [
    "MOST",
    "WARNING_FILTERS_LOCK",
    "ForkSafeLock",
    "fork_safe_threads",
    "intra_op_threads",
    "threads_for",
]


class ForkSafeLock:
    """A lock that the thread that has it may take again.

    A child of ``os.fork`` finds it free: whoever else had it, is not in the child.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = RLock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait until no other thread has it, and have it."""
        with self._lock:  # gives back this very one, renewed or not
            yield


WARNING_FILTERS_LOCK = ForkSafeLock()
"""Of those who set filters of warnings for a while. Before Python 3.14 these are the
process's, and of two threads at once the last one leaves the other's; scikit-learn's
`Parallel`, in forests and searches for neighbours, even empties them for moments."""


WORK_PER_THREAD = 2**26
"""Multiply-adds of a step that are worth a thread: see benchmarks/README.md."""

MOST = 1024
"""More threads than any machine has use for; far more take all of its memory."""

_turns = ForkSafeLock()
_forced: list[tuple[int, int]] = []
"""Who has forced which number."""
_outside = 1
_mine = threading.local()


def _after_fork() -> None:
    """In a child, forget the parent's other threads.

    OpenMP, too, keeps threads for each thread that computes. Those of the one that
    forked are not in the child, where it would wait for them for ever.
    """
    _forced[:] = [one for one in _forced if one[0] == threading.get_ident()]
    _mine.lost_its_threads = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def fork_safe_threads() -> AbstractContextManager[None]:
    """Compute on one thread where a fork has taken the others from this one.

    That is in the thread in which a child of ``os.fork`` begins. Those that it starts
    itself are free to use any number.
    """
    lost = getattr(_mine, "lost_its_threads", False)
    return intra_op_threads(1) if lost else nullcontext()


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

    Raises
    ------
    ValueError
        If `n_threads` is no number of threads.
    """
    if n_threads is None:
        with _turns.taken():
            allowed = getattr(_mine, "limit", None) or _setting()
        return max(1, min(allowed, work // WORK_PER_THREAD))
    if not isinstance(n_threads, Integral) or not 1 <= n_threads <= MOST:
        raise ValueError(
            f"n_threads must be None or an integer from 1 to {MOST}, got {n_threads!r}."
        )
    return int(n_threads)


def _setting() -> int:
    """Return what this thread is set to by the user.

    torch takes over the process's latest number for a thread when that first computes:
    if it is one that is forced here at the time, it is not what the user has set.
    """
    setting = torch.get_num_threads()
    return _outside if setting in (n for _, n in _forced) else setting


@contextmanager
def intra_op_threads(n_threads: int) -> Iterator[None]:
    """Have torch spread operations of this thread over `n_threads`, and then as before.

    Parameters
    ----------
    n_threads : int
        Number of threads; one is taken where a fork has left no others.
    """
    global _outside
    if getattr(_mine, "lost_its_threads", False):
        n_threads = 1
    forced = threading.get_ident(), n_threads
    outermost = getattr(_mine, "limit", None) is None
    with _turns.taken():
        before = _setting() if outermost else torch.get_num_threads()
        torch.set_num_threads(n_threads)
        if not _forced:
            _outside = before
        _forced.append(forced)
    if outermost:
        _mine.limit = before
    try:
        yield
    finally:
        if outermost:
            _mine.limit = None
        with _turns.taken():
            _forced.remove(forced)
            torch.set_num_threads(before)
