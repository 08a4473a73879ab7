"""Class probabilities, predicted classes and accuracy of a fitted classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassifierMixin
from torch import Tensor

from sk_ssvae.data.accuracy import labelled_accuracy
from sk_ssvae.data.missing import MissingCells
from sk_ssvae.estimators.base import BaseVAE
from sk_ssvae.estimators.calibration import adjust_log_proba
from sk_ssvae.models import inference
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.typing import Array, FloatArray

__all__ = ["PredictionMixin", "most_probable"]

TINY = np.finfo(np.float32).tiny
"""Smallest average probability, so that its logarithm is finite."""


def most_probable(classes: Array, scores: Array) -> Array:
    """Return the class of the largest score of each row.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Class labels.
    scores : ndarray of shape (n_rows, n_classes)
        Probabilities, or their logarithms.

    Returns
    -------
    labels : ndarray of shape (n_rows,)
    """
    labels = np.empty(len(scores), dtype=classes.dtype)
    for rows in row_chunks(*scores.shape):
        labels[rows] = classes[scores[rows].argmax(axis=1)]
    return labels


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
            return self._class_log_proba(self.net_, cells)

    def _class_log_proba(self, net: SSVAENet, cells: Any) -> FloatArray:
        """Return log-probabilities; averages over missing cells where there are any."""
        module, encode = net.module_, self._row_encoder()
        missing = MissingCells(encode, self.preprocessor_.scaling.kept)
        temperature, shift = self.temperature_, self.log_prior_shift_
        log_proba = inference.log_posterior_y(module, cells, missing.encode)
        for rows in row_chunks(*log_proba.shape):  # in place, for very many rows
            log_proba[rows] = adjust_log_proba(log_proba[rows], temperature, shift)
        incomplete, empty = missing.rows()
        if len(incomplete):

            def proba(rows: Tensor, n_filled: int) -> Tensor:
                log_q = module.filled_log_q_y(rows, n_filled).cpu().numpy()
                return torch.from_numpy(
                    np.exp(adjust_log_proba(log_q, temperature, shift))
                )

            means = inference.mean_over_missing(
                module, proba, cells, incomplete, net.seed, encode
            )
            log_proba[incomplete] = np.log(np.maximum(means, TINY))
        # Without observed cells, p(y | x) is p(y).
        log_proba[empty] = np.log(self.class_prior_)
        return log_proba

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return class probabilities, q(y | x) at the temperature `temperature_`.

        With ``class_prior="estimate"`` and no teacher they are also corrected for the
        estimated prior. For rows with missing cells they are averaged over draws of
        these cells from the model given the observed ones; for a row without any
        observed cell they are `class_prior_`.

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
        log_proba = self.predict_log_proba(X)
        return most_probable(self.classes_, log_proba)

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
        return labelled_accuracy(
            y, self.predict(X), self.classes_, sample_weight, self.unlabeled
        )
