"""Methods that map rows to results row by row, and what they return."""

from typing import Any, get_args

import numpy as np

from sk_ssvae.data.named_batches import FrameLibrary
from sk_ssvae.estimators.onnx_models import OnnxAutoencoder
from sk_ssvae.utils.typing import Array

__all__ = [
    "METHODS",
    "check_estimator",
    "check_method",
    "check_n_features",
    "empty_output",
    "frame_library",
    "last_model",
    "output_names",
]

METHODS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "transform",
    "score_samples",
)
"""Names of the methods."""


def check_estimator(model: Any) -> None:
    """Refuse what is no fitted estimator of this package, or pipeline of one.

    Raises
    ------
    TypeError
        If it is something else.
    NotFittedError
        If it is not fitted.
    """
    from sklearn.utils.validation import check_is_fitted

    from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
    from sk_ssvae.estimators.classifier import SSVAEClassifier

    if not isinstance(last_model(model), SSVAEClassifier | VariationalAutoencoder):
        raise TypeError(
            "model must be the path of a file that save or to_onnx has written, a "
            "fitted SSVAEClassifier or VariationalAutoencoder, or a pipeline that ends "
            f"in one, got {model!r}."
        )
    check_is_fitted(model)


def last_model(estimator: Any) -> Any:
    """Return the last step of a pipeline, or the estimator or graph itself."""
    if isinstance(estimator, OnnxAutoencoder):
        return estimator
    from sk_ssvae.teachers.classifiers import last_step  # imports torch

    return last_step(estimator)


def check_method(estimator: Any, method: Any) -> None:
    """Raise ValueError if a method is none of `METHODS`, or of another estimator."""
    available = [name for name in METHODS if hasattr(estimator, name)]
    if method not in available:
        raise ValueError(
            f"method must be one of {available} for {type(estimator).__name__}, got "
            f"{method!r}."
        )


def check_n_features(estimator: Any, n_features: int) -> None:
    """Raise scikit-learn's ValueError if the number of columns is not that of `fit`."""
    expected = getattr(estimator, "n_features_in_", n_features)  # not of all pipelines
    if n_features != expected:
        raise ValueError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting "
            f"{expected} features as input."
        )


def output_names(estimator: Any, method: str) -> list[str]:
    """Return a name for each value that a method returns for a row.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    method : str
        One of `METHODS` that it has.

    Returns
    -------
    names : list of str
    """
    if method == "predict":
        return ["prediction"]
    if method == "score_samples":
        return ["score_samples"]
    last = last_model(estimator)
    if method == "transform":
        return [str(name) for name in last.get_feature_names_out()]
    prefix = method.removeprefix("predict_")
    return [f"{prefix}_{label}" for label in last.classes_]


def empty_output(estimator: Any, method: str) -> Array:
    """Return what a method would return for no rows, which it refuses.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    method : str
        One of `METHODS` that it has.

    Returns
    -------
    output : ndarray of shape (0,) or (0, n_outputs)
    """
    if method == "predict":
        return np.empty(0, dtype=last_model(estimator).classes_.dtype)
    if method == "score_samples":
        return np.empty(0, dtype=np.float32)
    return np.empty((0, len(output_names(estimator, method))), dtype=np.float32)


def frame_library(estimator: Any) -> FrameLibrary:
    """Return the library of the data frame with which an estimator was fitted.

    It is pandas for a pipeline whose last step saw arrays.
    """
    if isinstance(estimator, OnnxAutoencoder):
        return estimator.frame_library
    kind = last_model(estimator).preprocessor_.schema.kind
    return kind if kind in get_args(FrameLibrary) else "pandas"
