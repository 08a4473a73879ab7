"""Fitted estimators in files, each of which a process loads once."""

import errno
import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sk_ssvae.estimators.onnx_models import is_graph, load_graph
from sk_ssvae.utils.files import read_checksum
from sk_ssvae.utils.locks import ForkSafeLock

__all__ = ["MAX_FILES", "LoadedFile", "load_once"]

MAX_FILES = 16
"""Number of estimators that are kept: those that were used last."""


@dataclass(frozen=True)
class LoadedFile:
    """A fitted estimator and the file from which it was loaded.

    Attributes
    ----------
    estimator : estimator
        Fitted.
    checksum : str
        Checksum of the contents, which is the same on all machines, unlike the time of
        modification.
    """

    estimator: Any
    checksum: str


_LOCK = ForkSafeLock()
_loaded: OrderedDict[tuple[str, str | None], tuple[tuple[int, ...], LoadedFile]] = (
    OrderedDict()
)
"""Files by path and device, with the stamps under which they were read."""


def load_once(path: str, device: str | None) -> LoadedFile:
    """Load a file, unless this process has loaded it before.

    A file is read again after it has changed: if its time of modification, its size or
    its inode is another one. Of threads that need the same file one loads it, and the
    others wait. A forked process has the estimators of its parent.

    Parameters
    ----------
    path : str
        Absolute path without symbolic links.
    device : str or None
        As for `load`.

    Returns
    -------
    file : LoadedFile

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError, OSError, ImportError
        As `load`.
    """
    key = path, device
    with _LOCK.taken():
        stamp = _stamp(path)
        if key not in _loaded or _loaded[key][0] != stamp:
            _loaded[key] = stamp, _load(path, device)
        _loaded.move_to_end(key)
        while len(_loaded) > MAX_FILES:
            _loaded.popitem(last=False)
        return _loaded[key][1]


def _stamp(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            errno.ENOENT,
            "No such file. Every process that uses a Scorer must be able to read the "
            "file of its model",
            path,
        ) from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def load(path: str, *, device: str | None) -> Any:
    """Load an estimator from a file, or a graph, which needs no torch."""
    if is_graph(path):
        return load_graph(path)
    from sk_ssvae.estimators.loading import load as load_estimator

    return load_estimator(path, device=device)


def _load(path: str, device: str | None) -> LoadedFile:
    while True:  # until the file was not replaced while it was read
        checksum = _checksum(path)
        estimator = load(path, device=device)
        if _checksum(path) == checksum:
            return LoadedFile(estimator, checksum)


def _checksum(path: str) -> str:
    if not is_graph(path):
        return read_checksum(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
