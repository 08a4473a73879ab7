"""M2 in pyro and in pyroVED, for the comparison of training times.

Both sum over the classes exactly, with pyro's `TraceEnum_ELBO`, and run on the CPU.
pyro's validation of arguments, which is on by default, is switched off. Differences
from sk_ssvae:

- There is one draw of z for each class, and KL(q(z | x, y) || p(z)) is estimated from
  it, since pyro enumerates.
- pyroVED's Gaussian likelihood has a fixed scale of 0.5, and its trainer makes separate
  optimiser steps for labelled rows, at most one pass over them in an epoch.
- The weights of the classification term are those of pyro's example and of pyroVED.
"""

import math
import sys
import warnings
from itertools import pairwise
from types import ModuleType

import pyro
import torch
from pyro import distributions as dist
from pyro.infer import JitTraceEnum_ELBO, TraceEnum_ELBO
from torch import nn
from torch.nn import functional as F

AUX_LOSS_MULTIPLIER = 46.0
"""Value of pyro's SS-VAE example; pyroVED's default is 20."""


def _import_pyroved():
    """Import pyroVED without torchvision.

    pyroVED needs torchvision for one plotting function only, and torchvision from PyPI
    cannot be imported with a CPU build of torch.
    """
    package, utils = ModuleType("torchvision"), ModuleType("torchvision.utils")
    utils.make_grid = None
    stubs = {module.__name__: module for module in (package, utils)}
    for name, stub in stubs.items():
        sys.modules.setdefault(name, stub)
    import pyroved

    for name, stub in stubs.items():
        if sys.modules[name] is stub:
            del sys.modules[name]
    return pyroved


pv = _import_pyroved()


def split_rows(X, y):
    """Return unlabelled rows, labelled rows and their labels, as tensors."""
    labelled = y >= 0
    arrays = X[~labelled], X[labelled], y[labelled]
    return tuple(torch.from_numpy(array) for array in arrays)


