"""Rows that are images, in a grid on one pair of axes."""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sk_ssvae.display.axes import axes_grid, one_axes
from sk_ssvae.utils.typing import Array

__all__ = ["check_image_shape", "draw_images", "mosaic"]


def check_image_shape(image_shape: Sequence[int], n_features: int) -> None:
    """Refuse shapes that rows cannot be given.

    Parameters
    ----------
    image_shape : sequence of int
        Height and width, and 3 or 4 for colours.
    n_features : int
        Length of a row.

    Raises
    ------
    ValueError
        If it has other lengths, or another number of cells than a row.
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
            f"image_shape={image_shape!r} has {int(np.prod(shape))} cells, but rows "
            f"have {n_features}."
        )


def mosaic(images: Array, image_shape: Sequence[int]) -> Array:
    """Put images side by side, with lines of NaN, one cell wide, around them.

    Parameters
    ----------
    images : ndarray of shape (n_down, n_across, n_features)
        Rows; NaN where there is none.
    image_shape : sequence of int
        Of an image.

    Returns
    -------
    picture : ndarray of shape (n_down * (height + 1) + 1, n_across * (width + 1) + 1, \
...)
    """
    n_down, n_across, _ = images.shape
    height, width, *colours = image_shape
    picture = np.full(
        (n_down * (height + 1) + 1, n_across * (width + 1) + 1, *colours), np.nan
    )
    for i in range(n_down):
        for j in range(n_across):
            top, left = i * (height + 1) + 1, j * (width + 1) + 1
            image = images[i, j].reshape(image_shape)
            picture[top : top + height, left : left + width] = image
    return picture


def draw_images(
    images: Array,
    image_shape: Sequence[int],
    ax: Any,
    caller: str,
    style: dict[str, Any],
) -> tuple[Any, Array]:
    """Draw a grid of images on one pair of axes.

    Returns
    -------
    figure : Figure
    axes : ndarray of Axes of shape (1, 1)
    """
    check_image_shape(image_shape, images.shape[2])
    picture = mosaic(images, image_shape)
    size = (0.5 + 0.55 * images.shape[1], 0.6 + 0.55 * images.shape[0])
    if ax is None or isinstance(ax, Sequence | np.ndarray):
        figure, axes = axes_grid(ax, 1, 1, caller, size)
    else:
        figure, one = one_axes(ax, caller)
        axes = np.array([[one]])
    drawn: dict[str, Any] = {"interpolation": "nearest"}
    if picture.ndim == 2:
        drawn |= {"cmap": "gray_r"}
    else:  # lines of no colour
        low, high = np.nanmin(picture), np.nanmax(picture)
        scaled = (picture - low) / (high - low if high > low else 1.0)
        picture = np.where(np.isnan(scaled), 1.0, scaled)
    axes[0, 0].imshow(picture, **(drawn | style))
    axes[0, 0].set(xticks=[], yticks=[])
    return figure, axes
