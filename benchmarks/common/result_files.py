"""JSON files of results."""

import contextlib
import fcntl
import json
import os

__all__ = ["exclusive_access", "read_json", "write_json"]


@contextlib.contextmanager
def exclusive_access(path):
    """Lock the folder of a file, so that several processes may update the file.

    The folder is created if it does not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def read_json(path):
    """Read a JSON file; return an empty dict if there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path, content):
    """Write a JSON file, replacing an existing one atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(path)
