"""M2 as a bare PyTorch training loop.

`fit_broadcast` is the reference for the overhead of the estimator: the same model, loss
and minibatches, with all classes of all rows in one broadcast pass. Alternative ways to
write an operation were chosen by their speed. `fit_loop_over_classes` is the same loop
with one pass of encoder and decoder for each class, as in tutorials.

Neither validates or standardises its input, or keeps fitted state.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

LOG_2PI = math.log(2 * math.pi)
MIN_SCALE = 0.05
MAX_LOG_SCALE = 5.0


class _M2(nn.Module):
    """Classifier, likelihood and bound; subclasses define encoder and decoder."""

    def __init__(self, n_features, n_classes, hidden, latent_size, likelihood):
        super().__init__()
        self.n_classes, self.latent_size = n_classes, latent_size
        self.classifier = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, n_classes),
        )
        self.log_scale = None
        if likelihood == "gaussian":
            self.log_scale = nn.Parameter(torch.zeros(n_features))

    def gaussian(self):
        """Return precisions and log normaliser of the columns, computed once a step."""
        if self.log_scale is None:
            return None, None
        variance = (2 * self.log_scale).exp() + MIN_SCALE**2
        norm = 0.5 * (variance.log().sum() + len(variance) * LOG_2PI)
        return variance.reciprocal(), norm

    def bound(self, x, y, noise, gaussian):
        """Return L(x, y) without log p(y), which is the same for all classes."""
        mean, raw = self.encode(x, y).chunk(2, -1)
        log_scale = MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE)
        scale = log_scale.exp()
        out = self.decode(torch.addcmul(mean, scale, noise), y)
        precision, norm = gaussian
        if precision is None:
            log_prob = -F.binary_cross_entropy_with_logits(
                out, x.expand_as(out), reduction="none"
            ).sum(-1)
        else:
            log_prob = -0.5 * ((x - out).square() @ precision) - norm
        squares = mean.square() + scale.square()
        return log_prob - 0.5 * (
            squares.sub(log_scale, alpha=2).sum(-1) - self.latent_size
        )


class _Broadcast(_M2):
    """Networks whose first layer computes the part of a row once for all classes."""

    def __init__(self, n_features, n_classes, hidden, latent_size, likelihood):
        super().__init__(n_features, n_classes, hidden, latent_size, likelihood)
        self.encoder_x = nn.Linear(n_features, hidden)
        self.encoder_out = nn.Linear(hidden, 2 * latent_size)
        self.decoder_z = nn.Linear(latent_size, hidden)
        self.decoder_out = nn.Linear(hidden, n_features)
        self.encoder_y = nn.Parameter(torch.empty(n_classes, hidden))
        self.decoder_y = nn.Parameter(torch.empty(n_classes, hidden))
        for weight, n_in in (
            (self.encoder_y, n_features + n_classes),
            (self.decoder_y, latent_size + n_classes),
        ):
            nn.init.uniform_(weight, -(n_in**-0.5), n_in**-0.5)

    def encode(self, x, y):
        """Encode rows with one-hot y; None encodes them with every class."""
        from_y = self.encoder_y if y is None else y @ self.encoder_y
        return self.encoder_out(F.relu_(self.encoder_x(x) + from_y))

    def decode(self, z, y):
        """Decode z with one-hot y; None decodes it with every class."""
        from_y = self.decoder_y if y is None else y @ self.decoder_y
        return self.decoder_out(F.relu_(self.decoder_z(z) + from_y))

    def class_bounds(self, x, noise, gaussian):
        """Return L(x, y) of every row and class, in one pass."""
        return self.bound(x[:, None], None, noise[:, None], gaussian)


class _Loop(_M2):
    """Networks of concatenated inputs, called once for each class."""

    def __init__(self, n_features, n_classes, hidden, latent_size, likelihood):
        super().__init__(n_features, n_classes, hidden, latent_size, likelihood)

        def mlp(n_in, n_out):
            return nn.Sequential(
                nn.Linear(n_in, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, n_out)
            )

        self.encoder = mlp(n_features + n_classes, 2 * latent_size)
        self.decoder = mlp(latent_size + n_classes, n_features)

    def encode(self, x, y):
        """Encode rows with one-hot y."""
        return self.encoder(torch.cat([x, y], dim=-1))

    def decode(self, z, y):
        """Decode z with one-hot y."""
        return self.decoder(torch.cat([z, y], dim=-1))

    def class_bounds(self, x, noise, gaussian):
        """Return L(x, y) of every row and class, with one pass for each class."""
        bounds = []
        for k in range(self.n_classes):
            y = torch.zeros(len(x), self.n_classes)
            y[:, k] = 1
            bounds.append(self.bound(x, y, noise, gaussian))
        return torch.stack(bounds, dim=-1)


def _make_batches(rows, size, n_batches):
    """Return row indices (n_batches, size) from shuffled passes over the rows."""
    n_passes = math.ceil(n_batches * size / len(rows))
    order = torch.cat([torch.randperm(len(rows)) for _ in range(n_passes)])
    return rows[order[: n_batches * size]].view(n_batches, size)


def _train(m2, X, y, *, epochs, batch_size, learning_rate, alpha):
    """Train in place; minibatches mix labelled and unlabelled rows as in sk_ssvae."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    unlabelled, labelled = (y < 0).nonzero()[:, 0], (y >= 0).nonzero()[:, 0]
    one_hot = F.one_hot(y[labelled], m2.n_classes).float()
    x_labelled, every_labelled = X[labelled], torch.arange(len(labelled))
    n, n_l, n_u = len(X), len(labelled), len(unlabelled)
    n_batches = math.ceil(n / batch_size)
    size_l = min(n_l, max(math.ceil(n_l / n_batches), math.ceil(batch_size / 4)))
    size_u = math.ceil(n_u / n_batches)
    optimizer = torch.optim.Adam(m2.parameters(), lr=learning_rate, fused=True)

    def loss_of(i, j):
        """Return the loss of a batch. Its tensors are freed when it returns."""
        x_l, t, x_u = x_labelled[i], one_hot[i], X[j]
        log_q = m2.classifier(torch.cat([x_l, x_u])).log_softmax(-1)
        log_q_l, log_q_u = log_q.split([size_l, size_u])
        noise = torch.randn(size_l + size_u, m2.latent_size)
        gaussian = m2.gaussian()
        labelled_bound = m2.bound(x_l, t, noise[:size_l], gaussian)
        bounds = m2.class_bounds(x_u, noise[size_l:], gaussian)
        unlabelled_bound = (log_q_u.exp() * (bounds - log_q_u)).sum(-1)
        bound = labelled_bound.mean() * (n_l / n) + unlabelled_bound.mean() * (n_u / n)
        return -alpha * (t * log_q_l).sum(-1).mean() - bound

    losses = []
    for _ in range(epochs):
        steps = []
        for i, j in zip(
            _make_batches(every_labelled, size_l, n_batches),
            _make_batches(unlabelled, size_u, n_batches),
            strict=True,
        ):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(i, j)
            loss.backward()
            optimizer.step()
            steps.append(loss.detach())
        losses.append(torch.stack(steps).mean().item() + math.log(m2.n_classes))
    return losses


