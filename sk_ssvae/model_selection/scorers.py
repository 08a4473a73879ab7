"""Scorers for partially labelled data."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array, is_default_marker
from sk_ssvae.utils.sklearn_private import (
    accepts_sample_weight,
    num_samples,
    safe_indexing,
)
from sk_ssvae.utils.typing import Array

__all__ = ["LabeledScorer", "bound_scorer", "labeled_scorer"]


class LabeledScorer:
    """Scorer that ignores unlabelled rows; create it by `labeled_scorer`.

    Parameters
    ----------
    scorer : callable or None
        Scorer with the signature ``scorer(estimator, X, y, **params)``. None is the
        estimator's ``score`` method.
    unlabeled : int, str, None, NaN or pandas.NA
        Marker of unlabelled rows in `y`.
    name : str
        Argument of `labeled_scorer`, for the representation.
    """

    def __init__(
        self, scorer: Callable[..., Any] | None, unlabeled: Any, name: str
    ) -> None:
        self._scorer = scorer
        self._unlabeled = unlabeled
        self._name = name

    def __call__(self, estimator: Any, X: Any, y: Any, **params: Any) -> Any:
        """Score the labelled rows.

        Parameters
        ----------
        estimator : estimator
            A fitted estimator.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,)
            Labels, with `unlabeled` for unlabelled rows.
        **params : dict
            Further parameters of the scorer, such as `sample_weight`. Those with one
            value per row are restricted to the labelled rows.

        Returns
        -------
        score : float or dict
            Result of the scorer on the labelled rows.

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        labels = column_or_1d(as_label_array(y, self._unlabeled), warn=True)
        check_consistent_length(X, labels)
        labelled, known_labels = split_labels(
            labels, self._unlabeled, all_labelled=True
        )
        if not labelled.any():
            raise ValueError(
                f"{self!r} needs labelled rows, but y is {self._unlabeled!r} "
                f"(unlabelled) in all {len(labels)} rows. Use a splitter with labelled "
                "rows in every test set, such as LabeledStratifiedKFold."
            )
        rows, n_rows = np.flatnonzero(labelled), len(labels)
        params = {
            name: safe_indexing(value, rows) if _is_per_row(value, n_rows) else value
            for name, value in params.items()
        }
        X = safe_indexing(X, rows)
        if self._scorer is None:
            return estimator.score(X, known_labels, **params)
        return self._scorer(estimator, X, known_labels, **params)

    def set_score_request(self, **requests: bool | str | None) -> Self:
        """Set the metadata that the scorer requests with metadata routing.

        Parameters
        ----------
        **requests : bool, str or None
            Arguments for `set_score_request` of the wrapped scorer.

        Returns
        -------
        self : LabeledScorer

        Raises
        ------
        TypeError
            If the wrapped scorer does not support metadata requests.
        """
        scorer: Any = self._scorer
        if not hasattr(scorer, "set_score_request"):
            raise TypeError(
                f"{self!r} does not support metadata requests. Create it from the name "
                "of a scorer or from the result of sklearn.metrics.make_scorer."
            )
        self._scorer = scorer.set_score_request(**requests)
        return self

    def get_metadata_routing(self) -> Any:
        """Return the metadata requests of the wrapped scorer."""
        return get_routing_for_object(self._scorer)

    def _accept_sample_weight(self) -> bool:
        """Return whether scikit-learn's searches may pass `sample_weight`."""
        if self._scorer is None:
            return True
        return accepts_sample_weight(self._scorer)

    def __repr__(self) -> str:
        marker = ""
        if not is_default_marker(self._unlabeled):
            marker = f", unlabeled={self._unlabeled!r}"
        return f"labeled_scorer({self._name}{marker})"


def _is_per_row(value: Any, n_rows: int) -> bool:
    """Return whether a parameter of a scorer holds one value per row."""
    if isinstance(value, str | bytes | Mapping) or np.ndim(value) == 0:
        return False
    return bool(num_samples(value) == n_rows)


