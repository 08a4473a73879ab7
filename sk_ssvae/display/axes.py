"""Axes and colours that all displays share; matplotlib is imported here, when used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["axes_grid", "class_colours", "one_axes", "pyplot"]

PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Ten colours that are told apart with colour vision deficiencies too: Petroff 2021,
"Accessible Color Sequences for Data Visualization", arXiv 2107.02270."""


def pyplot(caller: str) -> Any:
    """Import matplotlib's pyplot.

    Parameters
    ----------
    caller : str
        Who needs it.

    Returns
    -------
    pyplot : module

    Raises
    ------
    ImportError
        If matplotlib is not installed; says how it is.
    """
    try:
        import matplotlib.pyplot
    except ImportError:
        raise ImportError(
            f'{caller} needs matplotlib: pip install "sk_ssvae[plot]".'
        ) from None
    return matplotlib.pyplot


def one_axes(ax: Any, caller: str) -> tuple[Any, Any]:
    """Return a figure and its axes: those given, or new ones."""
    plt = pyplot(caller)
    if ax is None:
        figure, ax = plt.subplots(layout="constrained")
        return figure, ax
    _check_axes(ax, "matplotlib Axes or None")
    return ax.figure, ax


def axes_grid(
    ax: Any, n_rows: int, n_columns: int, caller: str, size: tuple[float, float]
) -> tuple[Any, npt.NDArray[Any]]:
    """Return a figure and a grid of axes in it.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        One is divided; of several there must be enough; None makes a figure.
    n_rows, n_columns : int
        Shape of the grid.
    caller : str
        Who asks, for messages.
    size : (float, float)
        Width and height of one of the axes of a new figure, in inches.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of shape (n_rows, n_columns)

    Raises
    ------
    TypeError
        If `ax` is neither axes nor several.
    ValueError
        If `ax` holds another number of axes.
    """
    plt = pyplot(caller)
    if ax is None:
        figure, axes = plt.subplots(
            n_rows,
            n_columns,
            figsize=(size[0] * n_columns, size[1] * n_rows),
            squeeze=False,
            layout="constrained",
        )
        return figure, axes
    if isinstance(ax, Sequence | np.ndarray) and not isinstance(ax, str):
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) != n_rows * n_columns:
            raise ValueError(
                f"ax holds {len(given)} axes, but {caller} draws on "
                f"{n_rows * n_columns}. Give that many, one to be divided, or None."
            )
        for one in given:
            _check_axes(one, "matplotlib Axes, an array of them or None")
        return given[0].figure, given.reshape(n_rows, n_columns)
    _check_axes(ax, "matplotlib Axes, an array of them or None")
    ax.set_axis_off()
    place = ax.get_subplotspec()
    if place is not None:
        return ax.figure, place.subgridspec(n_rows, n_columns).subplots(squeeze=False)
    # Axes that were put somewhere by hand: room for titles and ticks is left.
    axes = np.empty((n_rows, n_columns), dtype=object)
    for i in range(n_rows):
        for j in range(n_columns):
            left, bottom = (j + 0.15) / n_columns, (n_rows - 1 - i + 0.2) / n_rows
            cell = (left, bottom, 0.8 / n_columns, 0.6 / n_rows)
            axes[i, j] = ax.inset_axes(cell)
    return ax.figure, axes


def _check_axes(ax: Any, wanted: str) -> None:
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be {wanted}, got {ax!r} of type {type(ax).__name__}.")


def class_colours(n: int, caller: str) -> list[Any]:
    """Colours of so many classes."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    plt = pyplot(caller)
    return list(plt.get_cmap("turbo")(np.linspace(0.05, 0.95, n)))
