"""Latent means of an unsupervised VAE as features.

[VAE] Kingma & Welling 2014, arXiv 1312.6114; as features for a classifier: model M1 of
Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298, section 2.1.
"""

import contextlib
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone

from sk_ssvae.data.markers import UNLABELED
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.teachers.blocks import transformed
from sk_ssvae.training.divergence import DivergenceError
from sk_ssvae.training.net import make_net
from sk_ssvae.training.rows import Rows
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.typing import Array, FloatArray

__all__ = ["LatentMeans"]


class LatentMeans(TransformerMixin, BaseEstimator):
    """Train a VAE, and map rows to their latent means.

    It is trained for a number of steps, not of epochs, by the loop of
    `sk_ssvae.training.net.SSVAENet`, on the CPU.

    Parameters
    ----------
    latent_size : int
        Number of latent dimensions.
    hidden_sizes : tuple of int
        Sizes of the hidden layers of the encoder; the decoder has them in reverse.
    likelihood : {"bernoulli", "gaussian"}
        Likelihood of the columns, in [0, 1] or scaled.
    n_steps : int
        Number of minibatches to train on.
    seed : int
        Seed of the weights, minibatches and noise.
    batch_size : int, default=128
        Rows in a minibatch.
    learning_rate : float, default=3e-3
        Step size of Adam.
    scaler : transformer, default=None
        Fitted to the rows and applied to them first, in blocks if there are many.
    """

    def __init__(
        self,
        latent_size: int,
        hidden_sizes: tuple[int, ...],
        likelihood: str,
        n_steps: int,
        seed: int,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        scaler: Any = None,
    ) -> None:
        self.latent_size = latent_size
        self.hidden_sizes = hidden_sizes
        self.likelihood = likelihood
        self.n_steps = n_steps
        self.seed = seed
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.scaler = scaler

    def fit(self, X: Array, y: None = None) -> "LatentMeans":
        """Train the VAE.

        If training diverges, even with smaller steps, the weights are the initial ones:
        latent means are then poor features, but finite.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows; converted to float32.
        y : None
            Ignored.

        Returns
        -------
        self : LatentMeans
        """
        self.scaler_ = None if self.scaler is None else clone(self.scaler).fit(X)
        x = self._scaled(X)
        net = make_net(
            module_class=M1Module,
            n_features=x.shape[1],
            class_prior=np.ones(1),
            latent_size=self.latent_size,
            hidden_sizes=self.hidden_sizes,
            classifier_hidden_sizes=(),
            likelihood=self.likelihood,
            seed=self.seed,
            device=torch.device("cpu"),
        )
        net.set_params(
            max_epochs=1,
            batches_per_epoch=self.n_steps,
            batch_size=self.batch_size,
            lr=self.learning_rate,
        )
        # The pool gives poor features little weight. `train` would warn about settings
        # that its users cannot change, and would handle KeyboardInterrupt.
        with contextlib.suppress(DivergenceError):
            net.fit_loop(Rows(x, np.full(len(x), UNLABELED)))
        self.model_: M1Module = net.module_.eval()
        return self

    @torch.no_grad()
    def transform(self, X: Array) -> FloatArray:
        """Compute latent means.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Rows; converted to float32.

        Returns
        -------
        Z : ndarray of float32 of shape (n_rows, latent_size)
            Means of q(z | x).
        """
        means = np.empty((len(X), self.latent_size), dtype=np.float32)
        for rows in row_chunks(len(X), X.shape[1]):
            x = torch.from_numpy(self._scaled(X[rows]))
            means[rows] = self.model_.latent_means(x).numpy()
        return means

    def _scaled(self, X: Array) -> FloatArray:
        """Return the rows that the networks take, in single precision and C order."""
        if self.scaler_ is None:
            return np.ascontiguousarray(X, dtype=np.float32)
        return transformed(self.scaler_, X)
