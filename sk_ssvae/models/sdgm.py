"""The skip deep generative model, SDGM.

Maaloe, Sonderby, Sonderby & Winther, "Auxiliary Deep Generative Models", ICML 2016,
arXiv 1602.05473.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import torch
from torch import Tensor

from sk_ssvae.data.layout import Layout
from sk_ssvae.models.auxiliary import AuxiliarySample, InnerVAEModule
from sk_ssvae.models.bounds import gaussian_kl, log_prior_ratio, to_double
from sk_ssvae.models.likelihoods import (
    Density,
    DiagonalNormal,
    RowDistribution,
    has_gaps,
)
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.networks import MLP, MultiInputLinear, PairMLP
from sk_ssvae.models.spec import ModelSpec
from sk_ssvae.utils.random import Stream, stream_generator
from sk_ssvae.utils.sklearn_private import Interval

__all__ = ["SDGM", "NoiseSource", "SDGMModule"]

NoiseSource = Callable[[Tensor], Tensor]
"""Returns standard normal draws that broadcast against a given tensor of means."""


class SDGMModule(InnerVAEModule):
    r"""The skip deep generative model: M2 with an auxiliary variable a.

    .. math::
        p(x, a, y, z) = p(x | a, y, z)\, p(a | y, z)\, p(y)\, p(z), \qquad
        q(a, y, z | x) = q(a | x)\, q(y | x, a)\, q(z | x, a, y)

    where the distributions of a and z are normal. With a integrated out, q(y, z | x) is
    more flexible than that of M2. The bounds for labelled and unlabelled rows are those
    of M2, given a draw of a:

    .. math::
        L(x, y) = E_{q(a|x)\, q(z|x,a,y)}\Big[\log
            \frac{p(x, a, y, z)}{q(a|x)\, q(z|x,a,y)}\Big] \le \log p(x, y)

        U(x) = E_{q(a|x)} \sum_y q(y|x,a) [L(x, a, y) - \log q(y|x,a)] \le \log p(x)

    where L(x, a, y) is the integrand of L(x, y) at one a. Predictions are averages over
    q(a | x), or p(a | y, z), for which all rows share the same draws.

    Parameters
    ----------
    n_features, class_prior, latent_size, likelihood, seed
        As for `sk_ssvae.models.M2Module`.
    hidden_sizes : sequence of int
        Sizes of the hidden layers of q(a | x) and q(z | x, a, y); the networks of p
        have them in reverse order.
    classifier_hidden_sizes : sequence of int, default=None
        Sizes of the hidden layers of q(y | x, a); None for `hidden_sizes`.
    inner_size : int, default=50
        Number of dimensions of a.
    networks : NetworkFactories
        User-supplied networks. The classifier takes the concatenation of x and a; the
        encoder maps x to the first layer of q(a | x) and, a second one, of
        q(z | x, a, y); the decoder takes the concatenation of a, z and y.
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
        inner_size: int = 50,
        networks: NetworkFactories = BUILT_IN_NETWORKS,
    ) -> None:
        super().__init__(class_prior, latent_size, inner_size, seed)
        g = stream_generator(seed, Stream.WEIGHTS)
        n_inputs = self._set_layout(likelihood, n_features)
        n_classes, n_both = len(class_prior), n_inputs + inner_size
        sizes = hidden_sizes
        if classifier_hidden_sizes is not None:
            sizes = classifier_hidden_sizes
        user_classifier = networks.classifier(n_both, n_classes, seed)
        self.has_user_classifier = user_classifier is not None
        self.classifier = user_classifier or PairMLP(
            n_inputs,
            inner_size,
            n_classes,
            sizes,
            generator=g,
        )
        self.auxiliary = MLP(
            n_inputs,
            2 * inner_size,
            hidden_sizes,
            generator=g,
            first=networks.encoder(n_inputs, hidden_sizes, 2 * inner_size, seed),
        )
        self.encoder = PairMLP(
            n_both,
            n_classes,
            2 * latent_size,
            hidden_sizes,
            generator=g,
            from_a=MultiInputLinear(
                (n_inputs, inner_size),
                [*hidden_sizes, 2 * latent_size][0],
                generator=g,
                fan_in=n_both + n_classes,
                first=networks.encoder(
                    n_inputs, hidden_sizes, 2 * latent_size, seed, index=1
                ),
            ),
        )
        self._make_decoders(n_classes, hidden_sizes[::-1], g, networks, seed)

    def _make_decoders(
        self,
        n_classes: int,
        sizes: Sequence[int],
        g: torch.Generator,
        networks: NetworkFactories,
        seed: int,
    ) -> None:
        """Construct the networks of p(a | y, z) and p(x | a, y, z)."""
        n_outputs, n_a = self.likelihood.n_outputs, self.inner_size
        self.auxiliary_decoder = PairMLP(
            self.latent_size, n_classes, 2 * n_a, sizes, generator=g
        )
        n_points = n_a + self.latent_size
        self.decoder = networks.decoder(
            n_points, n_classes, n_outputs, seed
        ) or PairMLP(
            n_points,
            n_classes,
            n_outputs,
            sizes,
            generator=g,
            from_a=MultiInputLinear(
                (n_a, self.latent_size),
                [*sizes, n_outputs][0],
                generator=g,
                fan_in=n_points + n_classes,
            ),
        )

    def density(self) -> Density:
        """Return a function from decoder outputs to p(x | a, y, z)."""
        return self.likelihood.density()

    def posterior_a(self, x: Tensor) -> DiagonalNormal:
        """Return q(a | x) for rows of shape (..., n_features)."""
        return DiagonalNormal.from_outputs(
            self._run_network(self.auxiliary, self.inputs(x))
        )

    def posterior_z(
        self, x: Tensor, a: Tensor, y: Tensor | None = None
    ) -> DiagonalNormal:
        """Return q(z | x, a, y); x, a and y broadcast, and None is all classes."""
        return DiagonalNormal.from_outputs(
            self._run_network(self.encoder, (self.inputs(x), a), y)
        )

    def prior_a(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """Return p(a | y, z); x is used by subclasses."""
        return DiagonalNormal.from_outputs(
            self._run_network(self.auxiliary_decoder, z, y)
        )

    def outputs_x(self, a: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the decoder outputs for p(x | a, y, z)."""
        return self._run_network(self.decoder, (a, z), y)

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> AuxiliarySample:
        """Return rows with a draw of a from q(a | x)."""
        q_a = self.posterior_a(x)
        return AuxiliarySample(x, q_a, q_a.rsample(noise[..., : self.inner_size]))

    def _log_q_y(self, x: Tensor, a: Tensor) -> Tensor:
        """Return log q(y | x, a); x and a broadcast."""
        x = self.inputs(x)
        if self.has_user_classifier:
            # torch does not annotate the function.
            shape = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
                x[..., 0], a[..., 0]
            )[0].shape
            expanded = [t.expand(*shape, t.shape[-1]) for t in (x, a)]
            scores = self._run_network(self.classifier, torch.cat(expanded, -1))
        else:
            scores = self._run_network(self.classifier, x, a)
        return scores.log_softmax(-1)

    def log_q_y(self, sampled: AuxiliarySample) -> Tensor:
        """Return log q(y | x, a) at the draws of a."""
        return self._log_q_y(sampled.x, sampled.draw)

    def labelled_bound(
        self,
        sampled: AuxiliarySample,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Density | None = None,
    ) -> Tensor:
        r"""Return the bound of log p(x, y), one draw of a per row and of z per pair.

        .. math::
            E_{q(a|x)\, q(z|x,a,y)}\Big[\log p(x|a,y,z) + \log\frac{p(a|y,z)}{q(a|x)}
            \Big] + \log p(y) - E_{q(a|x)} KL(q(z|x,a,y) \| p(z)) \le \log p(x, y)
        """
        density = density or self.density()
        a = sampled.draw
        q_z = self.posterior_z(sampled.x, a, y)
        z = q_z.rsample(noise[..., self.inner_size :])
        log_p_x = density(self.outputs_x(a, z, y)).log_prob(sampled.x)
        log_p_a = self.prior_a(sampled.x, z, y).log_prob(a)
        bound = log_p_x + log_p_a + log_prior - gaussian_kl(q_z)
        return bound - sampled.posterior.log_prob(a)

    def mean_log_q_y(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the log of the mean of q(y | x, a) over q(a | x)."""
        log_q = self._log_q_y(x[:, None], self.posterior_a(x)[:, None].rsample(draws))
        return (log_q.logsumexp(1) - math.log(draws.shape[-2])).log_softmax(-1)

    def mean_latent_means(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the mean of sum_y q(y | x, a) mu(x, a, y) over q(a | x)."""
        a = self.posterior_a(x)[:, None].rsample(draws)
        q_y = self._log_q_y(x[:, None], a).exp()
        outputs = self.encoder.expected_output((self.inputs(x)[:, None], a), q_y)
        return outputs.chunk(2, -1)[0].mean(1)

    def _likelihood_x(
        self, z: Tensor, y: Tensor | None, noise_a: NoiseSource
    ) -> RowDistribution:
        """Return p(x | a, y, z) at a draw of a from p(a | y, z)."""
        p_a = self.prior_a(z, z, y)  # which does not use its first argument
        a = p_a.rsample(noise_a(p_a.mean))
        return self.density()(self.outputs_x(a, z, y))

    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of x given z over p(a | y, z) and classes."""
        p_x = self._likelihood_x(
            z[:, None, None], self.classes[:, None], lambda mean: self.draws
        )
        return (weights[:, :, None] * p_x.mean.mean(2)).sum(1)

    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a from p(a | y, z), then x from p(x | a, y, z)."""

        def noise(mean: Tensor) -> Tensor:
            return torch.randn(
                mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
            )

        return self._likelihood_x(z, codes, noise).sample(generator)

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Return log p(x, a, z | y) / [q(a | x) q(z | x, a, y)] at draws from q."""
        noise_a, noise_z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        x, classes = x[:, None, None], self.classes[:, None]
        q_a = self.posterior_a(x)
        a = q_a.rsample(noise_a)
        q_z = self.posterior_z(x, a, classes)
        z = q_z.rsample(noise_z)
        p_x = self.density()(to_double(self.outputs_x(a, z, classes)))
        log_p_x = p_x.log_prob(x, has_gaps(x))
        p_a = self.prior_a(x, z, classes)
        log_a = _in_double(p_a).log_prob(a) - _in_double(q_a).log_prob(a)
        return log_p_x + log_a + log_prior_ratio(q_z, noise_z), p_x

    def prior_rows(self, noise: Tensor) -> RowDistribution:
        """Return p(x | a, y, z) at draws of z from N(0, I) and a from p(a | y, z)."""
        noise_a, z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        classes = self.classes[:, None]
        outputs = self.outputs_x(self._sample_prior_a(z, classes, noise_a), z, classes)
        return self.density()(to_double(outputs))

    def _sample_prior_a(self, z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        """Draw a from p(a | y, z)."""
        return self.prior_a(z, z, y).rsample(noise)  # the first argument is not used


def _in_double(q: DiagonalNormal) -> DiagonalNormal:
    return DiagonalNormal(to_double(q.mean), to_double(q.log_scale))


class SDGM(ModelSpec, name="sdgm"):
    """The skip deep generative model of Maaloe et al. 2016, arXiv 1602.05473.

    The networks are those of `SDGMModule`.

    Parameters
    ----------
    inner_size : int, default=50
        Number of dimensions of the auxiliary variable a.
    """

    module_class = SDGMModule
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "inner_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, inner_size: int = 50) -> None:
        self.inner_size = inner_size

    def module_options(self) -> dict[str, Any]:
        """Return the number of dimensions of a."""
        return {"inner_size": int(self.inner_size)}
