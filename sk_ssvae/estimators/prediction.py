"""Class probabilities, predicted classes and accuracy of a fitted classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sk_ssvae.data.labels import split_labels
from sk_ssvae.data.markers import as_label_array
from sk_ssvae.data.validation import check_weights
from sk_ssvae.estimators.base import BaseVAE
from sk_ssvae.estimators.calibration import adjust_log_proba
from sk_ssvae.models import inference
from sk_ssvae.utils.typing import Array, FloatArray

__all__ = ["PredictionMixin"]


class PredictionMixin(ClassifierMixin, BaseVAE):
    """`predict`, `predict_proba`, `predict_log_proba` and `score`."""

    unlabeled: Any
    temperature_: float
    log_prior_shift_: FloatArray | None

    def predict_log_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the logarithms of `predict_proba`.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

        Returns
        -------
        log_proba : ndarray of float32 of shape (n_samples, n_classes)
            In nats, in the order of `classes_`.
        """
        cells = self._read(X)
        with self._threads(cells.shape[0]):
            log_q = inference.log_posterior_y(self.module_, cells, self._row_encoder())
        return adjust_log_proba(log_q, self.temperature_, self.log_prior_shift_)

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return class probabilities, q(y | x) at the temperature `temperature_`.

        With ``class_prior="estimate"`` and no teacher they are also corrected for the
        estimated prior.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

        Returns
        -------
        proba : ndarray of float32 of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to 1.
        """
        proba = self.predict_log_proba(X)
        return np.exp(proba, out=proba)

    def predict(self, X: npt.ArrayLike) -> Array:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

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
        """Return the accuracy over the labelled rows.

        Parameters
        ----------
        X : array-like, sparse array or frame of shape (n_samples, n_features)
            Rows with the columns of `fit`; cells may be missing.

        y : array-like of shape (n_samples,)
            True labels. Rows with the label -1 are left out.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        accuracy : float
            In [0, 1].

        Raises
        ------
        ValueError
            If no row is labelled, or no labelled row has a positive weight.
        """
        predicted = self.predict(X)
        truth = column_or_1d(as_label_array(y, self.unlabeled), warn=True)
        check_consistent_length(predicted, truth)
        labelled, labels = split_labels(truth, self.unlabeled, all_labelled=True)
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
        if labels.dtype.kind != predicted.dtype.kind:  # e.g. str and bytes
            labels = labels.astype(object)
        # accuracy_score would take large floats without a fraction for continuous.
        return float(np.average(labels == predicted, weights=weight))
