"""Views of the opinion pool that are classifiers of the user."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from sk_ssvae.data.dataframes import dataframe_library
from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.teachers.blocks import row_blocks
from sk_ssvae.teachers.classifier_views import no_warning_of_many_classes
from sk_ssvae.teachers.classifiers import (
    as_distributions,
    last_step,
    margins_to_probabilities,
    set_random_states,
)
from sk_ssvae.teachers.view_entries import ClassifierEntry
from sk_ssvae.teachers.views import View, ViewSettings
from sk_ssvae.utils.sklearn_private import safe_indexing
from sk_ssvae.utils.typing import Array, IntArray

__all__ = ["UserView", "rows_as_passed"]


def rows_as_passed(X: Any, validated: Array) -> Any:
    """Return the rows that classifiers of the user are fitted to.

    Parameters
    ----------
    X : array-like or data frame of shape (n_rows, n_features)
        The argument of `fit` or `predict_proba`.
    validated : ndarray of float32 or float64 of shape (n_rows, n_features)
        The same rows.

    Returns
    -------
    rows : data frame or ndarray
        X itself if it is a data frame, so that columns can be selected by name.
        Otherwise the array.
    """
    return validated if dataframe_library(X) is None else X


class UserView(View):
    """A classifier of the user.

    It is fitted to the labelled rows, or to all of them with -1 for unlabelled ones,
    and returns class probabilities, margins or labels.

    Parameters
    ----------
    entry : ClassifierEntry
        Its classifier is cloned for each label vector.
    settings : ViewSettings
        Settings that all views share. The seed sets each `random_state` of the
        classifier that is None.
    """

    is_user_defined: ClassVar[bool] = True

    def __init__(self, entry: ClassifierEntry, settings: ViewSettings) -> None:
        super().__init__(settings)
        self.name, self.rows = entry.name, entry.rows
        self.classifier: Any = entry.classifier
        # The seed depends on the name, not on the other views.
        seed = zlib.crc32(f"{settings.seed} {self.name}".encode())
        with self._noted("when it was cloned"):
            self.classifier = clone(entry.classifier)
            set_random_states(self.classifier, seed)

    def fit_predict_proba(
        self,
        X: Any,
        label_vectors: Sequence[IntArray],
        n_classes: int,
        soft_labels: Array | None = None,
    ) -> Array:
        """See `View.fit_predict_proba`.

        Raises
        ------
        ValueError
            If the probabilities do not have the right shape, belong to unknown classes,
            or are all missing. Other errors are those of the classifier. A note names
            the view.
        """
        self.n_classes = n_classes
        n_folds = len(label_vectors) - 1
        probabilities = []
        for i, codes in enumerate(label_vectors):
            fold = f", without those of fold {i} of {n_folds}" if i else ""
            with self._noted(f"fitted to {(codes >= 0).sum()} labels{fold}"):
                fitted = self._fit_classifier(X, codes)
                if i == 0:
                    self.fitted = fitted
                distributions = self._training_distributions(fitted, X)
                if not distributions.any():
                    raise ValueError(
                        f"The view {self.name!r} has no class probabilities: they are "
                        f"NaN or 0 in all {len(distributions)} rows."
                    )
                probabilities.append(_without_gaps(distributions))
        return np.stack(probabilities)

    def predict_proba(self, X: Any) -> Array:
        """See `View.predict_proba`."""
        with self._noted(f"for {len(X)} new rows"):
            return _without_gaps(self._distributions(self.fitted, X))

    @contextmanager
    def _noted(self, occasion: str) -> Iterator[None]:
        """Add a note that names the view to exceptions."""
        try:
            yield
        except Exception as error:
            error.add_note(
                f"This was raised by the view {self.name!r} of the opinion pool, "
                f"{self.classifier!r}, {occasion}."
            )
            raise

    def _fit_classifier(self, X: Any, codes: IntArray) -> Any:
        """Fit a copy of the classifier."""
        rows = np.arange(len(codes))
        if self.rows == "labelled":
            rows = np.flatnonzero(codes != UNLABELED)
        y = codes[rows]
        # The lock of the warning filters is not held otherwise: the classifier may wait
        # for threads of its own that need it.
        many = 2 * len(np.unique(y)) >= len(y)
        classifier = clone(self.classifier)
        with no_warning_of_many_classes(y) if many else nullcontext():
            classifier.fit(_copied_rows(X, rows), y)
        return classifier

    def _training_distributions(self, classifier: Any, X: Any) -> Array:
        """Return class probabilities of the rows that the classifier was fitted to.

        If it is transductive, they are those that it has of these rows.
        """
        final = last_step(classifier)
        if self.rows == "all" and hasattr(final, "label_distributions_"):
            return self._checked(
                final.label_distributions_, np.asarray(final.classes_), len(X)
            )
        return self._distributions(classifier, X)

    def _distributions(self, classifier: Any, X: Any) -> Array:
        """Return class probabilities of any rows; zeros for rows without any."""
        distributions = np.empty((len(X), self.n_classes), dtype=np.float32)
        for block in row_blocks(*X.shape):
            part = _copied_rows(X, np.arange(len(X))[block])
            classes, p = self._own_probabilities(classifier, part)
            distributions[block] = self._checked(p, classes, len(part))
        return distributions

    def _own_probabilities(self, classifier: Any, X: Any) -> tuple[Array, Array]:
        """Return the classes of a classifier, and its probabilities of them."""
        if hasattr(classifier, "predict_proba"):
            p = np.asarray(classifier.predict_proba(X))
        elif hasattr(classifier, "decision_function") and not _has_pairwise_margins(
            classifier
        ):
            margins = np.asarray(classifier.decision_function(X))
            with np.errstate(invalid="ignore", over="ignore"):  # NaN for infinite ones
                p = margins_to_probabilities(margins)
        else:
            labels = np.asarray(classifier.predict(X)).reshape(len(X))
            classes, positions = np.unique(labels, return_inverse=True)
            return classes, np.eye(len(classes))[positions]
        return np.asarray(getattr(classifier, "classes_", np.arange(p.shape[-1]))), p

    def _checked(self, p: Any, classes: Array, n_rows: int) -> Array:
        """Return probabilities of all classes, or raise a ValueError."""
        p = np.asarray(p)
        is_known = np.isin(classes, np.arange(self.n_classes)).all()
        if p.shape != (n_rows, len(classes)) or not is_known:
            advice = (
                " Does it take -1 for unlabelled rows? If not, leave out 'all' in its "
                "entry."
                if self.rows == "all"
                else ""
            )
            raise ValueError(
                f"The view {self.name!r} returned probabilities of shape {p.shape} for "
                f"the classes {classes.tolist()}, but has {n_rows} rows and was fitted "
                f"to the classes 0 ... {self.n_classes - 1}.{advice}"
            )
        return as_distributions(p, classes, self.n_classes).astype(np.float32)


def _has_pairwise_margins(classifier: Any) -> bool:
    """Return whether the decision function is one of pairs of classes.

    With three classes its shape does not tell.
    """
    shape = getattr(last_step(classifier), "decision_function_shape", None)
    return isinstance(shape, str) and shape == "ovo"


def _copied_rows(X: Any, rows: IntArray) -> Any:
    """Return a copy of some rows, as a step of a pipeline may work in place."""
    part = safe_indexing(X, rows)
    # pandas shares the memory of all rows in their order.
    return part.copy() if dataframe_library(part) == "pandas" else part


def _without_gaps(distributions: Array) -> Array:
    """Return distributions that are uniform where they were all zeros.

    A row without probabilities does not change those of the other views.
    """
    empty = ~distributions.any(axis=1)
    distributions[empty] = np.float32(1 / distributions.shape[1])
    return distributions
