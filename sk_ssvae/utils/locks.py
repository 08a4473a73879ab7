"""Locks that survive a fork. They need no torch, as scoring with ONNX graphs does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """Reentrant lock that is free in a child process after ``os.fork``.

    A thread of the parent that held the lock does not exist in the child, where the
    lock would never be released.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = RLock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the lock; wait until no other thread holds it."""
        with self._lock:  # releases this very lock, even if it was replaced meanwhile
            yield
