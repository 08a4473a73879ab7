"""Columns of user-supplied networks: all columns of the rows, also constant ones.

The models leave out columns that are constant in training, and which columns are
constant may differ between the folds of a cross-validation. A network for images or
sequences needs all of them, in their order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sk_ssvae.data.layout import ColumnGroup, Layout
from sk_ssvae.models.likelihoods import make_likelihood
from sk_ssvae.utils.typing import Array, IntArray, Mask

__all__ = ["UserColumns", "user_columns"]

Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class UserColumns:
    """Inputs and outputs of a model among those of a user-supplied network.

    Attributes
    ----------
    inputs : ndarray of int64 of shape (n_model_inputs,)
        Position of each input of the model among the inputs of the network.
    fill : ndarray of float32 of shape (n_inputs,)
        Inputs of the network for constant columns: 0 for measurements and counts, the
        value for binary columns and intensities, one-hot for categories. 0 elsewhere.
    outputs : ndarray of int64 of shape (n_model_outputs,)
        Position of each decoder output of the model among those of the network.
    n_outputs : int
        Number of decoder outputs of the network.
    description : str
        What the inputs are, for error messages.
    """

    inputs: IntArray
    fill: npt.NDArray[np.float32]
    outputs: IntArray
    n_outputs: int
    description: str

    @property
    def n_inputs(self) -> int:
        """Number of inputs of the network."""
        return len(self.fill)


def user_columns(
    layout: Layout,
    kept: Mask,
    column_types: Array,
    sizes: IntArray,
    values: Array,
) -> UserColumns:
    """Return the columns of user-supplied networks.

    Parameters
    ----------
    layout : Layout
        The columns that the model takes.
    kept : ndarray of bool of shape (n_features,)
        Which of all columns they are.
    column_types : ndarray of object of shape (n_features,)
        Likelihoods of all columns.
    sizes : ndarray of int64 of shape (n_features,)
        Numbers of categories of all columns, 0 for numeric ones.
    values : ndarray of shape (n_features,)
        Value of each constant column.

    Returns
    -------
    columns : UserColumns
    """
    which = np.flatnonzero(kept)
    groups = []
    for kind in dict.fromkeys(column_types.tolist()):
        columns = np.flatnonzero(column_types == kind)
        levels = tuple(sizes[columns].tolist()) if kind == "categorical" else ()
        groups.append(ColumnGroup(kind, columns, levels))
    everything = np.arange(len(kept))
    full = Layout(tuple(groups), np.zeros(len(kept)), which[layout.gaps])
    inputs = list(_input_keys(full, everything))
    outputs = list(_output_keys(full, everything))
    return UserColumns(
        inputs=_positions(_input_keys(layout, which), inputs),
        fill=_fill(inputs, kept, column_types, values),
        outputs=_positions(_output_keys(layout, which), outputs),
        n_outputs=len(outputs),
        description=_describe(inputs),
    )


def _input_keys(layout: Layout, names: IntArray) -> Iterator[Key]:
    """Yield a key for each network input, in the order of `InputEncoder`."""
    groups = [group for group in layout.groups if group.kind == "categorical"]
    is_category = np.zeros(layout.n_cells, dtype=bool)
    for group in groups:
        is_category[group.columns] = True
    for column in np.flatnonzero(~is_category):
        yield "number", int(names[column])
    for group in groups:
        for column, size in zip(group.columns, group.sizes, strict=True):
            for code in range(size):
                yield "level", int(names[column]), code
    for column in layout.gaps:
        yield "gap", int(names[column])


def _output_keys(layout: Layout, names: IntArray) -> Iterator[Key]:
    """Yield a key for each decoder output, in the order of the likelihood."""
    for group in layout.groups:
        columns = names[group.columns].tolist()
        if group.kind == "categorical":
            for column, size in zip(columns, group.sizes, strict=True):
                for code in range(size):
                    yield column, code
            continue
        n_outputs = make_likelihood(Layout((group,), np.zeros(0))).n_outputs
        for block in range(n_outputs // len(columns)):
            for column in columns:
                yield column, block


def _positions(some: Iterator[Key], keys: list[Key]) -> IntArray:
    """Return the position of each of some keys among all keys."""
    position = {key: i for i, key in enumerate(keys)}
    return np.array([position[key] for key in some], dtype=np.int64)


def _fill(
    inputs: list[Key], kept: Mask, column_types: Array, values: Array
) -> npt.NDArray[np.float32]:
    """Return the network inputs of the constant columns; 0 for the others."""
    fill = np.zeros(len(inputs), dtype=np.float32)
    for i, (kind, column, *code) in enumerate(inputs):
        if kept[column]:
            continue
        if kind == "level":
            fill[i] = values[column] == code[0]
        elif column_types[column] == "bernoulli":
            fill[i] = values[column]
    return fill


def _describe(inputs: list[Key]) -> str:
    """Describe the inputs of the network."""
    count = dict.fromkeys(("number", "level", "gap"), 0)
    for key in inputs:
        count[key[0]] += 1
    n_categories = len({key[1] for key in inputs if key[0] == "level"})
    parts = []
    if count["number"]:
        parts.append(f"{count['number']} numeric columns")
    if count["level"]:
        parts.append(f"{count['level']} levels of {n_categories} columns of categories")
    if count["gap"]:
        parts.append(f"{count['gap']} indicators of missing cells")
    return ", ".join(parts)
