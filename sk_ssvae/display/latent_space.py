"""Where rows are in the latent space, two dimensions of it."""

from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_array, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.display.axes import class_colours, one_axes
from sk_ssvae.display.validation import check_can
from sk_ssvae.utils.typing import Array

__all__ = ["LatentSpaceDisplay"]


MOST_NAMES = 20
"""Classes up to which there is a legend."""


class LatentSpaceDisplay:
    """Latent means in the plane; rows with a label are marked, others are faint.

    Make it by `from_estimator` or `from_predictions`. More than two dimensions are
    projected.

    Parameters
    ----------
    points : ndarray of shape (n_samples, 2)
        Rows in the plane.
    codes : ndarray of int of shape (n_samples,)
        Positions in `class_names`, -1 for rows that have no colour.
    labelled : ndarray of bool of shape (n_samples,)
        Rows to mark.
    class_names : list
        Names of the classes, for the legend.
    axis_names : (str, str)
        What the axes show.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn.
    figure_ : matplotlib Figure
        What that is in.
    unlabelled_, labelled_ : matplotlib PathCollection
        The faint points, and the marked ones.

    See Also
    --------
    TraversalDisplay : What the latent dimensions stand for.

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
        """Draw the latent means of rows; those without a label as they are predicted.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Labels, with -1 where there are none; None marks no row.
        projection : {"pca", "first"}, default="pca"
            What is shown of more than two dimensions.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : LatentSpaceDisplay
        """
        check_can(estimator, "transform", cls.__name__)
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
        """Draw given latent points.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_size)
            Points, as `transform` gives them.
        y : array-like of shape (n_samples,), default=None
            Labels, with `unlabeled` where there are none.
        y_pred : array-like of shape (n_samples,), default=None
            Classes that rows without a label are coloured by; None leaves them grey.
        unlabeled : object, default=-1
            What stands for no label.
        projection : {"pca", "first"}, default="pca"
            What is shown of more than two dimensions.
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : LatentSpaceDisplay

        Raises
        ------
        ValueError
            If lengths differ, or `projection` is another.
        """
        Z = check_array(Z, input_name="Z")
        n = len(Z)
        labelled = np.zeros(n, dtype=bool)
        colours = np.empty(n, dtype=object)
        if y_pred is not None:
            colours[:] = _labels("y_pred", y_pred, n).tolist()
        if y is not None:
            given = as_label_array(_labels("y", y, n), unlabeled)
            labelled, labels = split_labels(given, unlabeled)
            colours[labelled] = labels.tolist()
        known = np.array([colour is not None for colour in colours])
        names = sorted({*colours[known]}, key=lambda name: (str(type(name)), name))
        place = {name: i for i, name in enumerate(names)}
        codes = np.array([place.get(colour, -1) for colour in colours], dtype=int)
        points, axis_names = _in_the_plane(Z, projection)
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
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to; None makes a figure.
        unlabelled_kwargs, labelled_kwargs : dict, default=None
            For ``Axes.scatter`` of the faint points and of the marked ones.

        Returns
        -------
        display : LatentSpaceDisplay
        """
        name = type(self).__name__
        self.figure_, self.ax_ = one_axes(ax, name)
        palette = np.empty(len(self.class_names) + 1, dtype=object)
        palette[:-1] = [_rgba(c) for c in class_colours(len(self.class_names), name)]
        palette[-1] = _rgba("#888888")  # codes of -1
        faint = {"s": 8, "alpha": 0.35, "linewidths": 0} | (unlabelled_kwargs or {})
        marked = {"s": 45, "edgecolors": "#222222", "linewidths": 1.2} | (
            labelled_kwargs or {}
        )
        for kind, rows, style in (
            ("unlabelled_", ~self.labelled, faint),
            ("labelled_", self.labelled, marked),
        ):
            colours = [*palette[self.codes[rows]]]
            drawn = self.ax_.scatter(*self.points[rows].T, c=colours, **style)
            setattr(self, kind, drawn)
        self.ax_.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        if 0 < len(self.class_names) <= MOST_NAMES:
            for label, colour in zip(self.class_names, palette, strict=False):
                self.ax_.scatter([], [], color=colour, s=30, label=str(label))
            self.ax_.legend(title="class", fontsize="small")
        return self


def _labels(name: str, y: Any, n: int) -> Array:
    labels: Array = np.asarray(column_or_1d(y))
    if len(labels) != n:
        raise ValueError(f"{name} has {len(labels)} labels for {n} rows of Z.")
    return labels


def _rgba(colour: Any) -> Any:
    from matplotlib.colors import to_rgba

    return to_rgba(colour)


def _in_the_plane(Z: Array, projection: str) -> tuple[Array, tuple[str, str]]:
    """Return two coordinates of each point, and what they are."""
    if projection not in ("pca", "first"):
        raise ValueError(f"projection must be 'pca' or 'first', got {projection!r}.")
    if Z.shape[1] == 1:
        # Spread evenly, by the golden ratio, so that points do not hide each other.
        spread = np.arange(len(Z)) * 0.6180339887 % 1
        return np.c_[Z, spread], ("latent dimension 0", "spread, for the eye alone")
    if Z.shape[1] == 2 or projection == "first" or len(Z) < 2:
        return Z[:, :2], ("latent dimension 0", "latent dimension 1")
    with np.errstate(invalid="ignore"):  # points that are all the same
        pca = PCA(2, svd_solver="full").fit(Z)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    names = [
        f"{which} principal axis ({share:.0%} of the variance)"
        for which, share in zip(("first", "second"), shares, strict=True)
    ]
    points: Array = pca.transform(Z)
    return points, (names[0], names[1])
