"""What a model draws: images by class, or columns beside those of real rows."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from sk_ssvae.data.containers import as_container, as_table
from sk_ssvae.data.missing import is_missing
from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.images import check_image_shape, draw_images
from sk_ssvae.display.validation import as_numbers, check_can
from sk_ssvae.utils.typing import Array

__all__ = ["SamplesDisplay"]


MOST_COLUMNS = 12
"""Columns that are drawn unless they are chosen."""


class SamplesDisplay:
    """Draws of a model, by class.

    With `image_shape` a grid of images, of which a row is a class; without, a panel for
    each column: its distribution in the draws beside that in real rows.

    Make it by `from_estimator`.

    Parameters
    ----------
    samples : array or frame of shape (n_samples, n_features)
        Draws.
    classes : ndarray of shape (n_samples,)
        Their classes.
    real : array or frame of shape (n_rows, n_features), default=None
        Rows to compare with.
    image_shape : (int, int) or (int, int, 3), default=None
        Of the image that a row is.
    features : sequence of int or str, default=None
        Columns to draw; the first twelve by default.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        A single one of images; of columns one each.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        What they are in.

    See Also
    --------
    TraversalDisplay : Images along a latent dimension.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import SSVAEClassifier
    >>> from sk_ssvae.display import SamplesDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = SSVAEClassifier(teacher=None, max_epochs=2, random_state=0).fit(X, y)
    >>> display = SamplesDisplay.from_estimator(clf, X)
    >>> display.axes_.shape
    (1, 4)
    """

    def __init__(
        self,
        samples: Any,
        classes: Array,
        *,
        real: Any = None,
        image_shape: Sequence[int] | None = None,
        features: Sequence[Any] | None = None,
    ) -> None:
        self.samples = samples
        self.classes = classes
        self.real = real
        self.image_shape = image_shape
        self.features = features

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_samples: int | None = None,
        image_shape: Sequence[int] | None = None,
        features: Sequence[Any] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw from a classifier and show it.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted. Its `random_state` fixes the draws, as in `sample`.
        X : array-like or frame of shape (n_rows, n_features), default=None
            Real rows to compare columns with.
        n_samples : int, default=None
            Images of each class, 10 by default; of columns draws in all, as many as
            `X` has rows or 1000 by default, their classes from `class_prior_`.
        image_shape : (int, int) or (int, int, 3), default=None
            Of the image that a row is.
        features : sequence of int or str, default=None
            Columns to draw.
        ax : matplotlib Axes or array of them, default=None
            Where to; None makes a figure.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : SamplesDisplay

        Raises
        ------
        TypeError
            If the estimator is a pipeline, or `ax` is none.
        ValueError
            If `image_shape` does not fit the columns, or a feature is none of them.
        """
        check_can(estimator, "sample", cls.__name__)
        if image_shape is not None:
            n = 10 if n_samples is None else n_samples
            check_image_shape(image_shape, estimator.n_features_in_)
            if hasattr(estimator, "classes_"):
                y = np.repeat(estimator.classes_, n)
                samples, classes = estimator.sample(y=y)
            else:
                samples, classes = estimator.sample(n), np.full(n, "")
        else:
            if n_samples is None:
                n_samples = 1000 if X is None else as_container(X).rows.shape[0]
            samples, classes = estimator.sample(n_samples), None
            if hasattr(estimator, "classes_"):
                samples, classes = samples
        display = cls(
            samples, classes, real=X, image_shape=image_shape, features=features
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to; a single one is divided into panels; None makes a figure.
        **kwargs : dict
            For ``Axes.imshow`` of images, ``Axes.hist`` or ``Axes.bar`` of columns.

        Returns
        -------
        display : SamplesDisplay
        """
        if self.image_shape is not None:
            self._plot_images(ax, kwargs)
        else:
            self._plot_columns(ax, kwargs)
        self.ax_ = self.axes_.flat[0]
        return self

    def _plot_images(self, ax: Any, style: dict[str, Any]) -> None:
        rows = as_numbers(self.samples, type(self).__name__)
        # In the order in which they come, which for an estimator is its own.
        names = [*dict.fromkeys(np.asarray(self.classes).astype(str).tolist())]
        order = np.array([names.index(str(name)) for name in self.classes])
        counts = np.bincount(order)
        images = np.full((len(names), counts.max(), rows.shape[1]), np.nan)
        for i in range(len(names)):
            images[i, : counts[i]] = rows[order == i]
        assert self.image_shape is not None
        self.figure_, self.axes_ = draw_images(
            images, self.image_shape, ax, type(self).__name__, style
        )
        height = self.image_shape[0]
        self.axes_[0, 0].set(
            ylabel="class" if names != [""] else "",
            yticks=(np.arange(len(names)) + 0.5) * (height + 1),
            yticklabels=names,
            title="Draws from p(x | y)" if names != [""] else "Draws from p(x)",
        )

    def _plot_columns(self, ax: Any, style: dict[str, Any]) -> None:
        samples = as_table(self.samples)
        real = None if self.real is None else as_table(self.real)
        names = [*getattr(samples, "columns", range(samples.shape[1]))]
        chosen = _places(self.features, names)
        n_wide = min(4, len(chosen))
        n_high = -(-len(chosen) // n_wide)
        caller = type(self).__name__
        self.figure_, self.axes_ = axes_grid(ax, n_high, n_wide, caller, (2.8, 2.3))
        for place, axes in zip(chosen, self.axes_.flat, strict=False):
            columns = {"drawn": _column(samples, place)}
            if real is not None:
                columns = {"real": _column(real, place)} | columns
            _draw_column(axes, columns, style)
            axes.set_title(str(names[place]), fontsize="medium")
        for axes in self.axes_.flat[len(chosen) :]:
            axes.set_axis_off()
        self.axes_.flat[0].legend(fontsize="small")


def _places(features: Sequence[Any] | None, names: list[Any]) -> list[int]:
    if features is None:
        return [*range(min(MOST_COLUMNS, len(names)))]
    places = []
    for feature in features:
        if feature in names:
            places.append(names.index(feature))
        else:
            raise ValueError(f"features holds {feature!r}, which is none of {names}.")
    if not places:
        raise ValueError("features is empty. Name a column, or leave it out.")
    return places


def _column(rows: Any, place: int) -> Array:
    """Values of a column that are there: floats, or objects of categories."""
    values = as_container(rows).values(place)
    values = values[~is_missing(values)]
    try:
        return values.astype(float)
    except (TypeError, ValueError):
        return values.astype(str)


def _draw_column(axes: Any, columns: dict[str, Array], style: dict[str, Any]) -> None:
    """Draw distributions of a column, as shares."""
    colours = dict(zip(("real", "drawn"), class_colours(2, ""), strict=True))
    everything = np.concatenate([*columns.values()])
    if everything.dtype.kind == "U":
        names = np.unique(everything)
        width = 0.8 / len(columns)
        for i, (label, values) in enumerate(columns.items()):
            shares = [(values == name).mean() if len(values) else 0 for name in names]
            at = np.arange(len(names)) + (i - (len(columns) - 1) / 2) * width
            drawn = {"color": colours[label], "label": label} | style
            axes.bar(at, shares, width, **drawn)
        axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 3 else 0)
    else:
        edges = np.histogram_bin_edges(everything, bins=25)
        for label, values in columns.items():
            drawn = {"color": colours[label], "label": label, "alpha": 0.6} | style
            weights = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(values, edges, weights=weights, **drawn)
    axes.set_ylabel("share")
