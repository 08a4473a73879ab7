"""Latent means of an unsupervised VAE, which is M2 with a single class.

[VAE] Kingma & Welling 2014; as features for a classifier: model M1 of Kingma, Rezende,
Mohamed & Welling 2014, section 2.1.
"""

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin

from sk_ssvae.models.m2 import M2Module
from sk_ssvae.utils.chunks import row_chunks
from sk_ssvae.utils.optimizers import Adam
from sk_ssvae.utils.random import Stream, stream_generator
from sk_ssvae.utils.typing import Array

__all__ = ["LatentMeans"]


# The share of the steps at the end in which the learning rate falls to zero.
DECAY = 0.4


class LatentMeans(TransformerMixin, BaseEstimator):
    """Train a VAE, and map rows to their latent means.

    Parameters
    ----------
    latent_size : int
        Number of latent dimensions.
    hidden_sizes : tuple of int
        Hidden layers of the encoder.
    likelihood : {"bernoulli", "gaussian"}
        For columns in [0, 1], or standardised ones.
    n_steps : int
        Minibatches to train on.
    seed : int
        Of weights, minibatches and noise.
    batch_size : int
        Rows in a minibatch.
    learning_rate : float
        Of Adam.
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
    ) -> None:
        self.latent_size = latent_size
        self.hidden_sizes = hidden_sizes
        self.likelihood = likelihood
        self.n_steps = n_steps
        self.seed = seed
        self.batch_size = batch_size
        self.learning_rate = learning_rate

    def fit(self, X: Array, y: None = None) -> "LatentMeans":
        """Train on rows of shape (n_rows, n_features)."""
        x = torch.from_numpy(np.ascontiguousarray(X, dtype=np.float32))
        self.model_ = M2Module(
            X.shape[1],
            (1.0,),
            self.latent_size,
            self.hidden_sizes,
            self.likelihood,
            self.seed,
        )
        optimizer = Adam(self.model_.parameters(), lr=self.learning_rate)
        batches = stream_generator(self.seed, Stream.BATCHES)
        noise = stream_generator(self.seed, Stream.NOISE)
        size = min(self.batch_size, len(x))
        deck = torch.empty(0, dtype=torch.int64)
        for step in range(self.n_steps):
            if len(deck) < size:
                deck = torch.randperm(len(x), generator=batches)
            which, deck = deck[:size], deck[size:]
            left = 1 - step / self.n_steps
            optimizer.param_groups[0]["lr"] = self.learning_rate * min(1, left / DECAY)
            draw = torch.randn(
                size, self.latent_size, generator=noise, dtype=torch.float32
            )
            loss = -self.model_.class_bounds(x[which], draw).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        return self

    @torch.no_grad()
    def transform(self, X: Array) -> Array:
        """Latent means of shape (n_rows, latent_size), float32."""
        means = np.empty((len(X), self.latent_size), dtype=np.float32)
        for rows in row_chunks(len(X), X.shape[1]):
            x = torch.from_numpy(np.ascontiguousarray(X[rows], dtype=np.float32))
            y = self.model_.classes.expand(len(x), 1)
            means[rows] = self.model_.posterior_z(x, y).mean.numpy()
        return means
