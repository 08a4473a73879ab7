"""One file: arrays as safetensors has them, a JSON header, and a checksum of both."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["FORMAT", "read_file", "write_bytes_atomically", "write_file"]

if sys.platform != "win32":
    import fcntl


Arrays = dict[str, npt.NDArray[Any]]

FORMAT = (1, 0)
"""Version of the format. Files of a larger first number cannot be read."""

_LOCKS = sys.platform != "win32"

_REMEDY = 'pip install "sk_ssvae[files]"'


def _checksum(version: str, header: str, arrays: Arrays) -> str:
    """SHA-256 of version and header, and each array's name, type, shape and bytes."""
    digest = hashlib.sha256(f"{version}\n{header}".encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_file(path: str | os.PathLike[str], header: Any, arrays: Arrays) -> None:
    """Write a file as a whole, or not at all.

    It is written beside its place under another name, flushed to the disk, and renamed:
    whoever reads, and whatever fails, there is the old file or the new one. What
    processes that were killed meanwhile have left beside it goes, except on Windows.

    Parameters
    ----------
    path : str or path-like
        Where to. An existing file is replaced.
    header : object
        What JSON can hold.
    arrays : dict of str to ndarray
        Numbers and booleans.

    Raises
    ------
    OSError
        If it cannot be written, because the disk is full for instance.
    ImportError
        If safetensors is not there.
    """
    save = _safetensors().numpy.save
    # Files have one order of bytes, which they would be read in.
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


def write_bytes_atomically(path: str | os.PathLike[str], whole: bytes) -> None:
    """Write bytes as `write_file` does: all of them, or none.

    Parameters
    ----------
    path : str or path-like
        Where to. An existing file is replaced.
    whole : bytes
        What the file shall hold.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(os.fsdecode(path))
    file = _new_partial(target)
    try:
        file.write(whole)
        file.flush()
        os.fsync(file.fileno())
        if not _LOCKS:  # where files that are open cannot be renamed
            file.close()
        os.replace(file.name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        raise
    finally:
        with contextlib.suppress(OSError):  # it is on the disk, or given up
            file.close()
    _remove_left_over(target)
    _sync_folder(target.parent)


def _new_partial(target: Path) -> BinaryIO:
    """Open a new file beside another one, locked for as long as it is open."""
    while True:
        name = f".{target.name}.{secrets.token_hex(4)}.partial"
        try:
            file = open(target.parent / name, "xb")  # noqa: SIM115
        except FileExistsError:
            continue
        if _locked(file) is not False:
            return file
        file.close()  # before it was locked, another writer took it for left over


def _locked(file: Any) -> bool | None:
    """Lock a file until it is closed or the process ends, and tell if that went well.

    Not if another writer has it, or has removed it; None where there are no locks.
    """
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_nlink > 0
    except BlockingIOError:
        return False
    except OSError:  # of file systems that have none
        return None


def _remove_left_over(target: Path) -> None:
    """Remove what writers of a file that are no more have left beside it."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.partial")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if ours.fullmatch(name):
                _remove_if_left(target.parent / name)


def _remove_if_left(path: Path) -> None:
    """Remove a file that no living process has locked."""
    with contextlib.suppress(OSError), open(path, "r+b", buffering=0) as file:
        if _locked(file):
            os.unlink(path)


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too, where folders can be synchronised."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    with contextlib.suppress(OSError):  # the file is there
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_file(path: str | os.PathLike[str]) -> tuple[Any, Arrays]:
    """Read a file that `write_file` has written.

    Parameters
    ----------
    path : str or path-like
        Where from.

    Returns
    -------
    header : object
    arrays : dict of str to ndarray

    Raises
    ------
    ValueError
        If it is no such file, of a newer format, or damaged.
    OSError
        If it cannot be read.
    ImportError
        If safetensors is not there.
    """
    library = _safetensors()
    name = os.fsdecode(path)
    with open(name, "rb"):  # whose errors name the file
        pass
    try:
        with library.safe_open(name, framework="np") as file:
            metadata = dict(file.metadata() or {})
            names = file.keys()
            arrays = {key: file.get_tensor(key) for key in names}
    except (library.SafetensorError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{name} is damaged, or no file of sk_ssvae: {error}"
        ) from None
    if metadata.get("format") != "sk_ssvae":
        raise ValueError(
            f"{name} holds tensors, but not those of an estimator of sk_ssvae."
        )
    version = metadata.get("format_version", "")
    major = version.partition(".")[0]
    if not major.isdecimal() or len(major) > 9:
        raise ValueError(f"{name} is damaged: its format is {version[:20]!r}.")
    if int(major) > FORMAT[0]:
        raise ValueError(
            f"{name} has format {version[:20]}; this version of sk_ssvae reads formats "
            f"up to {FORMAT[0]}. Install a newer one."
        )
    text = metadata.get("header", "")
    if _checksum(version, text, arrays) != metadata.get("sha256"):
        raise ValueError(
            f"{name} is damaged: its contents do not match its checksum. Copy it again "
            "from where it is whole."
        )
    try:
        return json.loads(text), arrays
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is damaged: its header is {error}.") from None


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            f"Saving and loading estimators needs safetensors: {_REMEDY}."
        ) from None
    return safetensors
