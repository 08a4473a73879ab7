"""Thread safety: locks for process-global state, and the numbers of threads.

The rounding of sums depends on the number of threads among which they are divided. The
numbers of threads of torch and of the BLAS library are process-global: a new thread
starts with the value of torch that was set last, by whatever thread, and a BLAS library
has a single value. The functions below set them for the duration of a computation and
restore the user's settings afterwards.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

from sk_ssvae.utils.locks import ForkSafeLock

__all__ = [
    "MAX_THREADS",
    "WARNING_FILTERS_LOCK",
    "fork_safe_threads",
    "intra_op_threads",
    "one_blas_thread",
    "one_thread",
    "threads_for",
]


WARNING_FILTERS_LOCK = ForkSafeLock()
"""Held while warning filters are changed temporarily. Before Python 3.14 the filters
are process-global: of two threads that change them at once, the last one to finish
restores the filters of the other. scikit-learn's `Parallel`, in forests and neighbour
searches, even clears them for a moment."""


WORK_PER_THREAD = 2**26
"""Multiply-adds per step from which another thread pays off: see
benchmarks/README.md."""

MAX_THREADS = 1024
"""Largest value of the parameter `n_threads`. Far larger ones exhaust the memory."""

_LOCK = ForkSafeLock()
_active: list[tuple[int, int]] = []
"""Thread identifier and number of threads of each active `intra_op_threads`."""
_user_setting = 1
"""torch's number of threads when no `intra_op_threads` was active."""
_local = threading.local()
"""For each thread: `user_setting` inside `intra_op_threads`, and `forked`."""
_blas_users: list[int] = []
"""Thread identifier of each active `one_blas_thread`."""
_blas_limit: Any = None
"""threadpoolctl's limiter, which holds the user's setting, or None without a limit."""


def _after_fork() -> None:
    """Drop the state of the parent's other threads in a child process.

    OpenMP keeps a thread pool per computing thread. The pool of the thread that forked
    does not exist in the child, which would wait for it forever.
    """
    _active[:] = [entry for entry in _active if entry[0] == threading.get_ident()]
    # If none is left, the next `one_blas_thread` restores the user's setting.
    _blas_users[:] = [user for user in _blas_users if user == threading.get_ident()]
    _local.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def fork_safe_threads() -> AbstractContextManager[None]:
    """Use one thread in the main thread of a forked process.

    Threads that the child process starts itself can use any number.

    Returns
    -------
    context : context manager
    """
    forked = getattr(_local, "forked", False)
    return intra_op_threads(1) if forked else nullcontext()


def threads_for(n_threads: int | None, work: int) -> int:
    """Choose the number of intra-op threads for a computation on the CPU.

    Parameters
    ----------
    n_threads : int or None
        Option of the estimator. None uses one thread per `WORK_PER_THREAD`
        multiply-adds, at most torch's current setting: joblib sets a low number in
        workers that share the cores.
    work : int
        Multiply-adds per step.

    Returns
    -------
    n_threads : int
    """
    if n_threads is None:
        with _LOCK.taken():
            limit = getattr(_local, "user_setting", None) or _current_user_setting()
        return max(1, min(limit, work // WORK_PER_THREAD))
    return int(n_threads)


def _current_user_setting() -> int:
    """Return the number of threads that the user has set for this thread.

    A thread adopts the process's latest number when it first computes. If that is a
    number that `intra_op_threads` has set in another thread, it is not the user's.
    """
    setting = torch.get_num_threads()
    return _user_setting if setting in (n for _, n in _active) else setting


@contextmanager
def intra_op_threads(n_threads: int) -> Iterator[None]:
    """Set torch's number of intra-op threads and restore the setting afterwards.

    Parameters
    ----------
    n_threads : int
        Number of threads. In the main thread of a forked process one is used.
    """
    global _user_setting
    if getattr(_local, "forked", False):
        n_threads = 1
    entry = threading.get_ident(), n_threads
    is_outermost = getattr(_local, "user_setting", None) is None
    with _LOCK.taken():
        before = _current_user_setting() if is_outermost else torch.get_num_threads()
        torch.set_num_threads(n_threads)
        if not _active:
            _user_setting = before
        _active.append(entry)
    if is_outermost:
        _local.user_setting = before
    try:
        yield
    finally:
        if is_outermost:
            _local.user_setting = None
        with _LOCK.taken():
            _active.remove(entry)
            torch.set_num_threads(before)


@cache
def _thread_pools(user_api: str) -> Any:
    """Return the controller of the BLAS or OpenMP libraries that are loaded.

    Looking for them takes milliseconds. numpy, scipy, scikit-learn and torch have been
    imported by then.
    """
    return ThreadpoolController().select(user_api=user_api)


def _take_blas_control() -> None:
    """Let the current thread set the number of BLAS threads.

    From version 3.8 on, threadpoolctl obeys a single thread: the first one that set a
    limit, as long as it is alive. It ignores the others silently.
    """
    for library in _thread_pools("blas").lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit the BLAS libraries of numpy and scipy to one thread.

    The limit is process-global. Among concurrent computations the first one sets it,
    and the last one to finish restores the user's setting: with a limiter each, one
    would lift the limit of the others, and the last one would restore the limit.
    """
    global _blas_limit
    user = threading.get_ident()
    with _LOCK.taken():
        if _blas_limit is None:
            _take_blas_control()
            _blas_limit = _thread_pools("blas").limit(limits=1)
        _blas_users.append(user)
    try:
        yield
    finally:
        with _LOCK.taken():
            _blas_users.remove(user)
            if not _blas_users:
                limit, _blas_limit = _blas_limit, None
                _take_blas_control()
                limit.restore_original_limits()
                _take_blas_control()  # not kept from other threads


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch, BLAS and OpenMP to one thread.

    OpenMP has a setting for each thread of the process, so that concurrent computations
    do not share it.
    """
    with (
        intra_op_threads(1),
        one_blas_thread(),
        _thread_pools("openmp").limit(limits=1),
    ):
        yield
