"""File of the accuracy panel: results by cell.

A cell is a method on one split of a data set. Its result is a dict of

- ``transductive``: accuracy on the unlabelled training rows;
- ``held_out``: accuracy on the held-out rows;
- ``log_loss``: mean log-loss on the held-out rows in nats, probabilities clipped at
  1e-6;
- ``fit`` and ``predict``: seconds of `fit`, and of predicting the held-out rows;
- ``error``: the message of a method that failed.
"""

import json
import os
from typing import NamedTuple

from benchmarks.common.result_files import exclusive_access
from benchmarks.common.versions import package_versions

__all__ = ["Cell", "read", "update"]

VALUES = ("transductive", "held_out", "log_loss", "fit", "predict", "error")


class Cell(NamedTuple):
    """A method on a split.

    Attributes
    ----------
    scheme : str
        How the labelled rows are chosen; see `panel_data.split`.
    rows : int or None
        Largest number of rows drawn from the data set; None for all.
    dataset : str
        Name of the data set.
    labels : int
        Labels of each class.
    seed : int
        Seed of the split, the labels and the method.
    method : str
        Name of the method.
    """

    scheme: str
    rows: int | None
    dataset: str
    labels: int
    seed: int
    method: str


def read(path):
    """Read the results by cell, and the package versions; both empty if no file."""
    if not path.exists():
        return {}, {}
    content = json.loads(path.read_text())
    results, n = {}, len(Cell._fields)
    for record in content["cells"]:
        pairs = zip(VALUES, record[n:], strict=True)
        results[Cell(*record[:n])] = {k: v for k, v in pairs if v is not None}
    return results, content["versions"]


def update(path, change):
    """Change the results in a file; several processes may do so.

    The file is replaced atomically.

    Parameters
    ----------
    path : Path
        File; created if it does not exist.
    change : callable
        Called with the results by cell, which it modifies.
    """
    with exclusive_access(path):
        results, versions = read(path)
        change(results)
        ordered = sorted(results, key=lambda cell: tuple(map(str, cell)))
        lines = (
            json.dumps([*cell, *(results[cell].get(name) for name in VALUES)])
            for cell in ordered
        )
        versions |= package_versions() | {"cores": os.cpu_count()}
        fields = json.dumps([*Cell._fields, *VALUES])
        head = (
            f'{{"versions": {json.dumps(versions)},\n"fields": {fields},\n"cells": [\n'
        )
        partial = path.with_suffix(".partial")
        partial.write_text(head + ",\n".join(lines) + "\n]}\n")
        partial.replace(path)
