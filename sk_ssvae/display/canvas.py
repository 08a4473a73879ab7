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
    if isinstance(ax, Sequence | np.ndarray):
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) != n_rows * n_columns:
            raise ValueError(
                f"ax holds {len(given)} axes, but {caller} draws on "
                f"{n_rows * n_columns}. Give that many, one to be divided, or None."
            )
        return given[0].figure, given.reshape(n_rows, n_columns)
    ax.set_axis_off()
    inner = ax.get_subplotspec().subgridspec(n_rows, n_columns)
    return ax.figure, inner.subplots(squeeze=False)


def class_colours(n: int, caller: str) -> list[Any]:
    """Colours of so many classes."""
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    plt = pyplot(caller)
    return list(plt.get_cmap("turbo")(np.linspace(0.05, 0.95, n)))
