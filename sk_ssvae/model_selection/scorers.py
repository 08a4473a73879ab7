"""Scorers for rows of which most have no label."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.metrics import check_scoring, get_scorer
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import (
    _num_samples,
    check_consistent_length,
    column_or_1d,
)

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array, is_default_marker

__all__ = ["LabeledScorer", "bound_scorer", "labeled_scorer"]


class LabeledScorer:
    """What `labeled_scorer` returns: a scorer that is shown labelled rows only.

    Parameters
    ----------
    scorer : callable or None
        ``scorer(estimator, X, y, **params)``; None is the estimator's ``score``.
    unlabeled : int, str, None, NaN or pandas.NA
        What marks unlabelled rows.
    name : str
        What it was made of, for its repr.
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
            Labels; rows marked as unlabelled are left out.
        **params : dict
            What the scorer takes besides, such as `sample_weight`; of what holds a
            value for each row, those of the labelled rows.

        Returns
        -------
        score : float or dict
            What the scorer says.

        Raises
        ------
        ValueError
            If no row is labelled.
        """
        labels = column_or_1d(as_label_array(y, self._unlabeled), warn=True)
        check_consistent_length(X, labels)
        labelled, known = split_labels(labels, self._unlabeled)
        if not labelled.any():
            raise ValueError(
                f"{self!r} needs labelled rows, but y is {self._unlabeled!r} "
                f"(unlabelled) in all {len(labels)} rows. Use a splitter that deals "
                "labelled rows to the test folds, such as LabeledStratifiedKFold."
            )
        rows = np.flatnonzero(labelled)
        params = {
            name: _safe_indexing(value, rows) if _by_row(value, len(labels)) else value
            for name, value in params.items()
        }
        X = _safe_indexing(X, rows)
        if self._scorer is None:
            return estimator.score(X, known, **params)
        return self._scorer(estimator, X, known, **params)

    def set_score_request(self, **requests: bool | str | None) -> Self:
        """Say which metadata the scorer wants, as scikit-learn's scorers do.

        Parameters
        ----------
        **requests : bool, str or None
            As for `set_score_request` of the scorer it was made of.

        Returns
        -------
        self : LabeledScorer

        Raises
        ------
        TypeError
            If what it was made of has no such requests.
        """
        scorer: Any = self._scorer
        if not hasattr(scorer, "set_score_request"):
            raise TypeError(
                f"{self!r} has no metadata requests to set: make it of the name of a "
                "scorer, or of what sklearn.metrics.make_scorer returns."
            )
        self._scorer = scorer.set_score_request(**requests)
        return self

    def get_metadata_routing(self) -> Any:
        """Return the requests of the scorer it was made of."""
        return get_routing_for_object(self._scorer)

    def _accept_sample_weight(self) -> bool:
        """Whether scikit-learn's searches may pass weights on to it."""
        if self._scorer is None:
            return True
        ask = getattr(self._scorer, "_accept_sample_weight", None)
        return (
            bool(ask())
            if ask
            else "sample_weight" in signature(self._scorer).parameters
        )

    def __repr__(self) -> str:
        marker = ""
        if not is_default_marker(self._unlabeled):
            marker = f", unlabeled={self._unlabeled!r}"
        return f"labeled_scorer({self._name}{marker})"


def _by_row(value: Any, n_rows: int) -> bool:
    """Whether it holds something for each row."""
    if isinstance(value, str | bytes | Mapping) or np.ndim(value) == 0:
        return False
    return bool(_num_samples(value) == n_rows)


def labeled_scorer(scoring: Any = None, *, unlabeled: Any = UNLABELED) -> Any:
    """Make a scorer see labelled rows only.

    scikit-learn's scorers count rows labelled -1, whose classes nobody knows, as
    errors. What this returns goes wherever a scorer does: `cross_validate`,
    `GridSearchCV`, `learning_curve`.

    Parameters
    ----------
    scoring : str, callable, list, tuple, set, dict or None, default=None
        As in :func:`~sklearn.model_selection.cross_validate`: a name, a scorer
        ``scorer(estimator, X, y)``, several names, or a dict of names and scorers.
        None is the estimator's own `score`.

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        What marks unlabelled rows.

    Returns
    -------
    scorer : LabeledScorer or dict of str to LabeledScorer
        A scorer; a dict of them for several.

    Raises
    ------
    ValueError
        If a name is unknown, or `scoring` is a metric rather than a scorer; when it is
        called, if no row is labelled.

    TypeError
        If `scoring` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.semi_supervised import LabelSpreading
    >>> from sk_ssvae.model_selection import labeled_scorer, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, n_per_class=5, random_state=0)
    >>> spread = LabelSpreading().fit(X, few)
    >>> round(float(spread.score(X, few)), 2)  # rows without truth are errors
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
                f"scoring must hold names of scorers that differ, got {scoring!r}. Use "
                "a dict of names and scorers for others."
            )
        return {name: labeled_scorer(name, unlabeled=unlabeled) for name in names}
    if scoring is None:
        return LabeledScorer(None, unlabeled, "")
    if not isinstance(scoring, str) and not callable(scoring):
        raise TypeError(
            "scoring must be a name, a scorer, several of them or None, got "
            f"{scoring!r}."
        )
    if isinstance(scoring, LabeledScorer):
        return scoring
    if isinstance(scoring, str):
        scorer = get_scorer(scoring)
    else:
        scorer = check_scoring(scoring=scoring)
    return LabeledScorer(scorer, unlabeled, repr(scoring))


def bound_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Mean lower bound of log p(x), for choosing a model without labels.

    To be used with `UnlabeledKFold`, which leaves all labels to training. Bounds of
    different likelihoods, or of rows transformed differently before, are in different
    units and cannot be compared.

    Parameters
    ----------
    estimator : estimator
        A fitted estimator with `score_samples`, such as `SSVAEClassifier`, or a
        pipeline that ends in one.

    X : array-like of shape (n_samples, n_features)
        Rows that the estimator has not seen.

    y : array-like, default=None
        Not used.

    Returns
    -------
    bound : float
        In nats a row; larger is better.

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
            f"{type(estimator).__name__} has no score_samples, so that it gives no "
            "bound of log p(x). Use labeled_scorer and a splitter of labelled rows."
        )
    scores: npt.NDArray[Any] = np.asarray(estimator.score_samples(X), dtype=np.float64)
    return float(scores.mean())
