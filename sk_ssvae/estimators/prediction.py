"""The discriminative half of the face: classes and their probabilities."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.validation import check_weights
from sk_ssvae.estimators.base import FittedState
from sk_ssvae.estimators.calibration import adjust_log_proba
from sk_ssvae.models import inference
from sk_ssvae.utils.typing import Array

__all__ = ["PredictiveMixin"]


class PredictiveMixin(FittedState):
    """`predict`, its probabilities and `score` of a fitted estimator."""

    unlabeled: Any
    temperature_: float
    _log_shift: npt.NDArray[np.float32] | None

    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        Returns
        -------
        log_proba : ndarray of float32 of shape (n_samples, n_classes)
            In nats, in the order of `classes_`.
        """
        rows = self._validated(X)
        with self._threads(rows.shape[0]):
            log_q = inference.log_posterior_y(self.module_, rows, self._encoder())
        return self._answers(log_q)

    def _answers(self, log_q: Array) -> Array:
        """Log-probabilities of the classes, given log q(y | x)."""
        return adjust_log_proba(log_q, self.temperature_, self._log_shift)

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Probabilities of the classes: q(y | x), at the temperature `temperature_`.

        With ``class_prior="estimate"`` and no teacher also for the estimated prior.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to 1.
        """
        proba = self.predict_log_proba(X)
        return np.exp(proba, out=proba)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Most probable classes.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels from `classes_`.
        """
        codes = self.predict_log_proba(X).argmax(axis=1)
        labels: Array = self.classes_[codes]
        return labels

    def score(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Accuracy over the labelled rows; rows with label -1 carry no truth.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows, with the columns of `fit`; cells may be missing.

        y : array-like of shape (n_samples,)
            True labels; rows with -1 are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
            In [0, 1].

        Raises
        ------
        ValueError
            If no row is labelled, or none with a positive weight.
        """
        predicted = self.predict(X)
        truth = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        check_consistent_length(predicted, truth)
        labelled, labels = split_labels(truth, self.unlabeled)
        if not labelled.any():
            raise ValueError(
                f"score needs labelled rows, but y is {self.unlabeled!r} (unlabelled) "
                f"in all {len(truth)} rows."
            )
        if (labels.dtype.kind in "OUS") != (self.classes_.dtype.kind in "OUS"):
            raise ValueError(
                f"y has labels such as {labels.tolist()[0]!r}, but the classes are "
                f"{self.classes_.tolist()}."
            )
        weight = None
        if sample_weight is not None:
            weight = check_weights(sample_weight, predicted)
            weight = (weight / weight.max())[labelled]
            if not weight.any():
                raise ValueError(
                    "score needs labelled rows with a positive sample_weight, but it "
                    f"is 0 for all {len(weight)} labelled rows."
                )
        predicted = predicted[labelled]
        if labels.dtype.kind != predicted.dtype.kind:  # texts and bytes, for instance
            labels = labels.astype(object)
        # Not accuracy_score, which takes large whole floats for continuous.
        return float(np.average(labels == predicted, weights=weight))
