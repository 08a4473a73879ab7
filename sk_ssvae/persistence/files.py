"""One file: arrays as safetensors has them, a JSON header, and a checksum of both."""

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FORMAT", "read_file", "write_file"]

Arrays = dict[str, npt.NDArray[Any]]

FORMAT = (1, 0)
"""Version of the format. Files of a larger first number cannot be read."""

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
    whoever reads, and whatever fails, there is the old file or the new one.

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
    whole: bytes = save(arrays, metadata)
    target = Path(os.fsdecode(path))
    handle, name = tempfile.mkstemp(
        prefix=f".{target.name}.", suffix=".partial", dir=target.parent
    )
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(whole)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _sync_folder(target.parent)


def _umask() -> int:
    """Return the permissions that new files lack; to be read, it has to be set."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Have the new name on the disk, too, where folders can be synchronised."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
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
