"""Who makes the first guess at the hidden labels.

Any scikit-learn classifier that takes -1 for unlabelled rows can be the teacher. Its
guesses are soft targets for q(y | x); the training loop lets their pull fall.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone, is_classifier

from sk_ssvae.utils.random import Stream, stream_seed

__all__ = ["confidence", "fit_soft_targets"]


def _seed_estimator(estimator: BaseEstimator, seed: int) -> None:
    """Give a seed to every `random_state` that is None, nested ones included."""
    open_states = sorted(
        name
        for name, value in estimator.get_params(deep=True).items()
        if value is None and name.split("__")[-1] == "random_state"
    )
    estimator.set_params(
        **{
            name: stream_seed(seed, Stream.TEACHER, i) % (2**31)
            for i, name in enumerate(open_states)
        }
    )


def _last_step(teacher: BaseEstimator) -> BaseEstimator:
    return teacher[-1] if hasattr(teacher, "steps") else teacher


def _ask(
    teacher: BaseEstimator, X: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Ask a fitted teacher for classes, and probabilities of the rows it saw."""
    final = _last_step(teacher)
    if hasattr(final, "label_distributions_"):
        return np.asarray(final.classes_), np.asarray(
            final.label_distributions_, dtype=np.float64
        )
    if hasattr(teacher, "predict_proba"):
        proba = np.asarray(teacher.predict_proba(X), dtype=np.float64)
        return np.asarray(teacher.classes_), proba
    answered, which = np.unique(teacher.predict(X), return_inverse=True)
    return answered, np.eye(len(answered))[which]


def fit_soft_targets(
    teacher: BaseEstimator,
    X: npt.NDArray[Any],
    codes: npt.NDArray[np.int64],
    n_classes: int,
    seed: int,
) -> npt.NDArray[np.float32]:
    """Fit a copy of the teacher and ask it for the classes of the training rows.

    A transductive teacher's ``label_distributions_`` come first, then its
    ``predict_proba``, then its ``predict``.

    Parameters
    ----------
    teacher : estimator
        A classifier whose ``fit(X, y)`` takes -1 for unlabelled rows. It is cloned.
    X : ndarray of shape (n_rows, n_features)
        Rows in the user's units: a teacher that needs scaled columns is a pipeline.
    codes : ndarray of int64 of shape (n_rows,)
        Classes 0 ... n_classes - 1, or -1.
    n_classes : int
        Number of classes.
    seed : int
        Seed for every random_state of the teacher that is None.

    Returns
    -------
    guess : ndarray of float32 of shape (n_rows, n_classes)
        Probabilities. A row is zero where the teacher has no answer (NaN or nothing
        but zeros, as LabelSpreading gives rows that no label reaches).

    Raises
    ------
    TypeError
        If it is not a classifier.
    ValueError
        If the teacher answers with classes that it was not given, or in the wrong
        shape.
    """
    if isinstance(teacher, type) or not is_classifier(teacher):
        raise TypeError(
            "teacher must be an instance of a scikit-learn classifier that takes -1 "
            f"for unlabelled rows, got {teacher!r}."
        )
    n_rows = X.shape[0]
    teacher = clone(teacher)
    _seed_estimator(teacher, seed)
    try:
        # Copies: a step of a pipeline may work in place.
        teacher.fit(X.copy(), codes.copy())
        answered, answer = _ask(teacher, X.copy())
    except Exception as error:
        error.add_note(f"This was raised by the teacher {teacher!r}.")
        raise
    if (
        answer.shape != (n_rows, len(answered))
        or not np.isin(answered, np.arange(n_classes)).all()
    ):
        raise ValueError(
            f"The teacher {type(_last_step(teacher)).__name__} answered with classes "
            f"{answered.tolist()} in an array of shape {answer.shape}, but was given "
            f"the codes 0 ... {n_classes - 1} for {n_rows} rows, -1 where unlabelled. "
            "A teacher must be a classifier that takes -1 for unlabelled rows, such as "
            "LabelSpreading or SelfTrainingClassifier."
        )
    guess = np.zeros((n_rows, n_classes))
    guess[:, answered.astype(int)] = np.clip(np.nan_to_num(answer, posinf=0.0), 0, None)
    mass = guess.sum(axis=1, keepdims=True)
    return np.asarray(guess / np.where(mass > 0, mass, 1), dtype=np.float32)


def confidence(guess: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How much a guess counts: the square root of 1 - entropy / log(n_classes).

    Parameters
    ----------
    guess : ndarray of shape (n_rows, n_classes)
        Probabilities, or zeros for no answer.

    Returns
    -------
    trust : ndarray of float32 of shape (n_rows,)
        1 for a certain guess, 0 for a uniform one and for no answer.
    """
    p = guess.astype(np.float64)
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)
    certain = 1 - entropy / np.log(guess.shape[1])
    return np.where(p.sum(axis=1) > 0, np.sqrt(certain.clip(0, 1)), 0).astype(
        np.float32
    )
