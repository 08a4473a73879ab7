"""Samples of a fitted model: images by class, or distributions of the columns."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np

from sk_ssvae.data.containers import as_container, as_table
from sk_ssvae.data.missing import is_missing
from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.images import check_image_shape, plot_images
from sk_ssvae.display.validation import as_numbers, check_estimator
from sk_ssvae.utils.estimator import check_count
from sk_ssvae.utils.random import Stream, draw_seed, stream_seed
from sk_ssvae.utils.typing import Array

__all__ = ["SamplesDisplay"]


MAX_COLUMNS = 12
"""Number of columns that are plotted if `features` is None."""


class SamplesDisplay:
    """Plot samples from a model.

    It is recommended to use `from_estimator` to create a `SamplesDisplay`.

    With `image_shape`, the samples are plotted as a grid of images with one row per
    class. Otherwise, each column has a panel with its distribution in the samples and,
    for comparison, in real rows.

    Images are by default decoded means: z is drawn from p(z), and the image is the mean
    of p(x | y, z). A draw from p(x | y, z) adds independent noise to each pixel; with
    the Bernoulli likelihood, its pixels are black or white.

    Parameters
    ----------
    samples : array or data frame of shape (n_samples, n_features)
        Samples.
    classes : ndarray of shape (n_samples,)
        Classes of the samples. Only used with `image_shape`.
    real : array or data frame of shape (n_rows, n_features), default=None
        Real rows to compare the columns with.
    image_shape : (int, int) or (int, int, 3), default=None
        Shape of the image that a row represents: height and width, and colours.
    features : sequence of int or str, default=None
        Columns to plot. None plots the first twelve.
    kind : {"draws", "means"}, default="draws"
        Whether the samples are draws from p(x | y, z) or its means at draws of z. Only
        used in the title of images.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Axes of the panels: one for images, one per column otherwise.
    ax_ : matplotlib Axes
        First of these axes.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    TraversalDisplay : Decoded means along a latent dimension.

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
        kind: Literal["draws", "means"] = "draws",
    ) -> None:
        self.samples = samples
        self.classes = classes
        self.real = real
        self.image_shape = image_shape
        self.features = features
        self.kind = kind

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_samples: int | None = None,
        image_shape: Sequence[int] | None = None,
        features: Sequence[Any] | None = None,
        kind: Literal["auto", "means", "draws"] = "auto",
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Sample from a fitted estimator and plot the samples.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted estimator. Its `random_state` determines the samples, as in `sample`.
        X : array-like or data frame of shape (n_rows, n_features), default=None
            Real rows to compare the columns with. Not used with `image_shape`.
        n_samples : int, default=None
            With `image_shape`, the number of samples per class, 10 by default.
            Otherwise the total number of samples, by default the number of rows of `X`,
            or 1000 without `X`; their classes are drawn from `class_prior_`.
        image_shape : (int, int) or (int, int, 3), default=None
            Shape of the image that a row represents: height and width, and colours.
        features : sequence of int or str, default=None
            Columns to plot. None plots the first twelve.
        kind : {"auto", "means", "draws"}, default="auto"
            "draws" plots draws from p(x | y, z), as `sample` returns them. "means"
            plots means of p(x | y, z), as `inverse_transform` returns them, where z is
            drawn from p(z); the classes share these z, so that the images of a column
            have the same z. "auto" is "means" with `image_shape`, otherwise "draws".
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for `plot`.

        Returns
        -------
        display : SamplesDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is a pipeline, or `ax` is not axes.
        ValueError
            If `kind` is unknown, or "means" without `image_shape`, `image_shape` does
            not fit the number of columns, a feature is not a column, or `ax` holds the
            wrong number of axes.
        """
        check_estimator(estimator, "sample", cls.__name__)
        classes: Any = None
        kind = _check_kind(kind, image_shape)
        if image_shape is not None:
            n = 10 if n_samples is None else n_samples
            check_image_shape(image_shape, estimator.n_features_in_)
            check_count("n_samples", n)
            samples, classes = _sample_images(estimator, int(n), kind)
        else:
            if n_samples is None:
                n_samples = 1000 if X is None else as_container(X).rows.shape[0]
            samples = estimator.sample(n_samples)
            if hasattr(estimator, "classes_"):
                samples, classes = samples
        display = cls(
            samples,
            classes,
            real=X,
            image_shape=image_shape,
            features=features,
            kind=kind,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Plot the samples.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for ``Axes.imshow`` with `image_shape`, otherwise for
            ``Axes.hist`` (numeric columns) and ``Axes.bar`` (categorical columns).

        Returns
        -------
        display : SamplesDisplay

        Raises
        ------
        TypeError
            If `ax` is not axes.
        ValueError
            If a feature is not a column, or `ax` holds the wrong number of axes.
        """
        if self.image_shape is not None:
            self._plot_images(ax, kwargs)
        else:
            self._plot_columns(ax, kwargs)
        self.ax_ = self.axes_.flat[0]
        return self

    def _plot_images(self, ax: Any, style: dict[str, Any]) -> None:
        rows = as_numbers(self.samples, type(self).__name__)
        # In order of appearance: for an estimator, the order of its classes_.
        names = [*dict.fromkeys(np.asarray(self.classes).astype(str).tolist())]
        order = np.array([names.index(str(name)) for name in self.classes])
        counts = np.bincount(order)
        images = np.full((len(names), counts.max(), rows.shape[1]), np.nan)
        for i in range(len(names)):
            images[i, : counts[i]] = rows[order == i]
        assert self.image_shape is not None
        self.figure_, self.axes_ = plot_images(
            images, self.image_shape, ax, type(self).__name__, style
        )
        height = self.image_shape[0]
        has_classes = names != [""]
        if self.kind == "means":
            mean = "p(x | y, z)" if has_classes else "p(x | z)"
            title = f"Means of {mean}, z from p(z)"
        else:
            title = f"Draws from {'p(x | y)' if has_classes else 'p(x)'}"
        self.axes_[0, 0].set(
            ylabel="class" if has_classes else "",
            yticks=(np.arange(len(names)) + 0.5) * (height + 1),
            yticklabels=names,
            title=title,
        )

    def _plot_columns(self, ax: Any, style: dict[str, Any]) -> None:
        samples = as_table(self.samples)
        real = None if self.real is None else as_table(self.real)
        names = as_container(samples).names
        indices = _column_indices(self.features, names)
        n_across = min(4, len(indices))
        n_down = -(-len(indices) // n_across)
        caller = type(self).__name__
        self.figure_, self.axes_ = axes_grid(ax, n_down, n_across, caller, (2.8, 2.3))
        for index, axes in zip(indices, self.axes_.flat, strict=False):
            columns = {"drawn": _observed_values(samples, index)}
            if real is not None:
                columns = {"real": _observed_values(real, index)} | columns
            _plot_distributions(axes, columns, style)
            axes.set_title(str(names[index]), fontsize="medium")
        for axes in self.axes_.flat[len(indices) :]:
            axes.set_axis_off()
        self.axes_.flat[0].legend(fontsize="small")


def _check_kind(
    kind: str, image_shape: Sequence[int] | None
) -> Literal["means", "draws"]:
    """Return "means" or "draws"."""
    if kind == "draws" or (kind == "auto" and image_shape is None):
        return "draws"
    if kind not in ("auto", "means"):
        raise ValueError(f"kind must be 'auto', 'means' or 'draws', got {kind!r}.")
    if image_shape is None:
        raise ValueError(
            "kind='means' needs image_shape: the distribution of the means of a column "
            "is narrower than that of its values. Pass image_shape, or kind='draws'."
        )
    return "means"


def _sample_images(
    estimator: Any, n: int, kind: Literal["means", "draws"]
) -> tuple[Any, Array]:
    """Return means or draws of `n` rows of each class, and their classes."""
    names = getattr(estimator, "classes_", None)
    classes = np.full(n, "") if names is None else np.repeat(names, n)
    if kind == "draws":
        drawn = estimator.sample(n) if names is None else estimator.sample(y=classes)[0]
        return drawn, classes
    seed = stream_seed(draw_seed(estimator.random_state), Stream.SAMPLE_Z)
    Z = np.random.default_rng(seed).standard_normal((n, estimator.module_.latent_size))
    if names is None:
        return estimator.inverse_transform(Z), classes
    return estimator.inverse_transform(np.tile(Z, (len(names), 1)), y=classes), classes


def _column_indices(features: Sequence[Any] | None, names: list[Any]) -> list[int]:
    """Return the indices of the columns to plot."""
    if features is None:
        return [*range(min(MAX_COLUMNS, len(names)))]
    indices = []
    for feature in features:
        if feature not in names:
            raise ValueError(
                f"features holds {feature!r}, which is not one of the columns {names}."
            )
        indices.append(names.index(feature))
    if not indices:
        raise ValueError("features is empty. Pass at least one column, or None.")
    return indices


def _observed_values(rows: Any, index: int) -> Array:
    """Return the values of a column that are not missing: floats, or strings."""
    values = as_container(rows).values(index)
    values = values[~is_missing(values)]
    try:
        return values.astype(float)
    except (TypeError, ValueError):
        return values.astype(str)


def _plot_distributions(
    axes: Any, columns: dict[str, Array], style: dict[str, Any]
) -> None:
    """Plot the relative frequencies of a column's values in real and sampled rows."""
    colours = dict(zip(("real", "drawn"), class_colours(2, ""), strict=True))
    pooled = np.concatenate([*columns.values()])
    if pooled.dtype.kind == "U":
        names = np.unique(pooled)
        width = 0.8 / len(columns)
        for i, (label, values) in enumerate(columns.items()):
            shares = [(values == name).mean() if len(values) else 0 for name in names]
            positions = np.arange(len(names)) + (i - (len(columns) - 1) / 2) * width
            bar_style = {"color": colours[label], "label": label} | style
            axes.bar(positions, shares, width, **bar_style)
        axes.set_xticks(range(len(names)), names, rotation=30 if len(names) > 3 else 0)
    else:
        edges = np.histogram_bin_edges(pooled, bins=25)
        for label, values in columns.items():
            hist_style = {"color": colours[label], "label": label, "alpha": 0.6} | style
            weights = np.full(len(values), 1 / max(1, len(values)))
            axes.hist(values, edges, weights=weights, **hist_style)
    axes.set_ylabel("share")
