"""M1, the unsupervised variational autoencoder.

[VAE] Kingma & Welling 2014, "Auto-Encoding Variational Bayes", arXiv 1312.6114; model
M1 of Kingma, Rezende, Mohamed & Welling 2014, arXiv 1406.5298, section 2.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

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
from sk_ssvae.models.networks import MLP
from sk_ssvae.models.spec import ModelSpec
from sk_ssvae.utils.random import Stream, stream_generator

__all__ = ["M1", "M1Module"]


class M1Module(VAEModule):
    r"""The variational autoencoder, M1, with the interface of a model of one class.

    .. math::
        p(z) = N(z; 0, I), \qquad p_\theta(x | z) = \prod_j f(x_j; h_j(z)), \qquad
        q_\phi(z | x) = N(z; \mu_\phi(x), \mathrm{diag}\, \sigma_\phi^2(x)).

    Parameters
    ----------
    n_features, latent_size, hidden_sizes, likelihood, seed, networks
        As for `sk_ssvae.models.M2Module`.
    class_prior : sequence of float
        ``(1.0,)``: there is one class.
    classifier_hidden_sizes : sequence of int, default=None
        Not used: there is no classifier.
    """

    unsupervised = True

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
        self.n_noise = latent_size
        n_inputs = self._set_layout(likelihood, n_features)
        # A learned scale could shrink to fit one column closely during warm-up.
        self.warms_up = not self.likelihood.learns_scale
        self.encoder = MLP(
            n_inputs,
            2 * latent_size,
            hidden_sizes,
            generator=g,
            first=networks.encoder(n_inputs, hidden_sizes, 2 * latent_size, seed),
        )
        n_outputs = self.likelihood.n_outputs
        self.decoder = networks.decoder(latent_size, 0, n_outputs, seed) or MLP(
            latent_size, n_outputs, hidden_sizes[::-1], generator=g
        )

    def density(self) -> Density:
        """Return a function from decoder outputs to p(x | z)."""
        return self.likelihood.density()

    def posterior_z(self, x: Tensor) -> DiagonalNormal:
        """Return q(z | x) for x of shape (..., n_features)."""
        return DiagonalNormal.from_outputs(
            self._run_network(self.encoder, self.inputs(x))
        )

    def likelihood_x(
        self, z: Tensor, density: Density | None = None
    ) -> RowDistribution:
        """Return p(x | z) for z of shape (..., latent_size)."""
        density = density or self.density()
        return density(self._run_network(self.decoder, z))

    def row_terms(self, sampled: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        r"""Return the terms of a bound of log p(x), from one draw of z. [VAE] eq. 7.

        .. math:: E_{q(z|x)}[\log p(x|z)] - KL(q(z|x) \| p(z)) \le \log p(x)

        Parameters
        ----------
        sampled : Tensor of shape (..., n_features)
            Rows.
        noise : Tensor of shape (..., latent_size)
            Standard normal draws.

        Returns
        -------
        log_likelihood, kl : Tensor of shape (...)
            In nats.
        """
        q_z = self.posterior_z(sampled)
        p_x = self.likelihood_x(q_z.rsample(noise))
        return p_x.log_prob(sampled), gaussian_kl(q_z)

    def log_q_y(self, sampled: Tensor) -> Tensor:
        """Return zeros: there is one class."""
        return sampled.new_zeros(*sampled.shape[:-1], 1)

    def labelled_bound(
        self,
        sampled: Tensor,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Density | None = None,
    ) -> Tensor:
        """Return `row_bound` plus log p(y), which is 0 for the one class."""
        return self.row_bound(sampled, noise) + log_prior

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros: there is one class."""
        return self.log_q_y(x)

    def latent_means(self, x: Tensor) -> Tensor:
        """Return the means of q(z | x)."""
        return self.posterior_z(x).mean

    def decoded_means(self, z: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the mean of x given z; `weights` is not used."""
        return self.likelihood_x(z).mean

    def draw_rows(
        self, z: Tensor, codes: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Draw from p(x | z)."""
        return self.likelihood_x(z).sample(generator)

    def likelihood_in_double(self, z: Tensor) -> RowDistribution:
        """Return p(x | z) in double precision."""
        return self.density()(to_double(self._run_network(self.decoder, z)))

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Return log p(x | z) p(z) / q(z | x) at draws of z from q, and p(x | z)."""
        x = x[:, None, None]
        q_z = self.posterior_z(x)
        p_x = self.likelihood_in_double(q_z.rsample(noise))
        return p_x.log_prob(x, has_gaps(x)) + log_prior_ratio(q_z, noise), p_x

    def prior_rows(self, noise: Tensor) -> RowDistribution:
        """Return p(x | z) at draws of z from N(0, I), for the one class."""
        return self.likelihood_in_double(noise[None])


class M1(ModelSpec):
    """M1, the unsupervised variational autoencoder.

    It is the model of `sk_ssvae.VariationalAutoencoder` and not registered, since a
    classifier cannot use it. It has no parameters of its own. The networks are those of
    `M1Module`.
    """

    module_class = M1Module
    has_classes = False
