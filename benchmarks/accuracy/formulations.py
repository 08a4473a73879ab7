"""Other classifiers derived from the deep generative model.

They were compared on the panel as ablations are, and none was added to the package.
Each takes the teacher of the default:

- `BayesRuleClassifier`: Bayes' rule with the bounds of log p(x, y) in place of log
  p(x, y), alone or averaged with the classifier q(y given x).
- `ClassPriors`: a VAE with a normal prior of the latent variable for each class (VaDE,
  Jiang, Zheng, Tan, Tang & Zhou 2017, arXiv:1611.05148), trained with the teacher's
  soft targets as p(y). It predicts with its posterior, or with a harmonic function on a
  graph of its latent means, multiplied by the soft targets.
"""

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn

__all__ = ["BayesRuleClassifier", "ClassPriors"]

N_DRAWS = 16
LATENT_SIZE, HIDDEN, BATCH, EPOCHS, LEARNING_RATE = 16, 256, 256, 25, 3e-3
SMALLEST_PROBABILITY = 1e-6


class BayesRuleClassifier(ClassifierMixin, BaseEstimator):
    """The default, with probabilities from Bayes' rule.

    Parameters
    ----------
    teacher : classifier
        Teacher of `SSVAEClassifier`.
    seed : int
        Seed of the network and of the 16 draws of z for each row.
    averaged : bool, default=False
        Average the probabilities with q(y given x).
    """

    def __init__(self, teacher, seed, averaged=False):
        self.teacher, self.seed, self.averaged = teacher, seed, averaged

    def fit(self, X, y):
        """Fit the model."""
        from sk_ssvae import SSVAEClassifier

        model = SSVAEClassifier(teacher=self.teacher, random_state=self.seed)
        self.model = model.fit(X, y)
        self.transduction_ = np.where(y >= 0, y, self.predict_proba(X).argmax(axis=1))
        return self

    def predict_proba(self, X):
        """Return the softmax of the bounds."""
        generator = torch.Generator().manual_seed(self.seed)
        parts = []
        with torch.no_grad():
            for rows in np.array_split(X, 1 + len(X) // 500):
                scaling = self.model.preprocessor_.scaling
                x = torch.from_numpy(scaling.encode(rows))
                bounds = torch.stack(
                    [
                        self.model.module_.class_bounds(
                            x,
                            torch.randn(
                                len(x), self.model.latent_size, generator=generator
                            ),
                        )
                        for _ in range(N_DRAWS)
                    ]
                )
                parts.append(bounds.mean(0).softmax(-1).numpy())
        proba = np.concatenate(parts)
        if self.averaged:
            return (proba + self.model.predict_proba(X)) / 2
        return proba


class ClassPriors(ClassifierMixin, BaseEstimator):
    """A VAE with p(z given y) = N(m_y, diag s_y^2).

    With t the soft targets of the teacher, the bound of a row is
    E log p(x given z) + log sum_y t_y exp(-KL(q(z given x), p(z given y))).

    Parameters
    ----------
    teacher : classifier
        Classifier that provides soft targets.
    seed : int
        Seed of all random numbers.
    graph : bool, default=False
        Predict with a graph of the latent means times the soft targets, instead of the
        posterior, which is the soft targets times exp(-KL).
    """

    def __init__(self, teacher, seed, graph=False):
        self.teacher, self.seed, self.graph = teacher, seed, graph

    def fit(self, X, y):
        """Fit the teacher, and the VAE to its soft targets."""
        from sk_ssvae.teachers.graph_classifier import GraphClassifier
        from sk_ssvae.teachers.neighbour_graph import NeighbourGraph

        targets = self.teacher.fit(X, y).label_distributions_
        one_hot = np.eye(targets.shape[1])
        targets = np.where((y >= 0)[:, None], one_hot[y], targets)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self._train(torch.from_numpy(X), torch.from_numpy(targets).float())
        means, kl = self._latent(X)
        log_likelihood = -kl
        if self.graph:
            self.neighbours = GraphClassifier(NeighbourGraph(means))
            (proba,) = self.neighbours.fit_predict_proba([y], targets.shape[1])
            log_likelihood = np.log(proba + SMALLEST_PROBABILITY)
        logits = np.log(targets + SMALLEST_PROBABILITY) + log_likelihood
        self.transduction_ = np.where(y >= 0, y, logits.argmax(axis=1))
        return self

    def predict_proba(self, X):
        """Return the probabilities of the classes of new rows."""
        means, kl = self._latent(X)
        log_likelihood = -kl
        if self.graph:
            proba = self.neighbours.predict_proba(means)
            log_likelihood = np.log(proba + SMALLEST_PROBABILITY)
        targets = self.teacher.predict_proba(X)
        logits = np.log(targets + SMALLEST_PROBABILITY) + log_likelihood
        return softmax(logits, axis=1)

    def _train(self, x, targets):
        n_classes, d = targets.shape[1], x.shape[1]
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
        remaining = torch.empty(0, dtype=torch.int64)
        for _ in range(n_steps):
            if len(remaining) < BATCH:
                remaining = torch.randperm(len(x))
            rows, remaining = remaining[:BATCH], remaining[BATCH:]
            mean, log_scale = self._posterior(x[rows])
            z = mean + log_scale.exp() * torch.randn_like(mean)
            variance = (2 * noise).exp() + 0.05**2
            error = (x[rows] - decoder(z)) ** 2 / variance + variance.log()
            log_t = (targets[rows] + SMALLEST_PROBABILITY).log()
            mixture = torch.logsumexp(log_t - self._kl(mean, log_scale), -1)
            optimizer.zero_grad()
            (0.5 * error.sum(-1) - mixture).mean().backward()
            optimizer.step()
            schedule.step()

    def _posterior(self, x):
        """Return mean and log scale of q(z given x)."""
        mean, raw = self.encoder(x).chunk(2, -1)
        return mean, 5 * torch.tanh(raw / 5)

    def _kl(self, mean, log_scale):
        """Return KL(q(z given x), p(z given y)) for each class."""
        ratio = (mean[:, None] - self.m) ** 2 + (2 * log_scale).exp()[:, None]
        ratio = ratio / (2 * self.log_s).exp()
        log_ratio = 2 * (self.log_s - log_scale[:, None])
        return 0.5 * (ratio - 1 + log_ratio).sum(-1)

    @torch.no_grad()
    def _latent(self, X):
        """Return latent means, and the divergences from the prior of each class."""
        mean, log_scale = self._posterior(torch.from_numpy(X))
        return mean.numpy(), self._kl(mean, log_scale).numpy()
