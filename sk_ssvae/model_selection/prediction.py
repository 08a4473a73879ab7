"""Predictions of labelled rows by models that were fitted without their labels."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import cross_validate
from sklearn.utils import indexable
from sklearn.utils.validation import column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import UNLABELED, as_label_array
from sk_ssvae.model_selection.base import Indices
from sk_ssvae.model_selection.folds import LabeledStratifiedKFold
from sk_ssvae.utils.sklearn_private import safe_indexing
from sk_ssvae.utils.typing import Array, Mask

__all__ = ["cross_val_predict_labeled", "resolve_cv"]

ABSENT = {
    "predict_proba": 0.0,
    "predict_log_proba": np.finfo(np.float32).min,
    "decision_function": np.finfo(np.float32).min,
}
"""Prediction for a class that a model was not fitted to, as in scikit-learn."""


def cross_val_predict_labeled(
    estimator: Any,
    X: Any,
    y: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    cv: Any = None,
    n_jobs: int | None = None,
    params: dict[str, Any] | None = None,
    method: str = "predict_proba",
    unlabeled: Any = UNLABELED,
) -> Array:
    """Predict each labelled row by a model that was fitted without its label.

    :func:`~sklearn.model_selection.cross_val_predict` needs test folds that contain
    every row once, and takes the marker of unlabelled rows for a class.

    Parameters
    ----------
    estimator : estimator
        A classifier that accepts unlabelled rows, such as `SSVAEClassifier` or
        :class:`~sklearn.semi_supervised.SelfTrainingClassifier`, or a pipeline that
        ends in one. It is cloned.

    X : array-like of shape (n_samples, n_features)
        Rows.

    y : array-like of shape (n_samples,)
        Labels, with `unlabeled` for unlabelled rows.

    groups : array-like of shape (n_samples,), default=None
        Groups of the rows, for the splitter.

    cv : int, splitter or iterable, default=None
        Determines the folds. None is ``LabeledStratifiedKFold(5)``, an int another
        number of folds. Other splitters must have each labelled row in exactly one
        test set.

    n_jobs : int, default=None
        Number of folds that are fitted in parallel, as in scikit-learn.

    params : dict, default=None
        Parameters for the estimator's `fit`, such as `sample_weight`; arrays with one
        value per row are split as rows are.

    method : str, default="predict_proba"
        "predict_proba", "predict_log_proba", "decision_function" or "predict".

    unlabeled : int, str, None, NaN or pandas.NA, default=-1
        Marker of unlabelled rows in `y`; it must be that of the estimator.

    Returns
    -------
    predictions : ndarray of shape (n_samples, n_classes) or (n_samples,)
        One row for each row of `X`; columns are the labels that occur in `y`, sorted.
        A decision function of two classes has one axis, as have labels. Rows in no test
        set, with the splitters of this package the unlabelled ones, are NaN, or
        `unlabeled` with ``method="predict"``.

    Raises
    ------
    ValueError
        If `method` is unknown, or a labelled row is not in exactly one test set.

    See Also
    --------
    LabeledTunedThresholdClassifierCV : Tune a decision threshold on such predictions.

    Notes
    -----
    A class that is not among the labels of a training set has a probability of 0 in its
    test set, and the smallest float32 as logarithm or decision function.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import log_loss
    >>> from sklearn.semi_supervised import SelfTrainingClassifier
    >>> from sk_ssvae.model_selection import cross_val_predict_labeled, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> few = mask_labels(y, n_per_class=10, random_state=0)
    >>> clf = SelfTrainingClassifier(LogisticRegression(max_iter=1000))
    >>> proba = cross_val_predict_labeled(clf, X, few)
    >>> proba.shape
    (150, 3)
    >>> labelled = few != -1
    >>> log_loss(few[labelled], proba[labelled]) < 0.5
    True
    """
    if method not in (*ABSENT, "predict"):
        raise ValueError(
            f"method must be one of {sorted([*ABSENT, 'predict'])}, got {method!r}."
        )
    X, y, groups = indexable(X, y, groups)
    labels = column_or_1d(as_label_array(y, unlabeled), warn=True)
    labelled, known = split_labels(labels, unlabeled)
    classes = np.unique(known)
    splitter = resolve_cv(cv, unlabeled)
    if hasattr(splitter, "split"):
        splits = list(splitter.split(X, y, groups))
    else:
        splits = [(np.asarray(train), np.asarray(test)) for train, test in splitter]
    _check_partition([test for _, test in splits], labelled, splitter)
    results = cross_validate(
        estimator,
        X,
        y,
        cv=splits,
        scoring=_no_score,
        n_jobs=n_jobs,
        params=params,
        return_estimator=True,
        error_score="raise",
    )
    predictions: Array | None = None
    for model, (_, test) in zip(results["estimator"], splits, strict=True):
        part = np.asarray(getattr(model, method)(safe_indexing(X, test)))
        if method == "predict":
            if predictions is None:
                predictions = _unlabelled_array(len(labels), part.dtype, unlabeled)
        else:
            part = _all_columns(part, model.classes_, classes, method)
            if predictions is None:
                shape = (len(labels), *part.shape[1:])
                predictions = np.full(shape, np.nan, dtype=part.dtype)
        predictions[test] = part
    assert predictions is not None  # splitters have at least one fold
    return predictions


def resolve_cv(cv: Any, unlabeled: Any) -> Any:
    """Return the splitter, or the iterable of splits, for the parameter `cv`."""
    if cv is None:
        cv = 5
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        return LabeledStratifiedKFold(int(cv), unlabeled=unlabeled)
    return cv


def _check_partition(tests: list[Indices], labelled: Mask, splitter: Any) -> None:
    """Refuse splits that do not test each labelled row once."""
    counts = np.zeros(len(labelled), dtype=int)
    for test in tests:
        rows = np.flatnonzero(test) if test.dtype == bool else test
        counts[rows] += 1
    for row in np.flatnonzero((counts > 1) | (labelled & (counts == 0))):
        raise ValueError(
            f"cross_val_predict_labeled needs each labelled row in exactly one test "
            f"set, but row {row} is in {counts[row]} of those of {splitter!r}. Use a "
            "k-fold splitter such as LabeledStratifiedKFold."
        )


def _no_score(estimator: Any, X: Any, y: Any) -> float:
    return 0.0


def _unlabelled_array(n_rows: int, dtype: np.dtype[Any], unlabeled: Any) -> Array:
    """Return an array of the marker that can hold labels of a dtype."""
    is_number = dtype.kind in "if" and isinstance(unlabeled, Integral)
    if not is_number:
        dtype = np.dtype(object)
    filled = np.empty(n_rows, dtype=dtype)
    filled[:] = unlabeled
    return filled


def _all_columns(part: Array, present: Array, classes: Array, method: str) -> Array:
    """Return predictions with a column for each class, whichever the model knows."""
    if np.array_equal(present, classes):
        return part
    columns = np.searchsorted(classes, present)
    if part.ndim == 1:  # a decision function of two classes
        part = np.stack([-part, part], axis=1)
    full = np.full((len(part), len(classes)), ABSENT[method], dtype=part.dtype)
    full[:, columns] = part
    return full
