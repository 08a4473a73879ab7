"""The generative model and its inference networks, returning distributions.

Kingma, Rezende, Mohamed & Welling, "Semi-supervised Learning with Deep Generative
Models", NIPS 2014, arXiv 1406.5298; the model that the paper calls M2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from sk_ssvae.likelihoods import LIKELIHOODS, Density, DiagonalNormal, RowDistribution
from sk_ssvae.networks import MLP, PairMLP
from sk_ssvae.randomness import Stream, stream_generator

__all__ = ["M2", "MODELS"]


class M2(nn.Module):
    r"""The semi-supervised VAE, M2.

    Generative process, :math:`\pi` being the class prior:

    .. math::
        p(y) = \mathrm{Cat}(y; \pi), \qquad
        p(z) = N(z; 0, I), \qquad
        p_\theta(x | y, z) = \prod_j f(x_j; h_j(y, z)).

    Inference networks:

    .. math::
        q_\phi(y | x) = \mathrm{Cat}(y; \pi_\phi(x)), \qquad
        q_\phi(z | x, y) = N(z; \mu_\phi(x, y), \mathrm{diag}\, \sigma_\phi^2(x, y)).

    Arguments broadcast over their leading axes: rows ``x[:, None]`` of shape
    (n_rows, 1, n_features) against the unit vectors ``model.classes`` of shape
    (n_classes, n_classes) give everything for all pairs of row and class at once,
    with the row's share of the first layer computed once per row.

    Parameters
    ----------
    n_features : int
        Number of columns of x.
    class_prior : sequence of float of length n_classes
        p(y); positive, with sum 1.
    latent_size : int
        Number of latent dimensions of z.
    hidden_sizes : sequence of int
        Hidden layers of the encoder; the decoder has them in reverse.
    likelihood : {"bernoulli", "gaussian"}
        The factor f of p(x | y, z).
    seed : int
        Seed of the initial weights.
    classifier_hidden_sizes : sequence of int, default=None
        Hidden layers of the classifier; None for those of the encoder.
    """

    # Bounds the logarithm of sigma(x, y) smoothly: scales between 0.0067 and 148.
    MAX_LOG_SCALE = 5.0

    # Whether the networks run under autocast to bfloat16, as they may in training.
    mixed = False

    classes: Tensor
    log_prior: Tensor

    def __init__(
        self,
        n_features: int,
        class_prior: Sequence[float],
        latent_size: int,
        hidden_sizes: Sequence[int],
        likelihood: str,
        seed: int,
        classifier_hidden_sizes: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        g = stream_generator(seed, Stream.WEIGHTS)
        n_classes = len(class_prior)
        self.latent_size = latent_size
        self.likelihood = LIKELIHOODS[likelihood](n_features)
        sizes = hidden_sizes
        if classifier_hidden_sizes is not None:
            sizes = classifier_hidden_sizes
        self.classifier = MLP(n_features, n_classes, sizes, generator=g)
        self.encoder = PairMLP(
            n_features, n_classes, 2 * latent_size, hidden_sizes, generator=g
        )
        self.decoder = PairMLP(
            latent_size,
            n_classes,
            self.likelihood.n_outputs,
            hidden_sizes[::-1],
            generator=g,
        )
        prior = torch.tensor(class_prior, dtype=torch.float64)
        self.register_buffer("log_prior", prior.log().float())
        self.register_buffer("classes", torch.eye(n_classes, dtype=torch.float32))

    def _run(self, network: nn.Module, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Apply a network; what comes of it is in full precision again."""
        out: Tensor
        inputs = (x,) if y is None else (x, y)
        if self.mixed:
            # No cache of weights in bfloat16: it would outlive a step where the call
            # is inside another autocast.
            with torch.autocast(
                x.device.type, dtype=torch.bfloat16, cache_enabled=False
            ):
                out = network(*inputs).float()
        else:
            out = network(*inputs)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Log q(y | x), normalised, of shape (..., n_classes)."""
        return self._run(self.classifier, x).log_softmax(-1)

    def posterior_y(self, x: Tensor) -> Categorical:
        """q(y | x) for rows of shape (..., n_features)."""
        return Categorical(logits=self(x), validate_args=False)

    def posterior_z(self, x: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """q(z | x, y) for x (..., n_features) and one-hot y (..., n_classes).

        Or y as codes of shape (...). None is every class, as `classes` would be.
        """
        mean, raw = self._run(self.encoder, x, y).chunk(2, -1)
        bound = self.MAX_LOG_SCALE
        return DiagonalNormal(mean, bound * torch.tanh(raw / bound))

    def likelihood_x(
        self, z: Tensor, y: Tensor | None = None, density: Density | None = None
    ) -> RowDistribution:
        """p(x | y, z) for z (..., latent_size) and y as in `posterior_z`.

        `density` may hold what ``likelihood.density()`` gave, for several calls.
        """
        density = density or self.likelihood.density()
        return density(self._run(self.decoder, z, y))


MODELS: dict[str, type[M2]] = {"m2": M2}
"""The models by the name that ``SSVAEClassifier(model=...)`` takes."""
