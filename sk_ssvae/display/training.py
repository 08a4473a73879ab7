"""Training curves: the bound and the other terms of the loss for each epoch."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.validation import check_estimator

__all__ = ["TrainingDisplay"]

TERMS = {
    "train_loss": "loss",
    "bound": "bound",
    "reconstruction": "reconstruction",
    "kl": "KL divergence",
    "classification": "classification",
    "teacher": "teacher",
    "entropy": "entropy",
    "adversarial": "adversarial",
}
"""Entries of `history_` and the titles of their panels."""


class TrainingDisplay:
    r"""Plot the terms of the loss for each epoch, in nats per row.

    It is recommended to use `from_estimator` to create a `TrainingDisplay`.

    Each term has a panel; terms that are zero in all epochs are omitted. The panel of
    the bound shows the training rows and, with early stopping, the held-out rows.
    Reconstruction, :math:`E_q[\log p(x | y, z)]`, and the KL divergence of
    :math:`q(y, z | x)` from :math:`p(y, z)`, whose difference is a lower bound of
    log p(x), are computed on the same small set of rows after every epoch.

    Parameters
    ----------
    history : sequence of dict
        One entry per epoch, as in the attribute `history_` of an estimator.
    kept_epoch : int, default=None
        Epoch whose weights were kept by early stopping, marked by a vertical line.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (1, n_terms)
        Axes of the panels.
    ax_ : matplotlib Axes
        First of these axes.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    terms_ : list of str
        Entries of the history that are plotted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sk_ssvae import SSVAEClassifier
    >>> from sk_ssvae.display import TrainingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = SSVAEClassifier(teacher=None, max_epochs=3, random_state=0).fit(X, y)
    >>> TrainingDisplay.from_estimator(clf).terms_
    ['train_loss', 'bound', 'reconstruction', 'kl', 'classification']
    """

    def __init__(
        self, history: Sequence[dict[str, Any]], *, kept_epoch: int | None = None
    ) -> None:
        self.history = history
        self.kept_epoch = kept_epoch

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Plot the training history of a fitted estimator.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted estimator.
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for `plot`.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is a pipeline, or `ax` is not axes.
        ValueError
            If `ax` holds the wrong number of axes.
        """
        check_estimator(estimator, "history_", cls.__name__)
        history = estimator.history_.to_list()
        kept_epoch = None
        if getattr(estimator, "early_stopping", False) and "valid_loss" in history[-1]:
            losses = [row.get("valid_loss", float("inf")) for row in history]
            kept_epoch = min(range(len(losses)), key=losses.__getitem__) + 1
        return cls(history, kept_epoch=kept_epoch).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Plot the history.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Axes to plot on; single axes are subdivided. None creates a figure.
        **kwargs : dict
            Keyword arguments for ``Axes.plot``.

        Returns
        -------
        display : TrainingDisplay

        Raises
        ------
        TypeError
            If an entry of the history is not a dict with an "epoch", or `ax` is not
            axes.
        ValueError
            If the history is empty, or `ax` holds the wrong number of axes.
        """
        if not self.history:
            raise ValueError(
                "history is empty: no epoch has been completed. Fit the estimator for "
                "at least one epoch."
            )
        for row in self.history:
            if not isinstance(row, Mapping) or "epoch" not in row:
                raise TypeError(
                    "history must hold a dict for each epoch, as history_ does, with "
                    f"its number as 'epoch', got {row!r}."
                )
        self.terms_ = [
            term
            for term in TERMS
            if any(row.get(term, 0.0) != 0.0 for row in self.history)
        ]
        self.figure_, self.axes_ = axes_grid(
            ax, 1, len(self.terms_), type(self).__name__, (3.0, 2.6)
        )
        training, held_out = class_colours(2, "")
        for term, axes in zip(self.terms_, self.axes_.flat, strict=True):
            style = {"color": training, "label": "training"} | kwargs
            self._plot_curve(axes, term, 1, style)
            if term == "bound" and any("valid_loss" in row for row in self.history):
                style = {"color": held_out, "label": "held out"} | kwargs
                # The validation loss is minus the bound.
                self._plot_curve(axes, "valid_loss", -1, style)
                axes.legend(fontsize="small")
            if self.kept_epoch is not None:
                axes.axvline(self.kept_epoch, color="#888888", linestyle=":")
            axes.set(xlabel="epoch", title=TERMS[term])
        self.ax_ = self.axes_.flat[0]
        self.ax_.set_ylabel("nats per row")
        return self

    def _plot_curve(
        self, axes: Any, term: str, sign: int, style: dict[str, Any]
    ) -> None:
        """Plot one entry of the history, in the epochs that have it."""
        points = [
            (row["epoch"], sign * row[term]) for row in self.history if term in row
        ]
        axes.plot(*zip(*points, strict=True), **style)
