"""Soft targets: class probabilities of the training rows from a teacher.

A teacher is any scikit-learn classifier that takes -1 for unlabelled rows. Its class
probabilities are soft targets for q(y | x); their weight decreases during training.
"""

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone, is_classifier

from sk_ssvae.teachers.classifiers import (
    as_distributions,
    last_step,
    set_random_states,
)
from sk_ssvae.teachers.pool import OpinionPoolClassifier
from sk_ssvae.training.progress import Part, no_report
from sk_ssvae.utils.typing import Array, FloatArray, IntArray

__all__ = ["confidence", "fit_soft_targets"]


def _class_probabilities(
    teacher: BaseEstimator, X: Array
) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return the classes of a fitted teacher and the probabilities of its rows."""
    final = last_step(teacher)
    if hasattr(final, "label_distributions_"):
        return np.asarray(final.classes_), np.asarray(
            final.label_distributions_, dtype=np.float64
        )
    if hasattr(teacher, "predict_proba"):
        proba = np.asarray(teacher.predict_proba(X.copy()), dtype=np.float64)
        return np.asarray(teacher.classes_), proba
    classes, codes = np.unique(teacher.predict(X.copy()), return_inverse=True)
    return classes, np.eye(len(classes))[codes]


def fit_soft_targets(
    teacher: BaseEstimator,
    X: Array,
    codes: IntArray,
    n_classes: int,
    seed: int,
    on_view: Part = no_report,
) -> tuple[FloatArray, BaseEstimator]:
    """Fit a copy of the teacher and return its class probabilities of the same rows.

    These are its ``label_distributions_`` if it is transductive, else its
    ``predict_proba``, else its one-hot ``predict``.

    Parameters
    ----------
    teacher : estimator
        A classifier whose ``fit(X, y)`` takes -1 for unlabelled rows. It is cloned.
    X : ndarray or sparse array of shape (n_rows, n_features)
        Rows, not scaled. A teacher that needs scaled columns can be a pipeline.
    codes : ndarray of int64 of shape (n_rows,)
        Encoded labels, 0 ... n_classes - 1, or -1 for unlabelled rows.
    n_classes : int
        Number of classes.
    seed : int
        Seed from which each random_state of the teacher that is None is set.
    on_view : callable
        Reports a view of an `OpinionPoolClassifier`; see
        `sk_ssvae.training.progress.Part`.

    Returns
    -------
    soft_targets : ndarray of float32 of shape (n_rows, n_classes)
        Class probabilities. All zeros for a row without any: the teacher returns NaN,
        or zeros as LabelSpreading does for rows that no label reaches.
    teacher : estimator
        The fitted copy.

    Raises
    ------
    TypeError
        If the teacher is not an instance of a classifier.
    ValueError
        If the teacher returns unknown classes, or probabilities of the wrong shape.
    """
    if isinstance(teacher, type) or not is_classifier(teacher):
        raise TypeError(
            "teacher must be an instance of a scikit-learn classifier that takes -1 "
            f"for unlabelled rows, got {teacher!r}."
        )
    n_rows = X.shape[0]
    teacher = clone(teacher)
    set_random_states(teacher, seed)
    final = last_step(teacher)
    if isinstance(final, OpinionPoolClassifier):
        final.on_view = on_view
    try:
        # Copies, because a step of a pipeline may work in place; the pool does not.
        is_pool = isinstance(teacher, OpinionPoolClassifier)
        teacher.fit(X if is_pool else X.copy(), codes.copy())
        classes, proba = _class_probabilities(teacher, X)
    except Exception as error:
        error.add_note(f"This was raised by the teacher {teacher!r}.")
        raise
    if (
        proba.shape != (n_rows, len(classes))
        or not np.isin(classes, np.arange(n_classes)).all()
    ):
        raise ValueError(
            f"The teacher {type(last_step(teacher)).__name__} returned probabilities "
            f"of shape {proba.shape} for the classes {classes.tolist()}, but was "
            f"fitted to {n_rows} rows with the classes 0 ... {n_classes - 1}, and -1 "
            "for unlabelled rows. Use a classifier that takes -1 for unlabelled rows, "
            "such as LabelSpreading or SelfTrainingClassifier."
        )
    soft_targets = as_distributions(proba, classes, n_classes).astype(np.float32)
    return soft_targets, teacher


def confidence(soft_targets: FloatArray) -> FloatArray:
    """Return the teacher's confidence in each row: its largest probability.

    It is the weight of the row in the teacher's term of the loss.

    Parameters
    ----------
    soft_targets : ndarray of float32 of shape (n_rows, n_classes)
        Class probabilities, or all zeros where they are not available.

    Returns
    -------
    confidence : ndarray of float32 of shape (n_rows,)
        1 for one-hot targets, 1 / n_classes for uniform targets, 0 where they are not
        available.
    """
    largest: FloatArray = soft_targets.max(axis=1)
    return largest
