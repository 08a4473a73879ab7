"""The views of an opinion pool: fitted in two stages, built-in and user-defined."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from sklearn import config_context

from sk_ssvae.teachers.pooling import OpinionPool
from sk_ssvae.teachers.registry import (
    FIRST_STAGE_VIEWS,
    SECOND_STAGE_VIEWS,
    make_view,
)
from sk_ssvae.teachers.user_views import UserView
from sk_ssvae.teachers.view_entries import ClassifierEntry
from sk_ssvae.teachers.views import View, ViewSettings
from sk_ssvae.training.progress import Part
from sk_ssvae.utils.devices import default_torch_state
from sk_ssvae.utils.threads import one_thread
from sk_ssvae.utils.typing import Array

__all__ = ["RowsOfViews", "ViewSet", "fixed_global_state"]


@contextmanager
def fixed_global_state() -> Iterator[None]:
    """Make results independent of settings of torch and scikit-learn.

    One thread, because the rounding of sums, and which of several neighbours at the
    same distance is found, depend on the number of threads.
    """
    with (
        default_torch_state(torch.device("cpu")),
        one_thread(),
        config_context(transform_output="default"),
    ):
        yield


class RowsOfViews(NamedTuple):
    """The same rows, for both kinds of views.

    Attributes
    ----------
    standardised : ndarray of float64 of shape (n_rows, n_kept)
        For built-in views.
    passed : ndarray or data frame of shape (n_rows, n_features)
        For views that are classifiers of the user.
    """

    standardised: Array
    passed: Any

    def of(self, view: View) -> Any:
        """Return the rows that a view takes."""
        return self.passed if view.is_user_defined else self.standardised


def _global_state_of(view: View) -> AbstractContextManager[None]:
    """Return the context in which a view computes."""
    return nullcontext() if view.is_user_defined else fixed_global_state()


class ViewSet:
    """The views of an opinion pool.

    Parameters
    ----------
    names : sequence of str
        Names of the views.
    classifiers : mapping of str to ClassifierEntry
        Those among them that are classifiers of the user. They belong to the first
        stage.
    settings : ViewSettings
        Settings that all views share.

    Attributes
    ----------
    views : dict of str to View
        Fitted views by name.
    """

    def __init__(
        self,
        names: Sequence[str],
        classifiers: Mapping[str, ClassifierEntry],
        settings: ViewSettings,
    ) -> None:
        self.names = names
        self.settings = settings
        self.views: dict[str, View] = {}
        self._classifiers = classifiers

    def _make_view(self, name: str, shape: tuple[int, int]) -> View:
        if name in self._classifiers:
            return UserView(self._classifiers[name], self.settings)
        return make_view(name, shape, self.settings)

    def fit_pool(
        self, rows: RowsOfViews, pool: OpinionPool, n_classes: int, on_view: Part
    ) -> Array:
        """Fit all views, and the pool to their probabilities.

        Parameters
        ----------
        rows : RowsOfViews
            Training rows.
        pool : OpinionPool
            Holds the labels and the folds. It is fitted.
        n_classes : int
            Number of classes.
        on_view : callable
            Reports each view.

        Returns
        -------
        pooled : ndarray of shape (1 + n_folds, n_rows, n_classes)
            Pooled class probabilities of all rows, for each label vector of the pool.
        """
        label_vectors = pool.label_vectors
        probabilities: dict[str, Array] = {}
        pooled: Array | None = None
        for stage in ((*FIRST_STAGE_VIEWS, *self._classifiers), SECOND_STAGE_VIEWS):
            stage_names = [name for name in stage if name in self.names]
            for name in stage_names:
                with on_view(name, len(self.views) + 1, len(self.names)):
                    view = self._make_view(name, rows.standardised.shape)
                    self.views[name] = view
                    with _global_state_of(view):
                        probabilities[name] = view.fit_predict_proba(
                            rows.of(view), label_vectors, n_classes, pooled
                        )
            if stage_names:
                with fixed_global_state():
                    pooled = pool.fit_pool(probabilities)
        assert pooled is not None  # there is a view of the first stage
        return pooled

    def predict_proba(self, rows: RowsOfViews) -> dict[str, Array]:
        """Return class probabilities of new rows, from each view.

        Parameters
        ----------
        rows : RowsOfViews
            New rows.

        Returns
        -------
        probabilities : dict of str to ndarray of shape (n_new, n_classes)
        """
        probabilities = {}
        for name, view in self.views.items():
            with _global_state_of(view):
                probabilities[name] = view.predict_proba(rows.of(view))
        return probabilities
