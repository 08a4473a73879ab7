"""M2, the semi-supervised VAE.

Kingma, Rezende, Mohamed & Welling, "Semi-supervised Learning with Deep Generative
Models", NIPS 2014, arXiv 1406.5298, which calls it M2. [M2] refers to this paper.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Categorical

from sk_ssvae.data.layout import Layout
from sk_ssvae.models.base import VAEModule
from sk_ssvae.models.bounds import gaussian_kl, log_prior_ratio, to_double
from sk_ssvae.models.likelihoods import (
    Density,
    DiagonalNormal,
    RowDistribution,
    has_gaps,
)
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.networks import MLP, PairMLP
from sk_ssvae.models.spec import ModelSpec
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["M2", "M2Module"]


class M2Module(VAEModule):
    r"""The semi-supervised VAE, M2.

    The generative process, with class prior :math:`\pi`:

    .. math::
        p(y) = \mathrm{Cat}(y; \pi), \qquad
        p(z) = N(z; 0, I), \qquad
        p_\theta(x | y, z) = \prod_j f(x_j; h_j(y, z)).

    The inference networks:

    .. math::
        q_\phi(y | x) = \mathrm{Cat}(y; \pi_\phi(x)), \qquad
        q_\phi(z | x, y) = N(z; \mu_\phi(x, y), \mathrm{diag}\, \sigma_\phi^2(x, y)).

    Arguments of the methods broadcast over their leading axes: rows ``x[:, None]`` of
    shape (n_rows, 1, n_features) and the one-hot ``model.classes`` of shape (n_classes,
    n_classes) give results for all pairs of row and class. The first layer's product
    with a row is computed once per row.

    Parameters
    ----------
    n_features : int
        Number of columns of x.
    class_prior : sequence of float of length n_classes
        p(y); positive, with sum 1.
    latent_size : int
        Number of latent dimensions of z.
    hidden_sizes : sequence of int
        Sizes of the encoder's hidden layers; the decoder has them in reverse order.
    likelihood : str or Layout
        The factors f of p(x | y, z): the likelihood of all columns, a name in
        `sk_ssvae.models.likelihoods.LIKELIHOODS`, or a layout of column groups.
    seed : int
        Seed of the initial weights.
    classifier_hidden_sizes : sequence of int, default=None
        Sizes of the classifier's hidden layers; None for `hidden_sizes`.
    networks : NetworkFactories
        User-supplied networks.
    """

    def __init__(
        self,
        n_features: int,
        class_prior: Sequence[float],
        latent_size: int,
        hidden_sizes: Sequence[int],
        likelihood: str | Layout,
        seed: int,
        classifier_hidden_sizes: Sequence[int] | None = None,
        networks: NetworkFactories = BUILT_IN_NETWORKS,
    ) -> None:
        super().__init__(class_prior, latent_size)
        g = stream_generator(seed, Stream.WEIGHTS)
        n_classes = len(class_prior)
        self.n_noise = latent_size
        n_inputs = self._set_layout(likelihood, n_features)
        sizes = hidden_sizes
        if classifier_hidden_sizes is not None:
            sizes = classifier_hidden_sizes
        self.classifier = networks.classifier(n_inputs, n_classes, seed) or MLP(
            n_inputs,
            n_classes,
            sizes,
            generator=g,
        )
        self.encoder = PairMLP(
            n_inputs,
            n_classes,
            2 * latent_size,
            hidden_sizes,
            generator=g,
            from_a=networks.encoder(n_inputs, hidden_sizes, 2 * latent_size, seed),
        )
        n_outputs = self.likelihood.n_outputs
        self.decoder = networks.decoder(
            latent_size, n_classes, n_outputs, seed
        ) or PairMLP(latent_size, n_classes, n_outputs, hidden_sizes[::-1], generator=g)

    def density(self) -> Density:
        """Return a function from decoder outputs to p(x | y, z)."""
        return self.likelihood.density()

    def log_q_y(self, sampled: Tensor) -> Tensor:
        """Return log q(y | x), normalised, of shape (..., n_classes)."""
        return self._run_network(self.classifier, self.inputs(sampled)).log_softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Return log q(y | x), normalised, of shape (..., n_classes)."""
        return self.log_q_y(x)

    def posterior_y(self, x: Tensor) -> Categorical:
        """Return q(y | x) for rows of shape (..., n_features)."""
        return Categorical(logits=self(x), validate_args=False)

    def posterior_z(self, x: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """Return q(z | x, y) for x (..., n_features) and one-hot y (..., n_classes).

        y may also be codes of shape (...). None stands for all classes.
        """
        return DiagonalNormal.from_outputs(
            self._run_network(self.encoder, self.inputs(x), y)
        )

    def likelihood_x(
        self, z: Tensor, y: Tensor | None = None, density: Density | None = None
    ) -> RowDistribution:
        """Return p(x | y, z) for z (..., latent_size) and y as in `posterior_z`.

        `density` is the result of ``density()``, to share it between calls.
        """
        density = density or self.density()
        return density(self._run_network(self.decoder, z, y))

    def labelled_bound(
        self,
        sampled: Tensor,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Density | None = None,
    ) -> Tensor:
        r"""Return the bound of log p(x, y), one draw of z per pair. [M2] eq. 6.

        .. math::
            L(x, y) = E_{q(z|x,y)}[\log p(x|y,z)] + \log p(y)
                      - KL(q(z|x,y) \| p(z)) \le \log p(x, y)

        Parameters and return value are those of `VAEModule.labelled_bound`.
        """
        q_z = self.posterior_z(sampled, y)
        z = q_z.rsample(noise)
        p_x = self.likelihood_x(z, y, density)
        return p_x.log_prob(sampled) + log_prior - gaussian_kl(q_z)

    def latent_means(self, x: Tensor) -> Tensor:
        """Return sum_y q(y | x) mu(x, y), of shape (n_rows, latent_size)."""
        outputs: Tensor = self.encoder.expected_output(self.inputs(x), self(x).exp_())
        return outputs.chunk(2, -1)[0]

    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of x given z, averaged over classes."""
        means = self.likelihood_x(z[:, None], self.classes).mean
        return (weights[:, :, None] * means).sum(1)

    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw from p(x | y, z)."""
        return self.likelihood_x(z, codes).sample(generator)

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Return log p(x | y, z) p(z) / q(z | x, y) at draws of z, and p(x | y, z)."""
        return self.broadcast_importance(x[:, None, None], noise)

    def broadcast_importance(
        self, x: Tensor, noise: Tensor
    ) -> tuple[Tensor, RowDistribution]:
        """Return the same for rows of shape (n_rows, 1, 1 or n_draws, n_features)."""
        classes = self.classes[:, None]
        q_z = self.posterior_z(x, classes)
        outputs = to_double(
            self._run_network(self.decoder, q_z.rsample(noise), classes)
        )
        p_x = self.density()(outputs)
        return p_x.log_prob(x, has_gaps(x)) + log_prior_ratio(q_z, noise), p_x

    def prior_rows(self, noise: Tensor) -> RowDistribution:
        """Return p(x | y, z) at draws of z from N(0, I)."""
        outputs = self._run_network(self.decoder, noise, self.classes[:, None])
        return self.density()(to_double(outputs))


class M2(ModelSpec, name="m2"):
    """M2, the semi-supervised VAE of Kingma et al. 2014, arXiv 1406.5298.

    It has no parameters of its own. The networks are those of `M2Module`.
    """

    module_class = M2Module
    takes_large_steps = True