def labeled_scorer(scoring: Any = None, *, unlabeled: Any = UNLABELED) -> Any:
    """Make a scorer that ignores unlabelled rows.

    scikit-learn's scorers treat -1 as a class, so that every unlabelled row counts as
    an error. The result can be passed as `scoring` to
    :func:`~sklearn.model_selection.cross_validate`,
    :class:`~sklearn.model_selection.GridSearchCV`,
    :func:`~sklearn.model_selection.learning_curve` and similar.

    Parameters
    ----------
    scoring : str, callable, list, tuple, set, dict or None, default=None
        As in :func:`~sklearn.model_selection.cross_validate`: the name of a scorer, a
        callable ``scorer(estimator, X, y)``, several names, or a dict of names and
        scorers. None is the estimator's `score` method.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`.

    Returns
    -------
    scorer : LabeledScorer or dict of str to LabeledScorer
        Scorer; a dict of scorers if `scoring` is a list, tuple, set or dict.

    Raises
    ------
    ValueError
        If a name is unknown or occurs twice, or if `scoring` is a metric instead of a
        scorer. The scorer raises ValueError if no row is labelled.

    TypeError
        If `scoring` has another type.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.semi_supervised import LabelSpreading
    >>> from sk_ssvae.model_selection import labeled_scorer, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, n_per_class=5, random_state=0)
    >>> spread = LabelSpreading().fit(X, few)
    >>> round(float(spread.score(X, few)), 2)  # unlabelled rows count as errors
    0.1
    >>> float(labeled_scorer("accuracy")(spread, X, few))
    1.0
    """
    if isinstance(scoring, Mapping):
        return {
            name: labeled_scorer(scorer, unlabeled=unlabeled)
            for name, scorer in scoring.items()
        }
    if isinstance(scoring, list | tuple | set):
        names = list(scoring)
        if len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
            raise ValueError(
                "A list, tuple or set of scorers must hold distinct names, got "
                f"{scoring!r}. Use a dict of names and scorers instead."
            )
        return {name: labeled_scorer(name, unlabeled=unlabeled) for name in names}
    if scoring is None:
        return LabeledScorer(None, unlabeled, "")
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            "scoring must be a string, a callable, a list, tuple or set of strings, a "
            f"dict or None, got {scoring!r}."
        )
    if isinstance(scoring, LabeledScorer):
        return scoring
    if isinstance(scoring, str):
        scorer = get_scorer(scoring)
    else:
        scorer = check_scoring(scoring=scoring)
    return LabeledScorer(scorer, unlabeled, repr(scoring))


def bound_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Score an estimator by its mean lower bound of log p(x), which needs no labels.

    For use with `UnlabeledKFold`, which keeps all labelled rows in the training sets.
    Bounds are only comparable between estimators with the same likelihood, fitted to
    rows with the same preprocessing.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator with `score_samples`, such as `SSVAEClassifier`, or a
        pipeline that ends in one.

    X : array-like of shape (n_samples, n_features)
        Rows, usually not those the estimator was fitted to.

    y : Ignored
        Not used, present for API consistency by convention.

    Returns
    -------
    bound : float
        Mean lower bound in nats per row. Higher is better.

    Raises
    ------
    TypeError
        If the estimator has no `score_samples`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_ssvae import SSVAEClassifier
    >>> from sk_ssvae.model_selection import (
    ...     UnlabeledKFold, bound_scorer, mask_labels
    ... )
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, n_per_class=5, random_state=0)
    >>> search = GridSearchCV(
    ...     SSVAEClassifier(teacher=None, max_epochs=2, random_state=0),
    ...     {"latent_size": [1, 2]},
    ...     scoring=bound_scorer,
    ...     cv=UnlabeledKFold(2, shuffle=True, random_state=0),
    ... )
    >>> sorted(search.fit(X, few).best_params_)
    ['latent_size']
    """
    if not hasattr(estimator, "score_samples"):
        raise TypeError(
            "bound_scorer needs an estimator with score_samples, which "
            f"{type(estimator).__name__} does not have. Use labeled_scorer and a "
            "splitter of labelled rows, such as LabeledStratifiedKFold, instead."
        )
    scores: Array = np.asarray(estimator.score_samples(X), dtype=np.float64)
    return float(scores.mean())
