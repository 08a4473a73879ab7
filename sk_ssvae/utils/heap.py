"""Return the free memory of a fragmented C heap to the operating system."""

import ctypes
import os
import sys
from collections.abc import Callable

__all__ = ["HeapTrimmer", "anonymous_memory", "malloc_trim", "trim_fragmented_heap"]

MAX_GROWTH = 64 * 2**20
"""The heap is trimmed when the process has grown by this many bytes."""

INTERVAL = 8
"""Number of minibatches between measurements, so that they cost nothing."""


def anonymous_memory() -> int:
    """Return the resident memory of this process without mapped files, in bytes.

    0 where ``/proc/self/statm`` does not exist, as on macOS and Windows.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def malloc_trim() -> None:
    """Return all free pages of the C heap; no effect unless the C library is glibc."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(ctypes.c_size_t(0))


class HeapTrimmer:
    """Trims the C heap when the process has grown.

    A training step allocates blocks of several MB for a minibatch and frees them again.
    glibc often does not reuse the gaps between smaller blocks for the next step: the
    memory in use stays the same, while free memory within the heap increases from step
    to step, and its pages remain with the process.

    Returning all free memory in every step would be slow, since the next step would
    need fresh pages for all of it. So the memory is measured once a few steps after
    the heap was trimmed, when the step has its pages, and the heap is trimmed again
    when the process has grown beyond that by `MAX_GROWTH`.

    Parameters
    ----------
    measure : callable, default=anonymous_memory
        Returns the memory of the process, in bytes.
    trim : callable, default=malloc_trim
        Returns free memory to the operating system.
    """

    def __init__(
        self,
        measure: Callable[[], int] = anonymous_memory,
        trim: Callable[[], None] = malloc_trim,
    ) -> None:
        self.measure = measure
        self.trim = trim
        self.n_steps = 0
        self.level: int | None = None

    def step(self) -> None:
        """Count a minibatch; at every `INTERVAL`-th, trim the heap if necessary."""
        self.n_steps += 1
        if self.n_steps % INTERVAL:
            return
        size = self.measure()
        if self.level is None:
            self.level = size
        elif size > self.level + MAX_GROWTH:
            self.trim()
            self.level = None
        else:
            # The caller may have freed memory of its own.
            self.level = min(self.level, size)


_PROCESS = HeapTrimmer()


def trim_fragmented_heap() -> None:
    """Call `HeapTrimmer.step` for this process, which has one heap for all models."""
    _PROCESS.step()
