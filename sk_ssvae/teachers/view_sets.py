"""The views of an opinion pool: fitted in two stages, built-in and user-defined."""

from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from sklearn import config_context

from sk_ssvae.teachers.pooling import OpinionPool
from sk_ssvae.teachers.registry import (
    ALL_ROWS_VIEWS,
    FIRST_STAGE_VIEWS,
    SECOND_STAGE_VIEWS,
    make_view,
)
from sk_ssvae.teachers.user_views import UserView
from sk_ssvae.teachers.view_entries import ClassifierEntry
from sk_ssvae.teachers.view_threads import ordered_results
from sk_ssvae.teachers.views import View, ViewSettings
from sk_ssvae.training.progress import Part
from sk_ssvae.utils.devices import default_torch_state
from sk_ssvae.utils.threads import one_thread
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["RowsOfViews", "ViewSet", "fixed_global_state"]

T = TypeVar("T")


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
    """Rows for each kind of view.

    Attributes
    ----------
    scaled : ndarray of float64 of shape (n_rows, n_kept)
        For built-in views.
    passed : ndarray or data frame of shape (n_rows, n_features)
        The same rows, for views that are classifiers of the user.
    all_rows : ndarray of float32 of shape (n_all, n_kept) or None
        All training rows, scaled, for views that need them. None if the rows are
        no sample, or no view needs them.
    """

    scaled: Array
    passed: Any
    all_rows: Array | None = None

    def of(self, name: str, *, is_user_defined: bool) -> Any:
        """Return the rows that a view takes."""
        if name in ALL_ROWS_VIEWS and self.all_rows is not None:
            return self.all_rows
        return self.passed if is_user_defined else self.scaled


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

    def fit_pool(
        self,
        rows: RowsOfViews,
        pool: OpinionPool,
        n_classes: int,
        on_view: Part,
        n_jobs: int | None = None,
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
            Reports each view. If views are fitted in parallel, it reports them in the
            same order, each for as long as its result is waited for.
        n_jobs : int, default=None
            Number of built-in views of a stage that are fitted at once.

        Returns
        -------
        pooled : ndarray of shape (1 + n_folds, n_rows, n_classes)
            Pooled class probabilities of the rows, or of the sample of them that other
            views are fitted to, for each label vector of the pool.
        """
        label_vectors = pool.label_vectors
        probabilities: dict[str, Array] = {}
        pooled: Array | None = None
        for stage in ((*FIRST_STAGE_VIEWS, *self._classifiers), SECOND_STAGE_VIEWS):
            stage_names = [name for name in stage if name in self.names]
            fit = partial(
                self._fit_view,
                rows=rows,
                label_vectors=label_vectors,
                n_classes=n_classes,
                soft_labels=pooled,
            )
            with closing(self._by_view(fit, stage_names, n_jobs)) as fitted:
                for name in stage_names:
                    with on_view(name, len(self.views) + 1, len(self.names)):
                        self.views[name], probabilities[name] = next(fitted)
            if stage_names:
                with fixed_global_state():
                    pooled = pool.fit_pool(probabilities)
        assert pooled is not None  # there is a view of the first stage
        return pooled

    def _by_view(
        self, compute: Callable[[str], T], names: Sequence[str], n_jobs: int | None
    ) -> Generator[T, None, None]:
        """Yield results by view, those of built-in views computed in parallel.

        Classifiers of the user are last among `names`. They are called one after the
        other, in this thread, when no built-in view computes: they may not be
        thread-safe, and take the settings of the process from the user, whereas
        built-in views limit the threads of BLAS, which is process-global.
        """
        built_in = [name for name in names if name not in self._classifiers]
        yield from ordered_results([partial(compute, n) for n in built_in], n_jobs)
        for name in names[len(built_in) :]:
            yield compute(name)

    def _fit_view(
        self,
        name: str,
        rows: RowsOfViews,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None,
    ) -> tuple[View, Array]:
        """Return a fitted view, and its probabilities of the rows, or of the sample."""
        is_user_defined = name in self._classifiers
        X = rows.of(name, is_user_defined=is_user_defined)
        view = (
            UserView(self._classifiers[name], self.settings)
            if is_user_defined
            else make_view(name, X.shape, self.settings)
        )
        with _global_state_of(view):
            return view, view.fit_predict_proba(
                X, label_vectors, n_classes, soft_labels
            )

    def predict_proba(
        self,
        rows: RowsOfViews,
        names: Collection[str],
        indices: IntArray | None = None,
        n_jobs: int | None = None,
    ) -> dict[str, Array]:
        """Return class probabilities of rows that the views were not fitted to.

        Parameters
        ----------
        rows : RowsOfViews
            The rows.
        names : collection of str
            The views.
        indices : ndarray of int64 of shape (n_rows,), default=None
            If these are training rows, outside of the sample: their indices.
        n_jobs : int, default=None
            Number of built-in views that predict at once.

        Returns
        -------
        probabilities : dict of str to ndarray of shape (n_rows, n_classes)
            Classifiers of the user are last.
        """
        used = [name for name in self.views if name in names]
        used.sort(key=lambda name: name in self._classifiers)
        predict = partial(self._predict_view, rows=rows, indices=indices)
        return dict(zip(used, self._by_view(predict, used, n_jobs), strict=True))

    def _predict_view(
        self, name: str, rows: RowsOfViews, indices: IntArray | None
    ) -> Array:
        """Return the class probabilities of a view."""
        view = self.views[name]
        X = rows.of(name, is_user_defined=view.is_user_defined)
        with _global_state_of(view):
            if indices is None:
                return view.predict_proba(X)
            return view.predict_unsampled(X, indices)