def _fit(
    network,
    X,
    y,
    n_classes,
    *,
    epochs,
    batch_size=128,
    hidden=128,
    latent_size=10,
    learning_rate=5e-3,
    alpha=30.0,
    likelihood,
    seed,
):
    """Train a network, and return a function that predicts classes."""
    torch.manual_seed(seed)
    m2 = network(X.shape[1], n_classes, hidden, latent_size, likelihood)
    losses = _train(
        m2,
        X,
        y,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        alpha=alpha,
    )

    @torch.inference_mode()
    def predict(X):
        return m2.classifier(torch.from_numpy(X)).argmax(-1).numpy()

    predict.losses = losses
    return predict


def fit_broadcast(X, y, n_classes, **options):
    """Train M2 in a bare loop, with all classes in one broadcast pass.

    Parameters
    ----------
    X : ndarray of float32 of shape (n_rows, n_features)
        Standardised for "gaussian", in [0, 1] for "bernoulli".
    y : ndarray of int64 of shape (n_rows,)
        Classes, -1 where unlabelled.
    n_classes : int
        Number of classes.
    **options
        ``epochs``, ``likelihood`` and ``seed``; optionally ``batch_size``,
        ``latent_size``, ``learning_rate`` and ``alpha``, as in
        `sk_ssvae.SSVAEClassifier`, and ``hidden``, the size of the hidden layer.

    Returns
    -------
    predict : callable
        Maps rows to classes. Its attribute ``losses`` has the mean loss of each epoch.
    """
    return _fit(_Broadcast, X, y, n_classes, **options)


def fit_loop_over_classes(X, y, n_classes, **options):
    """Train M2 in the same loop, with a pass of encoder and decoder for each class.

    Parameters and result are those of `fit_broadcast`.
    """
    return _fit(_Loop, X, y, n_classes, **options)
