"""Other ways in which the deep generative model could speak to the classes.

Tried on the panel, as its ablations are, and not taken into the package. Each is a
classifier that is given the teacher of the default:

- `ByTheBound`: Bayes' rule, p(y given x) as the bounds of log p(x, y) have it, alone or
  averaged with the classifier q(y given x).
- `ClassPriors`: a VAE whose latent prior is a normal distribution for each class
  (VaDE, Jiang, Zheng, Tan, Tang & Zhou 2017, arXiv:1611.05148), trained with the
  teacher's guess as p(y). It answers with its posterior, or with label spreading on its
  latent means, the teacher's guess multiplied in.
"""

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

__all__ = ["ByTheBound", "ClassPriors"]

DRAWS = 16
LATENT_SIZE, HIDDEN, BATCH, EPOCHS, LEARNING_RATE = 16, 256, 256, 25, 3e-3
SMALLEST = 1e-6


class ByTheBound(ClassifierMixin, BaseEstimator):
    """The default, that answers by Bayes' rule.

    Parameters
    ----------
    teacher : classifier
        Of `SSVAEClassifier`.
    seed : int
        Of the network and of 16 draws of z for each row.
    averaged : bool
        Answer with the mean of that and q(y given x).
    """

    def __init__(self, teacher, seed, averaged=False):
        self.teacher, self.seed, self.averaged = teacher, seed, averaged

    def fit(self, X, y):
        """Fit."""
        from sk_ssvae import SSVAEClassifier

        model = SSVAEClassifier(teacher=self.teacher, random_state=self.seed)
        self.model = model.fit(X, y)
        self.transduction_ = self._transduction(X, y)
        return self

    def _transduction(self, X, y):
        return np.where(y >= 0, y, self.predict_proba(X).argmax(axis=1))

    def predict_proba(self, X):
        """Softmax of the bounds."""
        generator = torch.Generator().manual_seed(self.seed)
        answers = []
        with torch.no_grad():
            for rows in np.array_split(X, 1 + len(X) // 500):
                x = torch.from_numpy(self.model._columns.encode(rows))
                bounds = torch.stack(
                    [
                        self.model.module_.class_bounds(
                            x,
                            torch.randn(
                                len(x), self.model.latent_size, generator=generator
                            ),
                        )
                        for _ in range(DRAWS)
                    ]
                )
                answers.append(bounds.mean(0).softmax(-1).numpy())
        by_bound = np.concatenate(answers)
        if self.averaged:
            return (by_bound + self.model.predict_proba(X)) / 2
        return by_bound


class ClassPriors(ClassifierMixin, BaseEstimator):
    """A VAE with p(z given y) = N(m_y, diag s_y^2), from the teacher's guess on.

    The bound of a row whose teacher guesses t is
    E log p(x given z) + log sum_y t_y exp(-KL(q(z given x), p(z given y))).

    Parameters
    ----------
    teacher : classifier
        Who guesses.
    seed : int
        Of everything random.
    graph : bool
        Answer with label spreading on latent means times the guess, not with the
        posterior, the guess times exp(-KL).
    """

    def __init__(self, teacher, seed, graph=False):
        self.teacher, self.seed, self.graph = teacher, seed, graph

    def fit(self, X, y):
        """Fit the teacher, then the VAE to its guess."""
        from sk_ssvae.teachers.label_spreading import NeighbourGraph

        guess = self.teacher.fit(X, y).label_distributions_
        one_hot = np.eye(guess.shape[1])
        guess = np.where((y >= 0)[:, None], one_hot[y], guess)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._train(torch.from_numpy(X), torch.from_numpy(guess).float())
        means, kl = self._latent(X)
        opinion = -kl
        if self.graph:
            self.neighbours = NeighbourGraph(means)
            spread = self.neighbours.spread([y], guess.shape[1])[0]
            opinion = np.log(spread + SMALLEST)
        answer = np.log(guess + SMALLEST) + opinion
        self.transduction_ = np.where(y >= 0, y, answer.argmax(axis=1))
        return self

    def predict_proba(self, X):
        """Answer new rows in the same way."""
        means, kl = self._latent(X)
        opinion = -kl
        if self.graph:
            opinion = np.log(self.neighbours.answer(means) + SMALLEST)
        guess = self.teacher.predict_proba(X)
        return softmax(np.log(guess + SMALLEST) + opinion, axis=1)

    def _train(self, x, guess):
        n_classes, d = guess.shape[1], x.shape[1]
        self.encoder = nn.Sequential(
            nn.Linear(d, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT_SIZE)
        )
        decoder = nn.Sequential(
            nn.Linear(LATENT_SIZE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, d)
        )
        self.m = nn.Parameter(0.5 * torch.randn(n_classes, LATENT_SIZE))
        self.log_s = nn.Parameter(torch.zeros(n_classes, LATENT_SIZE))
        noise = nn.Parameter(torch.zeros(d))
        weights = [*self.encoder.parameters(), *decoder.parameters()]
        weights += [self.m, self.log_s, noise]
        optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
        n_steps = max(200, EPOCHS * len(x) // BATCH)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min(1, (1 - step / n_steps) / 0.4)
        )
        deck = torch.empty(0, dtype=torch.int64)
        for _ in range(n_steps):
            if len(deck) < BATCH:
                deck = torch.randperm(len(x))
            rows, deck = deck[:BATCH], deck[BATCH:]
            mean, log_scale = self._posterior(x[rows])
            z = mean + log_scale.exp() * torch.randn_like(mean)
            variance = (2 * noise).exp() + 0.05**2
            error = (x[rows] - decoder(z)) ** 2 / variance + variance.log()
            log_t = (guess[rows] + SMALLEST).log()
            mixed = torch.logsumexp(log_t - self._kl(mean, log_scale), -1)
            optimizer.zero_grad()
            (0.5 * error.sum(-1) - mixed).mean().backward()
            optimizer.step()
            schedule.step()

    def _posterior(self, x):
        mean, raw = self.encoder(x).chunk(2, -1)
        return mean, 5 * torch.tanh(raw / 5)

    def _kl(self, mean, log_scale):
        ratio = (mean[:, None] - self.m) ** 2 + (2 * log_scale).exp()[:, None]
        ratio = ratio / (2 * self.log_s).exp()
        log_ratio = 2 * (self.log_s - log_scale[:, None])
        return 0.5 * (ratio - 1 + log_ratio).sum(-1)

    @torch.no_grad()
    def _latent(self, X):
        mean, log_scale = self._posterior(torch.from_numpy(X))
        return mean.numpy(), self._kl(mean, log_scale).numpy()
