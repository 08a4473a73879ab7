"""Rows that are images, plotted as a grid on single axes."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sk_ssvae.display.axes import axes_grid, single_axes
from sk_ssvae.utils.typing import Array

__all__ = ["check_image_shape", "mosaic", "plot_images"]


def check_image_shape(image_shape: Sequence[int], n_features: int) -> None:
    """Raise an error if rows cannot be reshaped to images.

    Parameters
    ----------
    image_shape : sequence of int
        Height and width, and 3 or 4 for colour channels.
    n_features : int
        Length of a row.

    Raises
    ------
    ValueError
        If `image_shape` is not of this form, or does not have as many values
        as a row has columns.
    """
    shape = tuple(image_shape) if isinstance(image_shape, Iterable) else ()
    sizes = [size for size in shape if isinstance(size, Integral) and size > 0]
    if (
        len(sizes) != len(shape)
        or len(shape) not in (2, 3)
        or (len(shape) == 3 and shape[2] not in (3, 4))
    ):
        raise ValueError(
            "image_shape must be (height, width), or (height, width, 3 or 4) for "
            f"colours, got {image_shape!r}."
        )
    if int(np.prod(shape)) != n_features:
        raise ValueError(
            f"image_shape={image_shape!r} has {int(np.prod(shape))} values per image, "
            f"but rows have {n_features} columns."
        )


def mosaic(images: Array, image_shape: Sequence[int]) -> Array:
    """Combine a grid of images into one image.

    Parameters
    ----------
    images : ndarray of shape (n_down, n_across, n_features)
        Images as rows; NaN where the grid has no image.
    image_shape : sequence of int
        Shape of an image.

    Returns
    -------
    combined : ndarray of shape (n_down * (height + 1) + 1, n_across * (width + 1) + 1,\
 ...)
        The images, separated and surrounded by lines of NaN, one pixel wide.
    """
    n_down, n_across, _ = images.shape
    height, width, *channels = image_shape
    combined = np.full(
        (n_down * (height + 1) + 1, n_across * (width + 1) + 1, *channels), np.nan
    )
    for i in range(n_down):
        for j in range(n_across):
            top, left = i * (height + 1) + 1, j * (width + 1) + 1
            image = images[i, j].reshape(image_shape)
            combined[top : top + height, left : left + width] = image
    return combined


def plot_images(
    images: Array,
    image_shape: Sequence[int],
    ax: Any,
    caller: str,
    style: dict[str, Any],
) -> tuple[Any, Array]:
    """Plot a grid of images on single axes.

    Parameters
    ----------
    images : ndarray of shape (n_down, n_across, n_features)
        Images as rows; NaN where the grid has no image.
    image_shape : sequence of int
        Shape of an image.
    ax : Axes, array of one Axes or None
        Axes to plot on. None creates a figure.
    caller : str
        Name of the display, for error messages.
    style : dict
        Arguments for ``Axes.imshow``.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of shape (1, 1)
    """
    check_image_shape(image_shape, images.shape[2])
    combined = mosaic(images, image_shape)
    size = (0.5 + 0.55 * images.shape[1], 0.6 + 0.55 * images.shape[0])
    if ax is None or isinstance(ax, Sequence | np.ndarray):
        figure, axes = axes_grid(ax, 1, 1, caller, size)
    else:
        figure, ax = single_axes(ax, caller)
        axes = np.array([[ax]])
    defaults: dict[str, Any] = {"interpolation": "nearest"}
    if combined.ndim == 2:
        defaults |= {"cmap": "gray_r"}
    else:
        # imshow expects colours in [0, 1]; the lines between the images are white.
        low, high = np.nanmin(combined), np.nanmax(combined)
        scaled = (combined - low) / (high - low if high > low else 1.0)
        combined = np.where(np.isnan(scaled), 1.0, scaled)
    axes[0, 0].imshow(combined, **(defaults | style))
    axes[0, 0].set(xticks=[], yticks=[])
    return figure, axes
