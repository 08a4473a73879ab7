"""Scatter plots of rows in the latent space, projected to two dimensions."""

from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_array, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.display.axes import class_colours, single_axes
from sk_ssvae.display.validation import check_estimator
from sk_ssvae.utils.typing import Array

__all__ = ["LatentSpaceDisplay"]


MAX_LEGEND_ENTRIES = 20
"""Largest number of classes for which a legend is drawn."""


class LatentSpaceDisplay:
    """Scatter plot of latent means, with labelled rows highlighted.

    It is recommended to use `from_estimator` or `from_predictions` to create a
    `LatentSpaceDisplay`. A latent space of more than two dimensions is projected to
    two.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Coordinates of the points.
    codes : ndarray of int of shape (n_samples,)
        Indices into `class_names`, which determine the colours; -1 is grey.
    labelled : ndarray of bool of shape (n_samples,)
        Rows to highlight.
    class_names : list
        Names of the classes, for the legend.
    axis_names : (str, str)
        Labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the scatter plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    unlabelled_, labelled_ : matplotlib PathCollection
        Points of the unlabelled rows, and highlighted points of the labelled rows.

    See Also
    --------
    TraversalDisplay : Decoded means along a latent dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_ssvae.display import LatentSpaceDisplay
    >>> Z = np.random.RandomState(0).randn(6, 3)
    >>> display = LatentSpaceDisplay.from_predictions(Z, [0, 1, -1, -1, -1, -1])
    >>> display.axis_names[0]  # doctest: +ELLIPSIS
    'first principal axis (...% of the variance)'
    """

    def __init__(
        self,
        points: Array,
        *,
        codes: Array,
        labelled: Array,
        class_names: list[Any],
        axis_names: tuple[str, str],
    ) -> None:
        self.points = points
        self.codes = codes
        self.labelled = labelled
        self.class_names = class_names
        self.axis_names = axis_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        projection: str = "pca",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the latent means of rows.

        Labelled rows have the colour of their label, unlabelled rows that of the
        predicted class.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted estimator.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Labels, with -1 (or the estimator's `unlabeled`) for unlabelled rows. None
            highlights no row.
        projection : {"pca", "first"}, default="pca"
            Projection of more than two latent dimensions: the first two principal
            components, or the first two dimensions.
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a figure.
        **kwargs : dict
            Keyword arguments for `plot`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `transform`, or `ax` is not axes.
        ValueError
            If `y` has another length than `X`, or `projection` is unknown.
        """
        check_estimator(estimator, "transform", cls.__name__)
        predicted = estimator.predict(X) if hasattr(estimator, "predict") else None
        return cls.from_predictions(
            estimator.transform(X),
            y,
            y_pred=predicted,
            unlabeled=getattr(estimator, "unlabeled", -1),
            projection=projection,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        Z: Any,
        y: Any = None,
        *,
        y_pred: Any = None,
        unlabeled: Any = -1,
        projection: str = "pca",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Plot latent means that have been computed already.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_size)
            Latent means, as returned by `transform`.
        y : array-like of shape (n_samples,), default=None
            Labels, with `unlabeled` for unlabelled rows. None highlights no row.
        y_pred : array-like of shape (n_samples,), default=None
            Predicted classes, which determine the colours of unlabelled rows. None
            plots them in grey.
        unlabeled : int, str, None, NaN or pandas.NA, default=-1
            Marker of unlabelled rows in `y`.
        projection : {"pca", "first"}, default="pca"
            Projection of more than two latent dimensions: the first two principal
            components, or the first two dimensions.
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a figure.
        **kwargs : dict
            Keyword arguments for `plot`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        TypeError
            If `ax` is not axes.
        ValueError
            If `y` or `y_pred` has another length than `Z`, or `projection` is unknown.
        """
        Z = check_array(Z, input_name="Z")
        n = len(Z)
        labelled = np.zeros(n, dtype=bool)
        classes = np.empty(n, dtype=object)
        if y_pred is not None:
            classes[:] = _check_labels("y_pred", y_pred, n).tolist()
        if y is not None:
            label_array = as_label_array(_check_labels("y", y, n), unlabeled)
            labelled, labels = split_labels(label_array, unlabeled, all_labelled=True)
            classes[labelled] = labels.tolist()
        has_class = np.array([name is not None for name in classes])
        names = sorted({*classes[has_class]}, key=lambda name: (str(type(name)), name))
        index = {name: i for i, name in enumerate(names)}
        codes = np.array([index.get(name, -1) for name in classes], dtype=int)
        points, axis_names = _project(Z, projection)
        display = cls(
            points,
            codes=codes,
            labelled=labelled,
            class_names=names,
            axis_names=axis_names,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        *,
        ax: Any = None,
        unlabelled_kwargs: dict[str, Any] | None = None,
        labelled_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Plot the points.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on. None creates a figure.
        unlabelled_kwargs, labelled_kwargs : dict, default=None
            Keyword arguments for ``Axes.scatter`` for the unlabelled and the labelled
            rows.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        TypeError
            If `ax` is not axes.
        """
        name = type(self).__name__
        self.figure_, self.ax_ = single_axes(ax, name)
        palette = np.empty(len(self.class_names) + 1, dtype=object)
        palette[:-1] = [_rgba(c) for c in class_colours(len(self.class_names), name)]
        palette[-1] = _rgba("#888888")  # for code -1
        unlabelled_style = {"s": 8, "alpha": 0.35, "linewidths": 0}
        labelled_style = {"s": 45, "edgecolors": "#222222", "linewidths": 1.2}
        for attribute, rows, style in (
            (
                "unlabelled_",
                ~self.labelled,
                unlabelled_style | (unlabelled_kwargs or {}),
            ),
            ("labelled_", self.labelled, labelled_style | (labelled_kwargs or {})),
        ):
            colours = [*palette[self.codes[rows]]]
            collection = self.ax_.scatter(*self.points[rows].T, c=colours, **style)
            setattr(self, attribute, collection)
        self.ax_.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        if 0 < len(self.class_names) <= MAX_LEGEND_ENTRIES:
            for label, colour in zip(self.class_names, palette, strict=False):
                self.ax_.scatter([], [], color=colour, s=30, label=str(label))
            self.ax_.legend(title="class", fontsize="small")
        return self


def _check_labels(name: str, y: Any, n: int) -> Array:
    """Return labels as an array; raise ValueError if their number is not `n`."""
    labels: Array = np.asarray(column_or_1d(y))
    if len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} labels, but Z has {n} rows.")
    return labels


def _rgba(colour: Any) -> Any:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


def _project(Z: Array, projection: str) -> tuple[Array, tuple[str, str]]:
    """Return two coordinates of each point, and the labels of the axes."""
    if projection not in ("pca", "first"):
        raise ValueError(f"projection must be 'pca' or 'first', got {projection!r}.")
    if Z.shape[1] == 1:
        # Jitter by multiples of the golden ratio, which spreads the points evenly.
        jitter = np.arange(len(Z)) * 0.6180339887 % 1
        return np.c_[Z, jitter], ("latent dimension 0", "jitter")
    if Z.shape[1] == 2 or projection == "first" or len(Z) < 2:
        return Z[:, :2], ("latent dimension 0", "latent dimension 1")
    with np.errstate(invalid="ignore"):  # all points are equal
        pca = PCA(2, svd_solver="full").fit(Z)
    ratios = np.nan_to_num(pca.explained_variance_ratio_)
    names = [
        f"{ordinal} principal axis ({ratio:.0%} of the variance)"
        for ordinal, ratio in zip(("first", "second"), ratios, strict=True)
    ]
    points: Array = pca.transform(Z)
    return points, (names[0], names[1])
