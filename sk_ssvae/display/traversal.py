"""Decoded latent points, each for every class."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from scipy.stats import norm

from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.images import check_image_shape, plot_images
from sk_ssvae.display.validation import as_numbers, check_estimator
from sk_ssvae.utils.estimator import check_count, check_integer
from sk_ssvae.utils.typing import Array

__all__ = ["TraversalDisplay"]


class TraversalDisplay:
    """Plot decoded means of latent points, each for every class.

    It is recommended to use `from_estimator` to create a `TraversalDisplay`.

    The latent points lie along one latent dimension, or are the latent means of rows:
    analogies as in figure 1 of [1]_.

    Parameters
    ----------
    decoded : ndarray of shape (n_classes, n_points, n_features)
        Means of p(x | y, z).
    class_names : list
        Names of the classes.
    point_names : list of str
        Names of the latent points.
    image_shape : (int, int) or (int, int, 3), default=None
        Shape of the image that a row represents: height and width, and colours. None
        plots rows as curves over the columns.
    rows : ndarray of shape (n_points, n_features), default=None
        Rows that the latent points are the means of.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Axes of the panels: one for images, one per class otherwise.
    ax_ : matplotlib Axes
        First of these axes.
    figure_ : matplotlib Figure
        Figure that contains the axes.

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
        """Decode latent points for every class and plot the means.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted estimator. All columns must be numeric.
        X : array-like of shape (n_points, n_features), default=None
            Rows whose latent means are decoded. None decodes points along a latent
            dimension instead: quantiles of its prior N(0, 1), with 0 in all other
            dimensions.
        dimension : int, default=0
            Latent dimension to traverse, from 0. Not used with `X`.
        n_points : int, default=9
            Number of points along the dimension. Not used with `X`.
        classes : sequence, default=None
            Classes to decode for. None uses all classes.
        image_shape : (int, int) or (int, int, 3), default=None
            Shape of the image that a row represents: height and width, and colours.
            None plots rows as curves over the columns.
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for `plot`.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is a pipeline, `dimension` or `n_points` is not an integer,
            or `ax` is not axes.
        ValueError
            If a column is not numeric, `dimension` or `n_points` is out of range,
            `image_shape` does not fit the number of columns, `classes` is given for an
            estimator without classes, or `ax` holds the wrong number of axes.
        """
        check_estimator(estimator, "latent_size", cls.__name__)
        latent_size = estimator.latent_size
        if image_shape is not None:
            check_image_shape(image_shape, estimator.n_features_in_)
        rows = None
        if X is None:
            check_integer("dimension", dimension)
            check_count("n_points", n_points)
            if not 0 <= dimension < latent_size:
                raise ValueError(
                    f"dimension must be from 0 to {latent_size - 1} for "
                    f"latent_size={latent_size}, got {dimension!r}."
                )
            quantiles = norm.ppf((np.arange(n_points) + 0.5) / n_points)
            Z = np.zeros((n_points, latent_size), dtype=np.float32)
            Z[:, dimension] = quantiles
            point_names = [f"{value:.1f}" for value in quantiles]
        else:
            Z, rows = estimator.transform(X), as_numbers(X, cls.__name__)
            point_names = [str(i) for i in range(len(Z))]
        if hasattr(estimator, "classes_"):
            class_names = [*(estimator.classes_ if classes is None else classes)]
            means = [estimator.inverse_transform(Z, y=name) for name in class_names]
        elif classes is None:
            class_names, means = [""], [estimator.inverse_transform(Z)]
        else:
            raise ValueError(
                f"classes must be None for a {type(estimator).__name__}, which has no "
                f"classes, got {classes!r}."
            )
        decoded = [as_numbers(rows_of_class, cls.__name__) for rows_of_class in means]
        display = cls(
            np.stack(decoded),
            class_names=class_names,
            point_names=point_names,
            image_shape=image_shape,
            rows=rows,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Plot the decoded means.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for ``Axes.imshow`` with `image_shape`, otherwise for
            ``Axes.plot``.

        Returns
        -------
        display : TraversalDisplay

        Raises
        ------
        TypeError
            If `ax` is not axes.
        ValueError
            If `ax` holds the wrong number of axes.
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
        self.figure_, self.axes_ = plot_images(
            images, self.image_shape, ax, type(self).__name__, style
        )
        height, width = self.image_shape[:2]
        axes = self.axes_[0, 0]
        axes.set_yticks((np.arange(len(names)) + 0.5) * (height + 1), names)
        axes.set(ylabel="class" if names[-1] else "")
        if self.rows is None:
            centres = (np.arange(len(self.point_names)) + 0.5) * (width + 1)
            axes.set_xticks(centres, self.point_names)
            axes.set(xlabel="latent dimension")
        else:
            axes.set(xlabel="latent means of the rows above")

    def _plot_curves(self, ax: Any, style: dict[str, Any]) -> None:
        n = len(self.class_names)
        caller = type(self).__name__
        self.figure_, self.axes_ = axes_grid(ax, 1, n, caller, (2.8, 2.5))
        colours = class_colours(n, caller)
        opacities = np.linspace(0.25, 1.0, len(self.point_names))
        for i, axes in enumerate(self.axes_.flat):
            for curve, opacity in zip(self.decoded[i], opacities, strict=True):
                axes.plot(curve, **({"color": colours[i], "alpha": opacity} | style))
            name = str(self.class_names[i])
            axes.set(title=f"class {name}" if name else "", xlabel="column")
            if i > 0:
                axes.sharey(self.axes_.flat[0])
