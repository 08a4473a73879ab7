"""Auxiliary and skip deep generative models, ADGM and SDGM.

Maaloe, Sonderby, Sonderby & Winther, "Auxiliary Deep Generative Models", ICML 2016,
arXiv 1602.05473.
"""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor

from sk_ssvae.data.layout import Layout
from sk_ssvae.models.base import N_DRAWS, Draw, VAEModule, fixed_draws, normal
from sk_ssvae.models.bounds import gaussian_kl, log_prior_ratio, precise
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

__all__ = ["ADGM", "SDGM", "ADGMModule", "SDGMModule"]


class SDGMModule(VAEModule):
    r"""The skip deep generative model: M2 with an auxiliary variable a.

    .. math::
        p(x, a, y, z) = p(x | a, y, z)\, p(a | y, z)\, p(y)\, p(z), \qquad
        q(a, y, z | x) = q(a | x)\, q(y | x, a)\, q(z | x, a, y)

    with normal distributions of a and z. Its q(y, z | x), with a integrated out, has
    more shapes than M2's. The bounds, for known and hidden classes, are those of M2
    with a drawn first:

    .. math::
        L(x, y) = E_{q(a|x)\, q(z|x,a,y)}\Big[\log
            \frac{p(x, a, y, z)}{q(a|x)\, q(z|x,a,y)}\Big] \le \log p(x, y)

        U(x) = E_{q(a|x)} \sum_y q(y|x,a) [L(x, a, y) - \log q(y|x,a)] \le \log p(x)

    where L(x, a, y) is L(x, y) at one a. Answers are means over q(a | x), or
    p(a | y, z), by the same few draws for all rows.

    Parameters
    ----------
    n_features, class_prior, latent_size, likelihood, seed
        As for `sk_ssvae.models.m2.M2Module`.
    hidden_sizes : sequence of int
        Hidden layers of q(a | x) and q(z | x, a, y); those of p have them in reverse.
    classifier_hidden_sizes : sequence of int, default=None
        Hidden layers of q(y | x, a).
    inner_size : int
        Number of dimensions of a.
    networks : Networks
        Networks of the user's own: q(y | x, a) takes x and a side by side; the encoder
        gives the share of x of the first layers of q(a | x) and of q(z | x, a, y); the
        decoder takes a, z and y side by side.
    """

    draws: Tensor

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
        super().__init__(class_prior, latent_size)
        g = stream_generator(seed, Stream.WEIGHTS)
        n_inputs = self._take(likelihood, n_features)
        n_classes, n_both = len(class_prior), n_inputs + inner_size
        self.inner_size = inner_size
        self.n_noise = inner_size + latent_size
        sizes = hidden_sizes
        if classifier_hidden_sizes is not None:
            sizes = classifier_hidden_sizes
        own = networks.classifier(n_both, n_classes, seed)
        self.own_classifier = own is not None
        self.classifier = own or PairMLP(
            n_inputs, inner_size, n_classes, sizes, generator=g
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
                    n_inputs, hidden_sizes, 2 * latent_size, seed, nth=1
                ),
            ),
        )
        self._make_generative(n_classes, hidden_sizes[::-1], g, networks, seed)
        self.register_buffer("draws", fixed_draws(inner_size, seed))

    def _make_generative(
        self,
        n_classes: int,
        sizes: Sequence[int],
        g: torch.Generator,
        networks: NetworkFactories,
        seed: int,
    ) -> None:
        """Make the networks of p(a | y, z) and p(x | a, y, z)."""
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
        """Work out what p(x | a, y, z) has in common for all rows."""
        return self.likelihood.density()

    def posterior_a(self, x: Tensor) -> DiagonalNormal:
        """q(a | x) for rows of shape (..., n_features)."""
        return normal(self._run(self.auxiliary, self.inputs(x)))

    def posterior_z(
        self, x: Tensor, a: Tensor, y: Tensor | None = None
    ) -> DiagonalNormal:
        """q(z | x, a, y); x, a and y broadcast, and None is every class."""
        return normal(self._run(self.encoder, (self.inputs(x), a), y))

    def prior_a(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """p(a | y, z)."""
        return normal(self._run(self.auxiliary_decoder, z, y))

    def outputs_x(self, a: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return outputs of the decoder for p(x | a, y, z)."""
        return self._run(self.decoder, (a, z), y)

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> Draw:
        """Rows with a draw of a from q(a | x)."""
        q_a = self.posterior_a(x)
        return Draw(x, q_a, q_a.rsample(noise[..., : self.inner_size]))

    def _log_q_y(self, x: Tensor, a: Tensor) -> Tensor:
        """Log q(y | x, a); x and a broadcast."""
        x = self.inputs(x)
        if self.own_classifier:
            shape = torch.broadcast_tensors(  # type: ignore[no-untyped-call]
                x[..., 0], a[..., 0]
            )[0].shape
            wide = [t.expand(*shape, t.shape[-1]) for t in (x, a)]
            scores = self._run(self.classifier, torch.cat(wide, -1))
        else:
            scores = self._run(self.classifier, x, a)
        return scores.log_softmax(-1)

    def log_q_y(self, sampled: Draw) -> Tensor:
        """Log q(y | x, a) at the draws of a."""
        return self._log_q_y(sampled.x, sampled.inner)

    def labelled_bound(
        self,
        sampled: Draw,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Density | None = None,
    ) -> Tensor:
        r"""Bound of log p(x, y), one draw of a a row and of z for each class of it.

        .. math::
            E_{q(a|x)\, q(z|x,a,y)}\Big[\log p(x|a,y,z) + \log\frac{p(a|y,z)}{q(a|x)}
            \Big] + \log p(y) - E_{q(a|x)} KL(q(z|x,a,y) \| p(z)) \le \log p(x, y)
        """
        density = density or self.density()
        a = sampled.inner
        q_z = self.posterior_z(sampled.x, a, y)
        z = q_z.rsample(noise[..., self.inner_size :])
        log_p_x = density(self.outputs_x(a, z, y)).log_prob(sampled.x)
        log_p_a = self.prior_a(sampled.x, z, y).log_prob(a)
        bound = log_p_x + log_p_a + log_prior - gaussian_kl(q_z)
        return bound - sampled.q.log_prob(a)

    def forward(self, x: Tensor) -> Tensor:
        """Log of the mean of q(y | x, a) over q(a | x)."""
        log_q = self._log_q_y(
            x[:, None], self.posterior_a(x)[:, None].rsample(self.draws)
        )
        return (log_q.logsumexp(1) - math.log(N_DRAWS)).log_softmax(-1)

    def latent_means(self, x: Tensor) -> Tensor:
        """Mean of sum_y q(y | x, a) mu(x, a, y) over q(a | x)."""
        q_a = self.posterior_a(x)
        total = x.new_zeros(())
        for draw in self.draws:
            a = q_a.rsample(draw)
            outputs = self.encoder.averaged(
                (self.inputs(x), a), self._log_q_y(x, a).exp()
            )
            total = total + outputs.chunk(2, -1)[0]
        return total / N_DRAWS

    def _p_x(self, z: Tensor, y: Tensor | None, noise_a: Any) -> RowDistribution:
        """p(x | a, y, z) at the draw of a from p(a | y, z) that the noise gives."""
        p_a = self.prior_a(z, z, y)
        a = p_a.rsample(noise_a(p_a.mean))
        return self.density()(self.outputs_x(a, z, y))

    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Mean of x given z over p(a | y, z), classes having weights."""
        means = z.new_zeros(())
        for draw in self.draws:
            means = means + self._p_x(z[:, None], None, lambda mean, d=draw: d).mean
        return (weights[:, :, None] * means).sum(1) / N_DRAWS

    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a from p(a | y, z), then x from p(x | a, y, z)."""

        def noise(mean: Tensor) -> Tensor:
            return torch.randn(
                mean.shape, generator=generator, device=mean.device, dtype=mean.dtype
            )

        return self._p_x(z, codes, noise).sample(generator)

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Log of p(x, a, z | y) / [q(a | x) q(z | x, a, y)] at draws from q."""
        noise_a, noise_z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        x, classes = x[:, None, None], self.classes[:, None]
        q_a = self.posterior_a(x)
        a = q_a.rsample(noise_a)
        q_z = self.posterior_z(x, a, classes)
        z = q_z.rsample(noise_z)
        p_x = self.density()(precise(self.outputs_x(a, z, classes)))
        log_p_x = p_x.log_prob(x, has_gaps(x))
        p_a = self.prior_a(x, z, classes)
        log_a = _precisely(p_a).log_prob(a) - _precisely(q_a).log_prob(a)
        return log_p_x + log_a + log_prior_ratio(q_z, noise_z), p_x


def _precisely(q: DiagonalNormal) -> DiagonalNormal:
    return DiagonalNormal(precise(q.mean), precise(q.log_scale))


class ADGMModule(SDGMModule):
    r"""The auxiliary deep generative model: a is inferred, and generates nothing.

    .. math::
        p(x, a, y, z) = p(a | x, y, z)\, p(x | y, z)\, p(y)\, p(z), \qquad
        q(a, y, z | x) = q(a | x)\, q(y | x, a)\, q(z | x, a, y)

    The marginal p(x, y, z) is M2's; only the inference gains. Parameters as for `SDGMModule`;
    a decoder of the user's own takes z and y side by side.
    """

    def _make_generative(
        self,
        n_classes: int,
        sizes: Sequence[int],
        g: torch.Generator,
        networks: NetworkFactories,
        seed: int,
    ) -> None:
        """Make the networks of p(a | x, y, z) and p(x | y, z)."""
        n_outputs, n_z = self.likelihood.n_outputs, self.latent_size
        n_inputs = self.inputs.n_outputs
        n_points = n_inputs + n_z
        self.auxiliary_decoder = PairMLP(
            n_points,
            n_classes,
            2 * self.inner_size,
            sizes,
            generator=g,
            from_a=MultiInputLinear(
                (n_inputs, n_z),
                [*sizes, 2 * self.inner_size][0],
                generator=g,
                fan_in=n_points + n_classes,
            ),
        )
        self.decoder = networks.decoder(n_z, n_classes, n_outputs, seed) or PairMLP(
            n_z, n_classes, n_outputs, sizes, generator=g
        )

    def prior_a(self, x: Tensor, z: Tensor, y: Tensor | None = None) -> DiagonalNormal:
        """p(a | x, y, z)."""
        return normal(self._run(self.auxiliary_decoder, (self.inputs(x), z), y))

    def outputs_x(self, a: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return outputs of the decoder for p(x | y, z)."""
        return self._run(self.decoder, z, y)

    def _p_x(self, z: Tensor, y: Tensor | None, noise_a: Any) -> RowDistribution:
        """p(x | y, z), which no draw of a enters."""
        return self.density()(self.outputs_x(z, z, y))


class SDGM(ModelSpec, name="sdgm"):
    """The skip deep generative model of Maaloe et al. 2016, arXiv 1602.05473.

    Its networks are those of `SDGMModule`.

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


class ADGM(SDGM, name="adgm"):
    """The auxiliary deep generative model of Maaloe et al. 2016, arXiv 1602.05473.

    Its networks are those of `ADGMModule`.

    Parameters
    ----------
    inner_size : int, default=50
        Number of dimensions of the auxiliary variable a.
    """

    module_class = ADGMModule
