"""M2 in pyro, written like pyro's example `examples/vae/ss_vae_M2.py`.

As in the example, model and guide are methods of a module, with a plate and one-hot
classes; the inputs of the networks are concatenated; `config_enumerate` enumerates the
classes of the guide in parallel; one `pyro.infer.SVI` minimises `TraceEnum_ELBO`, and a
second one minimises `Trace_ELBO` of a model of the labels alone, the auxiliary loss.

Differences, all of which make it faster or more accurate: the networks have ReLU and no
clipped probabilities; there is no auxiliary step for unlabelled rows, for which it has
nothing to score; pyro's validation of arguments is off. Every batch of unlabelled rows
is followed by one of labelled rows, as in the other implementations here, instead of
once an epoch.
"""

import math

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from torch import nn
from torch.nn import functional as F

from benchmarks.speed.peers import (
    AUX_LOSS_MULTIPLIER,
    make_batches,
    mlp,
    split_rows,
)


def _concatenated(a, y):
    """Concatenate a and y; a is repeated along the axis of enumerated classes."""
    return torch.cat([a.expand(*y.shape[:-1], a.shape[-1]), y], dim=-1)


class _M2(nn.Module):
    """Networks, models and guides."""

    MIN_SCALE = 0.05

    def __init__(self, n_features, n_classes, hidden_sizes, latent_size, likelihood):
        super().__init__()
        self.n_classes, self.latent_size = n_classes, latent_size
        self.encoder_y = mlp([n_features, *hidden_sizes, n_classes])
        self.encoder_z = mlp([n_features + n_classes, *hidden_sizes, 2 * latent_size])
        self.decoder = mlp([latent_size + n_classes, *hidden_sizes[::-1], n_features])
        self.log_scale = None
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.zeros(n_features))

    def model(self, x, y=None):
        """Sample from p(z) p(y) p(x | y, z)."""
        pyro.module("m2", self)
        with pyro.plate("data", len(x)):
            loc = x.new_zeros(len(x), self.latent_size)
            z = pyro.sample("z", dist.Normal(loc, torch.ones_like(loc)).to_event(1))
            prior = x.new_ones(len(x), self.n_classes) / self.n_classes
            y = pyro.sample("y", dist.OneHotCategorical(prior), obs=y)
            out = self.decoder(_concatenated(z, y))
            if self.log_scale is None:
                fn = dist.Bernoulli(logits=out)
            else:
                fn = dist.Normal(out, self.log_scale.exp() + self.MIN_SCALE)
            pyro.sample("x", fn.to_event(1), obs=x)

    def guide(self, x, y=None):
        """Sample from q(y | x) q(z | x, y)."""
        with pyro.plate("data", len(x)):
            if y is None:
                fn = dist.OneHotCategorical(logits=self.encoder_y(x))
                y = pyro.sample("y", fn)
            mean, raw = self.encoder_z(_concatenated(x, y)).chunk(2, -1)
            scale = (5 * torch.tanh(raw / 5)).exp()
            pyro.sample("z", dist.Normal(mean, scale).to_event(1))

    def model_classify(self, x, y):
        """Score the labels by q(y | x), for the auxiliary loss."""
        pyro.module("m2", self)
        with pyro.plate("data", len(x)), pyro.poutine.scale(scale=AUX_LOSS_MULTIPLIER):
            fn = dist.OneHotCategorical(logits=self.encoder_y(x))
            pyro.sample("y_aux", fn, obs=y)

    def guide_classify(self, x, y):
        """Sample nothing: the auxiliary model has no latent variable."""


def pyro_documented(
    X,
    y,
    n_classes,
    *,
    epochs,
    batch_size,
    hidden_sizes,
    latent_size,
    learning_rate,
    likelihood,
    seed,
):
    """Train M2 as pyro's example does, with three optimiser steps for each batch.

    The steps are for the bound of unlabelled rows, the bound of labelled rows, and the
    auxiliary loss.

    Parameters
    ----------
    X : ndarray of float32 of shape (n_rows, n_features)
        Standardised for "gaussian", in [0, 1] for "bernoulli".
    y : ndarray of int64 of shape (n_rows,)
        Classes, -1 where unlabelled.
    n_classes : int
        Number of classes.
    epochs, batch_size, hidden_sizes, latent_size, learning_rate, likelihood, seed
        As in `sk_ssvae.SSVAEClassifier`; `batch_size` counts unlabelled rows.

    Returns
    -------
    predict : callable
        Maps rows to classes.
    """
    torch.manual_seed(seed)
    m2 = _M2(X.shape[1], n_classes, hidden_sizes, latent_size, likelihood)
    x, x_labelled, y_labelled = split_rows(X, y)
    one_hot = F.one_hot(y_labelled, n_classes).float()
    n, n_batches = len(x_labelled), math.ceil(len(x) / batch_size)
    size = math.ceil(len(x) / n_batches)
    labelled_size = min(n, max(math.ceil(n / n_batches), math.ceil(batch_size / 4)))
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        optimizer = pyro.optim.Adam({"lr": learning_rate})
        guide = config_enumerate(m2.guide, "parallel", expand=True)
        bound = SVI(
            m2.model, guide, optimizer, loss=TraceEnum_ELBO(max_plate_nesting=1)
        )
        auxiliary = SVI(
            m2.model_classify, m2.guide_classify, optimizer, loss=Trace_ELBO()
        )
        for _ in range(epochs):
            rows = make_batches(len(x), size, n_batches)
            labelled = make_batches(n, labelled_size, n_batches)
            for i, j in zip(rows, labelled, strict=True):
                bound.step(x[i])
                bound.step(x_labelled[j], one_hot[j])
                auxiliary.step(x_labelled[j], one_hot[j])

    @torch.inference_mode()
    def predict(X):
        return m2.encoder_y(torch.from_numpy(X)).argmax(-1).numpy()

    return predict
