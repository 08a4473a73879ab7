"""How training went: the bound and the other terms of the loss, epoch by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from sk_ssvae.display.axes import axes_grid, class_colours
from sk_ssvae.display.validation import check_can

__all__ = ["TrainingDisplay"]

TERMS = {
    "train_loss": "loss",
    "bound": "bound",
    "reconstruction": "reconstruction",
    "kl": "KL divergence",
    "classification": "classification",
    "teacher": "teacher",
    "confidence": "entropy and balance",
    "adversarial": "adversarial",
}
"""Entries of `history_`, and what they are called on the panels."""


class TrainingDisplay:
    r"""Terms of the loss in training, a panel each, in nats a row.

    Make it by `from_estimator`. Terms that were zero throughout are left out. Beside
    the bound of the rows that teach stands that of rows held out, if there were any.
    Reconstruction, :math:`E_q[\log p(x | y, z)]`, and the KL divergence of
    :math:`q(y, z | x)` from :math:`p(y, z)`, whose difference is a bound of log p(x),
    are those of the same few rows after every epoch.

    Parameters
    ----------
    history : sequence of dict
        An entry an epoch, as `history_` has them.
    kept_epoch : int, default=None
        The epoch whose weights were kept, where that is not the last.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (1, n_terms)
        A panel for each term.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        What they are in.
    terms_ : list of str
        Entries of the history that were drawn.

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
        """Draw how an estimator was trained.

        Parameters
        ----------
        estimator : SSVAEClassifier or VariationalAutoencoder
            Fitted.
        ax : matplotlib Axes or array of them, default=None
            Where to; None makes a figure.
        **kwargs : dict
            For `plot`.

        Returns
        -------
        display : TrainingDisplay
        """
        check_can(estimator, "history_", cls.__name__)
        history = estimator.history_.to_list()
        kept = None
        if getattr(estimator, "early_stopping", False) and "valid_loss" in history[-1]:
            losses = [row.get("valid_loss", float("inf")) for row in history]
            kept = min(range(len(losses)), key=losses.__getitem__) + 1
        return cls(history, kept_epoch=kept).plot(ax=ax, **kwargs)

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to; a single one is divided into panels; None makes a figure.
        **kwargs : dict
            For ``Axes.plot``.

        Returns
        -------
        display : TrainingDisplay
        """
        if not self.history:
            raise ValueError("history is empty: no epoch was done.")
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
        own, held_out = class_colours(2, "")
        for term, axes in zip(self.terms_, self.axes_.flat, strict=True):
            self._curve(axes, term, 1, {"color": own, "label": "training"} | kwargs)
            if term == "bound" and any("valid_loss" in row for row in self.history):
                style = {"color": held_out, "label": "held out"} | kwargs
                self._curve(axes, "valid_loss", -1, style)
                axes.legend(fontsize="small")
            if self.kept_epoch is not None:
                axes.axvline(self.kept_epoch, color="#888888", linestyle=":")
            axes.set(xlabel="epoch", title=TERMS[term])
        self.ax_ = self.axes_.flat[0]
        self.ax_.set_ylabel("nats a row")
        return self

    def _curve(self, axes: Any, entry: str, sign: int, style: dict[str, Any]) -> None:
        there = [
            (row["epoch"], sign * row[entry]) for row in self.history if entry in row
        ]
        axes.plot(*zip(*there, strict=True), **style)
