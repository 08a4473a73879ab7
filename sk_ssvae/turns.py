"""What is the whole process's: threads take turns at it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

__all__ = ["WARNING_FILTERS", "Turns"]


class Turns:
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


WARNING_FILTERS = Turns()
"""Of those who set filters of warnings for a while. Before Python 3.14 these are the
process's, and of two threads at once the last one leaves the other's; scikit-learn's
`Parallel`, in forests and searches for neighbours, even empties them for moments."""
