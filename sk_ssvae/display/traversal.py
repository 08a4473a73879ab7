"""Style against class: what a latent point stands for under every class."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.stats import norm

from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.images import check_image_shape, draw_images
from sk_ssvae.display.validation import as_numbers, check_can, check_count
from sk_ssvae.utils.typing import Array

__all__ = ["TraversalDisplay"]


class TraversalDisplay:
    """Decoded means for latent points and classes, each point under each class.

    Along a latent dimension, or for the latent means of given rows: the analogies of
    [1]_, figure 1. Make it by `from_estimator`.

    Parameters
    ----------
    decoded : ndarray of shape (n_classes, n_points, n_features)
        Means of p(x | y, z).
    class_names : list
        A name for each class.
    point_names : list of str
        A name for each latent point.
    image_shape : (int, int) or (int, int, 3), default=None
        Of the image that a row is; None draws rows as curves over the columns.
    rows : ndarray of shape (n_points, n_features), default=None
        The rows that the points come from.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        A single one of images; one for each class otherwise.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        What they are in.

    References
    ----------
    .. [1] D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling. Semi-supervised
       learning with deep generative models. NIPS 2014. arXiv:1406.5298.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import SSVAEClassifier
    >>> from sk_ssvae.display import TraversalDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = SSVAEClassifier(teacher=None, max_epochs=2, random_state=0).fit(X, y)
    >>> TraversalDisplay.from_estimator(clf, n_points=5).decoded.shape
    (3, 5, 4)
    """

    def __init__(
        self,
        decoded: Array,
        *,
        class_names: list[Any],
        point_names: list[str],
        image_shape: Sequence[int] | None = None,
        rows: Array | None = None,
    ) -> None:
        self.decoded = decoded
        self.class_names = class_names
        self.point_names = point_names
        self.image_shape = image_shape
        self.rows = rows

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        dimension: int = 0,
        n_points: int = 9,
        classes: Sequence[Any] | None = None,
        image_shape: Sequence[int] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Decode latent points under every class.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted, on columns of numbers.
        X : array-like of shape (n_points, n_features), default=None
            Rows whose latent means are decoded. None goes along a dimension instead,
            through quantiles of its prior N(0, 1), the other dimensions being 0.
        dimension : int, default=0
            The latent dimension to go along.
        n_points : int, default=9
            Points along it.
        classes : sequence, default=None
            Classes to decode for; all by default.
        image_shape : (int, int) or (int, int, 3), default=None
            Of the image that a row is.
        ax : matplotlib Axes or array of them, default=None
            Where to; None makes a figure.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        TypeError
            If the estimator is a pipeline, or a number or `ax` is none.
        ValueError
            If columns hold no numbers, `dimension` or `n_points` is out of range, or
            `image_shape` does not fit.
        """
        check_can(estimator, "latent_size", cls.__name__)
        size = estimator.latent_size
        if image_shape is not None:
            check_image_shape(image_shape, estimator.n_features_in_)
        rows = None
        if X is None:
            check_count("dimension", dimension)
            check_count("n_points", n_points)
            if not 0 <= dimension < size:
                raise ValueError(
                    f"dimension={dimension!r} is none of the {size} latent dimensions, "
                    "which are counted from 0."
                )
            if n_points < 1:
                raise ValueError(f"n_points must be positive, got {n_points!r}.")
            along = norm.ppf((np.arange(n_points) + 0.5) / n_points)
            Z = np.zeros((n_points, size), dtype=np.float32)
            Z[:, dimension] = along
            names = [f"{value:.1f}" for value in along]
        else:
            Z, rows = estimator.transform(X), as_numbers(X, cls.__name__)
            names = [str(i) for i in range(len(Z))]
        if hasattr(estimator, "classes_"):
            chosen = [*(estimator.classes_ if classes is None else classes)]
            means = [estimator.inverse_transform(Z, y=name) for name in chosen]
        elif classes is None:
            chosen, means = [""], [estimator.inverse_transform(Z)]
        else:
            raise ValueError(
                f"classes={classes!r}, but {type(estimator).__name__} has no classes. "
                "Leave them out."
            )
        decoded = [as_numbers(rows_of_class, cls.__name__) for rows_of_class in means]
        display = cls(
            np.stack(decoded),
            class_names=chosen,
            point_names=names,
            image_shape=image_shape,
            rows=rows,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to; a single one is divided into panels; None makes a figure.
        **kwargs : dict
            For ``Axes.imshow`` of images, ``Axes.plot`` of curves.

        Returns
        -------
        display : TraversalDisplay
        """
        if self.image_shape is not None:
            self._plot_images(ax, kwargs)
        else:
            self._plot_curves(ax, kwargs)
        self.ax_ = self.axes_.flat[0]
        return self

    def _plot_images(self, ax: Any, style: dict[str, Any]) -> None:
        assert self.image_shape is not None
        names, images = [str(name) for name in self.class_names], self.decoded
        if self.rows is not None:
            names, images = ["row", *names], np.concatenate([self.rows[None], images])
        self.figure_, self.axes_ = draw_images(
            images, self.image_shape, ax, type(self).__name__, style
        )
        height, width = self.image_shape[:2]
        axes = self.axes_[0, 0]
        axes.set_yticks((np.arange(len(names)) + 0.5) * (height + 1), names)
        axes.set(ylabel="class" if names[-1] else "")
        if self.rows is None:
            places = (np.arange(len(self.point_names)) + 0.5) * (width + 1)
            axes.set_xticks(places, self.point_names)
            axes.set(xlabel="latent dimension")
        else:
            axes.set(xlabel="style of these rows")

    def _plot_curves(self, ax: Any, style: dict[str, Any]) -> None:
        n = len(self.class_names)
        caller = type(self).__name__
        self.figure_, self.axes_ = axes_grid(ax, 1, n, caller, (2.8, 2.5))
        colours = class_colours(n, caller)
        shades = np.linspace(0.25, 1.0, len(self.point_names))
        for i, axes in enumerate(self.axes_.flat):
            for curve, shade in zip(self.decoded[i], shades, strict=True):
                drawn = {"color": colours[i], "alpha": shade} | style
                axes.plot(curve, **drawn)
            name = str(self.class_names[i])
            axes.set(title=f"class {name}" if name else "", xlabel="column")
            axes.sharey(self.axes_.flat[0]) if i else None
