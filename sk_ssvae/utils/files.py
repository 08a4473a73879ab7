"""Files of arrays (safetensors) with a JSON header and a checksum, written atomically.

A file is written under a temporary name and renamed, so that a reader finds either the
old file or the complete new one. Temporary files are locked while they are written: a
temporary file that is not locked was left behind by a process that was killed, and is
removed by the next writer.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sk_ssvae.utils.typing import Array

__all__ = [
    "FORMAT",
    "read_checksum",
    "read_file",
    "write_bytes_atomically",
    "write_file",
]

if sys.platform != "win32":
    import fcntl


Arrays = dict[str, Array]

FORMAT = (2, 0)
"""Major and minor version of the file format. A file of a larger major version cannot
be read."""

_HAS_LOCKS = sys.platform != "win32"


def write_file(path: str | os.PathLike[str], header: Any, arrays: Arrays) -> None:
    """Write a header and arrays to a file, atomically.

    See `write_bytes_atomically`.

    Parameters
    ----------
    path : str or path-like
        Path of the file. An existing file is replaced.
    header : object
        JSON-serialisable header.
    arrays : dict of str to ndarray
        Arrays of numbers or booleans.

    Raises
    ------
    OSError
        If the file cannot be written, for instance because the disk is full.
    ImportError
        If safetensors is not installed.
    """
    save = _import_safetensors().numpy.save
    # safetensors stores one byte order only.
    arrays = {k: a.astype(a.dtype.newbyteorder("=")) for k, a in arrays.items()}
    text = json.dumps(header, allow_nan=False, separators=(",", ":"))
    version = ".".join(map(str, FORMAT))
    metadata = {
        "format": "sk_ssvae",
        "format_version": version,
        "sha256": _checksum(version, text, arrays),
        "header": text,
    }
    write_bytes_atomically(path, save(arrays, metadata))


def read_file(path: str | os.PathLike[str]) -> tuple[Any, Arrays]:
    """Read a file that was written by `write_file`.

    Parameters
    ----------
    path : str or path-like
        Path of the file.

    Returns
    -------
    header : object
    arrays : dict of str to ndarray

    Raises
    ------
    ValueError
        If the file is damaged, is not an sk_ssvae file, or has a newer format.
    OSError
        If the file cannot be read.
    ImportError
        If safetensors is not installed.
    """
    name = os.fsdecode(path)
    with _opened(name) as file:
        metadata = dict(file.metadata() or {})
        names = file.keys()
        arrays = {key: file.get_tensor(key) for key in names}
    if metadata.get("format") != "sk_ssvae":
        raise ValueError(
            f"{name} is a safetensors file, but not of an sk_ssvae estimator."
        )
    version = metadata.get("format_version", "")
    major = version.partition(".")[0]
    if not major.isdecimal() or len(major) > 9:
        raise ValueError(
            f"{name} is damaged: {version[:20]!r} is not a format version."
        )
    if int(major) > FORMAT[0]:
        raise ValueError(
            f"{name} has format {version[:20]}; this version of sk_ssvae reads formats "
            f"up to {FORMAT[0]}. Install a newer one."
        )
    text = metadata.get("header", "")
    if _checksum(version, text, arrays) != metadata.get("sha256"):
        raise ValueError(
            f"{name} is damaged: its contents do not match its checksum. Copy it again "
            "from an intact source."
        )
    try:
        return json.loads(text), arrays
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{name} is damaged: its header is not valid JSON: {error}."
        ) from None


def read_checksum(path: str | os.PathLike[str]) -> str:
    """Return the checksum that a file states, without reading the arrays.

    It is the same for all files of the same contents, whose bytes may differ: the order
    of the metadata of safetensors is random. `read_file` compares it with the contents.

    Parameters
    ----------
    path : str or path-like
        Path of the file.

    Returns
    -------
    sha256 : str
        Empty if there is none.

    Raises
    ------
    ValueError
        If the file is not a safetensors file.
    OSError
        If the file cannot be read.
    ImportError
        If safetensors is not installed.
    """
    with _opened(os.fsdecode(path)) as file:
        return str((file.metadata() or {}).get("sha256", ""))


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Any]:
    """Open a safetensors file; errors in the context are those of a damaged file."""
    safetensors = _import_safetensors()
    with open(name, "rb"):  # raises OSError that names the file
        pass
    try:
        with safetensors.safe_open(name, framework="np") as file:
            yield file
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{name} is damaged or is not an sk_ssvae file: {error}"
        ) from None


def _checksum(version: str, header: str, arrays: Arrays) -> str:
    """Return the SHA-256 of version, header, and names, dtypes, shapes and bytes."""
    digest = hashlib.sha256(f"{version}\n{header}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _import_safetensors() -> Any:
    """Import safetensors, or say how to install it."""
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "Saving and loading estimators needs safetensors: "
            'pip install "sk_ssvae[files]".'
        ) from None
    return safetensors


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file completely or not at all.

    The content is written to a temporary file in the same folder, flushed to the disk,
    and renamed. Temporary files of processes that were killed are removed, except on
    Windows.

    Parameters
    ----------
    path : str or path-like
        Path of the file. An existing file is replaced; a symbolic link stays, and its
        target is replaced.
    content : bytes
        Content of the file.

    Raises
    ------
    ValueError
        If the path is that of a device, a pipe or a socket, or is empty.
    OSError
        If the file cannot be written.
    """
    target = _regular_file(os.fsdecode(path))
    file = _open_temporary_file(target)
    try:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        if not _HAS_LOCKS:  # Windows cannot rename open files
            file.close()
        os.replace(file.name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        raise
    finally:
        with contextlib.suppress(OSError):  # already flushed, or already failed
            file.close()
    _remove_abandoned_files(target)
    _sync_folder(target.parent)


def _regular_file(name: str) -> Path:
    """Return the path of a regular file, or of one that does not exist yet.

    Renaming a file to the path of a device or a pipe would remove these.
    """
    if not name or "\0" in name:
        raise ValueError(f"{name!r} is not a valid file name.")
    target = Path(os.path.realpath(name))
    if target.is_dir():
        message = "Is a directory; pass the path of a file in it"
        raise IsADirectoryError(errno.EISDIR, message, name)
    if target.exists() and not target.is_file():
        raise ValueError(
            f"{name} is a device, a pipe or a socket, not a regular file. Choose "
            "another path."
        )
    return target


def _open_temporary_file(target: Path) -> BinaryIO:
    """Open a new file in the folder of the target, locked until it is closed."""
    while True:
        name = f".{target.name}.{secrets.token_hex(4)}.partial"
        try:
            file = open(target.parent / name, "xb")  # noqa: SIM115
        except FileExistsError:
            continue
        if _lock(file) is not False:
            return file
        file.close()  # another writer removed it as abandoned before it was locked


def _lock(file: Any) -> bool | None:
    """Lock a file until it is closed, and return whether that succeeded.

    It does not if another writer has locked or removed it. Return None where the
    platform or the file system does not support locks.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_nlink > 0
    except BlockingIOError:
        return False
    except OSError:
        return None


def _remove_abandoned_files(target: Path) -> None:
    """Remove temporary files of a target whose writers were killed."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.partial")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if pattern.fullmatch(name):
                _remove_unless_locked(target.parent / name)


def _remove_unless_locked(path: Path) -> None:
    """Remove a file that no running process has locked."""
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
        if _lock(file):
            os.unlink(path)


def _sync_folder(folder: Path) -> None:
    """Flush a renamed file's directory entry to the disk, where that is supported."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # the file itself is written
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