def pyroved_ssivae(
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
    """Train pyroVED's ssiVAE, without invariances, with pyroVED's trainer.

    Parameters
    ----------
    X : ndarray of float32 of shape (n_rows, n_features)
        Standardised for "gaussian", in [0, 1] for "bernoulli".
    y : ndarray of int64 of shape (n_rows,)
        Classes, -1 where unlabelled.
    n_classes : int
        Number of classes.
    epochs, batch_size, hidden_sizes, latent_size, learning_rate, likelihood, seed
        As in `sk_ssvae.SSVAEClassifier`. Batches of labelled rows have the same size.

    Returns
    -------
    predict : callable
        Maps rows to classes.

    Raises
    ------
    ValueError
        If pyroVED's trainer would not use any labelled row.
    """
    hidden = list(hidden_sizes)
    x, x_labelled, y_labelled = split_rows(X, y)
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        model = pv.models.ssiVAE(
            (X.shape[1],),
            latent_size,
            n_classes,
            hidden_dim_e=hidden,
            hidden_dim_d=hidden[::-1],
            hidden_dim_cls=hidden,
            activation="relu",
            sampler_d=likelihood,
            sigmoid_d=likelihood == "bernoulli",
            seed=seed,
            device="cpu",
        )
        trainer = pv.trainers.auxSVItrainer(
            model, seed=seed, lr=learning_rate, device="cpu"
        )
        unlabelled = pv.utils.init_dataloader(x, batch_size=batch_size)
        labelled = pv.utils.init_dataloader(
            x_labelled, pv.utils.to_onehot(y_labelled, n_classes), batch_size=batch_size
        )
        # The trainer takes a labelled batch after the second of p unlabelled ones.
        if len(unlabelled) < max(2, len(labelled)):
            raise ValueError(
                f"There are {len(unlabelled)} unlabelled and {len(labelled)} labelled "
                "batches, with which pyroVED's trainer uses no labelled row. Lower "
                "batch_size."
            )
        for _ in range(epochs):
            trainer.step(unlabelled, labelled)

    def predict(X):
        return model.classifier(torch.from_numpy(X), batch_size=1024).numpy()

    return predict


def mlp(sizes):
    """Return linear layers with ReLU between them."""
    layers = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _PairMLP(nn.Module):
    """MLP of rows and classes that does not concatenate each row with each class.

    The part of the first layer that depends on the row is computed once for all
    classes, which saves a quarter of an epoch's time for long rows.
    """

    def __init__(self, n_features, n_classes, sizes):
        super().__init__()
        bound = 1 / math.sqrt(n_features + n_classes)
        self.from_a = nn.Linear(n_features, sizes[0])
        self.from_y = nn.Embedding(n_classes, sizes[0])
        for weight in (*self.from_a.parameters(), self.from_y.weight):
            nn.init.uniform_(weight, -bound, bound)
        self.rest = nn.Sequential(nn.ReLU(), mlp(sizes))

    def forward(self, a, y):
        """Return the outputs for a and classes y, broadcast against each other."""
        return self.rest(self.from_a(a) + self.from_y(y))


class _M2(nn.Module):
    """M2 as pyro's model and guide of a batch of unlabelled and labelled rows."""

    MIN_SCALE = 0.05

    def __init__(self, n_features, n_classes, hidden_sizes, latent_size, likelihood):
        super().__init__()
        self.likelihood = likelihood
        self.classifier = mlp([n_features, *hidden_sizes, n_classes])
        self.encoder = _PairMLP(n_features, n_classes, [*hidden_sizes, 2 * latent_size])
        self.decoder = _PairMLP(
            latent_size, n_classes, [*hidden_sizes[::-1], n_features]
        )
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("prior_y", torch.zeros(n_classes))
        self.register_buffer("prior_z", torch.zeros(latent_size))

    def model(self, x, x_labelled, y_labelled):
        """Sample from p(y) p(z) p(x | y, z)."""
        with pyro.plate("unlabelled", len(x)):
            y = pyro.sample("y", dist.Categorical(logits=self.prior_y))
            self._decode("", x, y)
        with pyro.plate("labelled", len(x_labelled)):
            fn = dist.Categorical(logits=self.prior_y)
            pyro.sample("y_labelled", fn, obs=y_labelled)
            self._decode("_labelled", x_labelled, y_labelled)

    def guide(self, x, x_labelled, y_labelled):
        """Sample from q(y | x) q(z | x, y), enumerating unknown classes."""
        with pyro.plate("unlabelled", len(x)):
            fn = dist.Categorical(logits=self.classifier(x))
            y = pyro.sample("y", fn, infer={"enumerate": "parallel"})
            self._encode("", x, y)
        with pyro.plate("labelled", len(x_labelled)):
            self._encode("_labelled", x_labelled, y_labelled)

    def _encode(self, suffix, x, y):
        mean, raw = self.encoder(x, y).chunk(2, -1)
        # Scales between exp(-5) and exp(5); without limits outliers make the loss NaN.
        scale = (5 * torch.tanh(raw / 5)).exp()
        pyro.sample(f"z{suffix}", dist.Normal(mean, scale).to_event(1))

    def _decode(self, suffix, x, y):
        prior = dist.Normal(self.prior_z, torch.ones_like(self.prior_z))
        out = self.decoder(pyro.sample(f"z{suffix}", prior.to_event(1)), y)
        if self.likelihood == "bernoulli":
            fn = dist.Bernoulli(logits=out)
        else:
            fn = dist.Normal(out, self.log_scale.exp() + self.MIN_SCALE)
        pyro.sample(f"x{suffix}", fn.to_event(1), obs=x)


def make_batches(n, size, n_batches):
    """Return row indices (n_batches, size) from shuffled passes over `n` rows."""
    n_passes = math.ceil(n_batches * size / n)
    order = torch.cat([torch.randperm(n) for _ in range(n_passes)])
    return order[: n_batches * size].view(n_batches, size)


def pyro_enumerated(
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
    jit=True,
):
    """Train M2 in pyro, with one optimiser step for a batch of both kinds of rows.

    The loss is minimised by torch's Adam, as pyro's documentation recommends for losses
    with further terms: `pyro.infer.SVI` has a separate optimiser for each parameter and
    needs one step for each term.

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
    jit : bool, default=True
        Compile the loss (`JitTraceEnum_ELBO`), which takes part of a second.

    Returns
    -------
    predict : callable
        Maps rows to classes.
    """
    torch.manual_seed(seed)
    m2 = _M2(X.shape[1], n_classes, hidden_sizes, latent_size, likelihood)
    x, x_labelled, y_labelled = split_rows(X, y)
    # All batches have the same size, which compilation requires.
    n, n_batches = len(x_labelled), math.ceil(len(x) / batch_size)
    size = math.ceil(len(x) / n_batches)
    labelled_size = min(n, max(math.ceil(n / n_batches), math.ceil(batch_size / 4)))
    optimizer = torch.optim.Adam(m2.parameters(), lr=learning_rate)
    guide = m2.guide  # one object, since compiled code is cached by its identity

    def model(*batch):
        if jit:  # parameters that are not registered become constants
            pyro.module("m2", m2)
        m2.model(*batch)

    if jit:
        elbo = JitTraceEnum_ELBO(max_plate_nesting=1, ignore_jit_warnings=True)
    else:
        elbo = TraceEnum_ELBO(max_plate_nesting=1)
    with (
        pyro.get_param_store().scope(),
        pyro.validation_enabled(False),
        warnings.catch_warnings(),
    ):
        # torch.jit.trace is deprecated in favour of torch.compile.
        warnings.simplefilter("ignore", DeprecationWarning)
        for _ in range(epochs):
            rows = make_batches(len(x), size, n_batches)
            labelled = make_batches(n, labelled_size, n_batches)
            for i, j in zip(rows, labelled, strict=True):
                x_j, y_j = x_labelled[j], y_labelled[j]
                optimizer.zero_grad()
                loss = elbo.differentiable_loss(model, guide, x[i], x_j, y_j)
                classification = F.cross_entropy(
                    m2.classifier(x_j), y_j, reduction="sum"
                )
                (loss + AUX_LOSS_MULTIPLIER * classification).backward()
                optimizer.step()

    @torch.inference_mode()
    def predict(X):
        return m2.classifier(torch.from_numpy(X)).argmax(-1).numpy()

    return predict
