"""Axes and colours shared by all displays. matplotlib is imported on first use."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sk_ssvae.utils.typing import Array

__all__ = ["axes_grid", "class_colours", "import_pyplot", "single_axes"]

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
"""Ten colours that are distinguishable with colour vision deficiencies: Petroff 2021,
"Accessible Color Sequences for Data Visualization", arXiv 2107.02270."""


def import_pyplot(caller: str) -> Any:
    """Import matplotlib's pyplot.

    Parameters
    ----------
    caller : str
        Name of the display, for the error message.

    Returns
    -------
    pyplot : module

    Raises
    ------
    ImportError
        If matplotlib is not installed. The message says how to install it.
    """
    try:
        import matplotlib.pyplot
    except ImportError:
        raise ImportError(
            f'{caller} needs matplotlib: pip install "sk_ssvae[plot]".'
        ) from None
    return matplotlib.pyplot


def single_axes(ax: Any, caller: str) -> tuple[Any, Any]:
    """Return a figure and axes in it: `ax`, or new axes if that is None.

    Parameters
    ----------
    ax : Axes or None
        Axes to plot on. None creates a figure.
    caller : str
        Name of the display, for error messages.

    Returns
    -------
    figure : Figure
    ax : Axes

    Raises
    ------
    TypeError
        If `ax` is neither None nor axes.
    """
    plt = import_pyplot(caller)
    if ax is None:
        figure, ax = plt.subplots(layout="constrained")
        return figure, ax
    _check_axes(ax, "matplotlib Axes or None")
    return ax.figure, ax


def axes_grid(
    ax: Any, n_rows: int, n_columns: int, caller: str, size: tuple[float, float]
) -> tuple[Any, Array]:
    """Return a figure and a grid of axes in it.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        Single axes are subdivided; an array must hold as many axes as the grid; None
        creates a figure.
    n_rows, n_columns : int
        Shape of the grid.
    caller : str
        Name of the display, for error messages.
    size : (float, float)
        Width and height of each of the axes of a new figure, in inches.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of shape (n_rows, n_columns)

    Raises
    ------
    TypeError
        If `ax` is neither None, axes nor an array of axes.
    ValueError
        If `ax` holds the wrong number of axes.
    """
    plt = import_pyplot(caller)
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
        axes = np.asarray(ax, dtype=object).ravel()
        if len(axes) != n_rows * n_columns:
            raise ValueError(
                f"ax holds {len(axes)} axes, but {caller} needs {n_rows * n_columns}. "
                "Pass that many, single axes to subdivide, or None."
            )
        for single in axes:
            _check_axes(single, "matplotlib Axes, an array of them or None")
        return axes[0].figure, axes.reshape(n_rows, n_columns)
    _check_axes(ax, "matplotlib Axes, an array of them or None")
    ax.set_axis_off()
    subplot_spec = ax.get_subplotspec()
    if subplot_spec is not None:
        grid = subplot_spec.subgridspec(n_rows, n_columns)
        return ax.figure, grid.subplots(squeeze=False)
    # Axes that are not part of a grid: inset axes, with space for titles and ticks.
    axes = np.empty((n_rows, n_columns), dtype=object)
    for i in range(n_rows):
        for j in range(n_columns):
            left, bottom = (j + 0.15) / n_columns, (n_rows - 1 - i + 0.2) / n_rows
            bounds = (left, bottom, 0.8 / n_columns, 0.6 / n_rows)
            axes[i, j] = ax.inset_axes(bounds)
    return ax.figure, axes


def _check_axes(ax: Any, expected: str) -> None:
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be {expected}, got {ax!r} of type {type(ax).__name__}."
        )


def class_colours(n: int, caller: str) -> list[Any]:
    """Return a colour for each of `n` classes.

    Parameters
    ----------
    n : int
        Number of classes.
    caller : str
        Name of the display, for the error message if matplotlib is not installed.

    Returns
    -------
    colours : list of str or of RGBA tuples
    """
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    plt = import_pyplot(caller)
    return list(plt.get_cmap("turbo")(np.linspace(0.05, 0.95, n)))
