"""M1+M2: M2 trained on samples of the latent variable of an unsupervised VAE.

Kingma, Rezende, Mohamed & Welling, "Semi-supervised Learning with Deep Generative
Models", NIPS 2014, arXiv 1406.5298, section 2.1 and the main result of table 1.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor

from sk_ssvae.data.layout import Layout
from sk_ssvae.models.auxiliary import AuxiliarySample, InnerVAEModule
from sk_ssvae.models.bounds import gaussian_kl, to_double
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.likelihoods import (
    DiagonalNormal,
    Likelihood,
    MaskedGaussian,
    RowDistribution,
    has_gaps,
)
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.spec import Epochs, ModelSpec
from sk_ssvae.models.user_networks import freeze_networks
from sk_ssvae.utils.random import Stream, stream_seed
from sk_ssvae.utils.sklearn_private import Interval, StrOptions

__all__ = ["M1M2", "M1M2Module"]

MIN_DEVIATION = 0.1
"""Dimensions of u whose posterior mean has a smaller standard deviation over the rows
are left out of M2."""

CHUNK_SIZE = 4096
"""Number of rows per pass when the posterior means of all rows are computed."""


class M1M2Module(InnerVAEModule):
    r"""M2 on samples of u, the latent variable of M1.

    .. math::
        p(x, u, y, z) = p(x | u)\, p(u | y, z)\, p(y)\, p(z), \qquad
        q(u, y, z | x) = q(u | x)\, q(y | u)\, q(z | u, y)

    In `fit`, M1 is first trained alone, with N(0, I) as the prior of u. It is then
    frozen, and M2 is trained on samples of u that are drawn anew at every step.
    Dimensions of u whose posterior mean hardly varies over the rows are left out of M2
    and keep the prior N(0, 1). A last, optional stage trains all networks together.
    With the bound L(u, y) of M2,

    .. math::
        E_{q(u|x)}[\log p(x|u) - \log q(u|x) + L(u, y)] \le \log p(x, y).

    Predictions are averages over q(u | x), or p(u | y, z), for which all rows share the
    same draws.

    Parameters
    ----------
    n_features, class_prior, latent_size, likelihood, seed
        As for `sk_ssvae.models.M2Module`.
    hidden_sizes : sequence of int
        Sizes of the hidden layers of both encoders; the decoders have them in reverse
        order.
    classifier_hidden_sizes : sequence of int, default=None
        Sizes of the hidden layers of q(y | u); None for `hidden_sizes`.
    inner_size : int, default=50
        Number of dimensions of u.
    networks : NetworkFactories
        User-supplied networks: q(y | u), and the encoder and decoder of M1.
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
        self.m1 = M1Module(
            n_features, (1.0,), inner_size, hidden_sizes, likelihood, seed,
            networks=networks._replace(classifier_module=None),
        )  # fmt: skip
        self.m2 = M2Module(
            inner_size, class_prior, latent_size, hidden_sizes, "gaussian",
            stream_seed(seed, Stream.INNER), classifier_hidden_sizes,
            # Its rows are the latent variables of M1.
            networks=networks._replace(
                encoder_module=None, decoder_module=None, columns=None
            ),
        )  # fmt: skip
        self.warms_up = self.m1.warms_up
        self.m2.likelihood = MaskedGaussian(inner_size)

    # Attributes of the base class, which are those of M1 here.
    @property
    def likelihood(self) -> Likelihood:  # type: ignore[override]
        """The likelihood of x, that of M1."""
        return self.m1.likelihood

    @property
    def inputs(self) -> InputEncoder:  # type: ignore[override]
        """The input encoder of M1."""
        return self.m1.inputs

    @property
    def kept(self) -> Tensor:
        """1 for the dimensions of u that M2 models, 0 for the others."""
        return self._likelihood_u.kept

    @property
    def _likelihood_u(self) -> MaskedGaussian:
        return cast(MaskedGaussian, self.m2.likelihood)

    @property
    def mixed(self) -> bool:
        """Whether the networks run under autocast to bfloat16."""
        return self.m1.mixed

    @mixed.setter
    def mixed(self, value: bool) -> None:
        self.m1.mixed = self.m2.mixed = value

    def start_stage(self, stage: str, rows: Any = None) -> None:
        """Enable training of the stage's networks; select u's dimensions for M2."""
        if stage == "m2" and self.unsupervised:  # M1 has just been trained
            self._choose_dimensions(rows)
        self.unsupervised = stage == "m1"
        self.m1.requires_grad_(stage != "m2")
        freeze_networks(self.m1, stage == "m2")

    @torch.no_grad()
    def _choose_dimensions(self, rows: Any) -> None:
        """Keep the dimensions whose posterior mean varies, or all if none does."""
        self.eval()
        means = torch.cat(
            [
                self.m1.posterior_z(rows.encoded(rows.indices(positions))).mean
                for positions in torch.split(
                    torch.arange(len(rows), device=rows.device), CHUNK_SIZE
                )
            ]
        )
        means, weight = means.double(), rows.bound_weight.double()[:, None]
        center = (weight * means).sum(0)
        deviation = (weight * (means - center).square()).sum(0).sqrt()
        kept = deviation >= MIN_DEVIATION
        self.kept.copy_(kept if kept.any() else torch.ones_like(kept))

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> AuxiliarySample:
        """Return rows with a draw of u from q(u | x)."""
        q_u = self.m1.posterior_z(x)
        return AuxiliarySample(x, q_u, q_u.rsample(noise[..., : self.inner_size]))

    def log_q_y(self, sampled: AuxiliarySample) -> Tensor:
        """Return log q(y | u) at the draws of u."""
        return self.m2.log_q_y(sampled.draw * self.kept)

    def _kl_minus_entropy(self, q_u: DiagonalNormal) -> Tensor:
        """Return KL from N(0, I) of dimensions left out minus entropy of those kept."""
        kept, log_scale = self.kept, q_u.log_scale
        entropy = (log_scale + 0.5 * (1 + math.log(2 * math.pi))) @ kept
        squares = q_u.mean.square() + q_u.scale.square()
        kl = 0.5 * (squares - 1 - 2 * log_scale) @ (1 - kept)
        return kl - entropy

    def labelled_bound(
        self,
        sampled: AuxiliarySample,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Any = None,
    ) -> Tensor:
        r"""Return the bound of log p(x, y), one draw of u per row and of z per pair.

        .. math::
            E_{q(u|x)}[\log p(x|u) + L(u, y)] + H(q(u|x)) \le \log p(x, y)

        for the dimensions that M2 models. For the others, minus the KL divergence of
        q(u|x) from N(0, 1) replaces L and H.
        """
        density_x, density_u = density or self.density()
        log_p_x = self.m1.likelihood_x(sampled.draw, density_x).log_prob(sampled.x)
        u, noise_z = sampled.draw * self.kept, noise[..., self.inner_size :]
        bound_u = self.m2.labelled_bound(u, y, log_prior, noise_z, density_u)
        bound: Tensor = bound_u + (log_p_x - self._kl_minus_entropy(sampled.posterior))
        return bound

    def density(self) -> Any:
        """Return the functions from decoder outputs to p(x | u) and to p(u | y, z)."""
        return self.m1.density(), self.m2.density()

    def row_terms(
        self, sampled: AuxiliarySample, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the terms of M1's bound of log p(x), with N(0, I) as prior of u."""
        log_p_x = self.m1.likelihood_x(sampled.draw).log_prob(sampled.x)
        return log_p_x, gaussian_kl(sampled.posterior)

    def _sample_posterior_u(self, x: Tensor, draws: Tensor) -> Tensor:
        """Draw u from q(u | x) for M2: (n_rows, n_draws, inner_size)."""
        q_u = self.m1.posterior_z(x)
        return q_u[:, None].rsample(draws) * self.kept

    def mean_log_q_y(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the log of the mean of q(y | u) over q(u | x)."""
        log_q: Tensor = self.m2(self._sample_posterior_u(x, draws))
        return (log_q.logsumexp(1) - math.log(draws.shape[-2])).log_softmax(-1)

    def mean_latent_means(self, x: Tensor, draws: Tensor) -> Tensor:
        """Return the mean of sum_y q(y | u) mu(u, y) over q(u | x)."""
        u = self._sample_posterior_u(x, draws)
        means: Tensor = self.m2.latent_means(u).mean(1)
        return means

    def _sample_prior_u(self, z: Tensor, codes: Tensor | None, noise: Tensor) -> Tensor:
        """Draw u from p(u | y, z), and the dimensions left out of M2 from N(0, 1)."""
        mean = self.m2.likelihood_x(z, codes).mean
        u: Tensor = mean + self._likelihood_u.scale() * noise
        return torch.where(self.kept > 0, u, noise)

    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Return the mean of x given z over p(u | y, z) and classes."""
        u = self._sample_prior_u(z[:, None, None], self.classes[:, None], self.draws)
        means = self.m1.decoded_means(u).mean(2)
        return (weights[:, :, None] * means).sum(1)

    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw u from p(u | y, z), then x from p(x | u)."""
        noise = torch.randn(
            len(z), self.inner_size, generator=generator, device=z.device, dtype=z.dtype
        )
        u = self._sample_prior_u(z, codes, noise)
        return self.m1.draw_rows(u, None, generator)

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Return log p(x | u) p(u | y, z) p(z) / [q(u | x) q(z | u, y)] at draws."""
        noise_u, noise_z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        q_u = self.m1.posterior_z(x[:, None])
        u = q_u.rsample(noise_u)
        p_x = self.m1.likelihood_in_double(u)
        log_p_x = p_x.log_prob(x[:, None], has_gaps(x))
        # -log q(u | x) plus the log prior N(0, 1) of the dimensions left out of M2, for
        # which the terms with 2 pi cancel.
        kept = to_double(self.kept)
        minus_log_q = to_double(q_u.log_scale) + 0.5 * to_double(noise_u).square()
        log_u = minus_log_q.sum(-1) + 0.5 * math.log(2 * math.pi) * kept.sum()
        log_u = log_u - 0.5 * to_double(u).square() @ (1 - kept)
        log_weights, _ = self.m2.broadcast_importance((u * self.kept)[:, None], noise_z)
        log_weights = log_weights + (log_p_x + log_u)[:, None]
        return log_weights, self.m1.likelihood_in_double(u[:, None])

    def prior_rows(self, noise: Tensor) -> RowDistribution:
        """Return p(x | u) at draws of u from p(u | y, z), and of z from N(0, I)."""
        noise_u, noise_z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        u = self._sample_prior_u(noise_z, self.classes[:, None], noise_u)
        return self.m1.likelihood_in_double(u)


class M1M2(ModelSpec, name="m1+m2"):
    """M1+M2: M2 trained on samples of the latent variable of an unsupervised VAE.

    Kingma et al. 2014, arXiv 1406.5298. The networks are those of `M1M2Module`.

    Parameters
    ----------
    inner_size : int, default=50
        Number of dimensions of u, the latent variable of M1 that M2 models.
    pretrain_epochs : "auto" or int, default="auto"
        Number of epochs in which M1 is trained alone; "auto" is that of
        ``max_epochs="auto"`` without a teacher, whatever `max_epochs` is. A fitted
        model that is trained further skips this stage.
    finetune_epochs : int, default=0
        Number of epochs, after M2 has been trained, in which all networks are trained
        together.
    """

    module_class = M1M2Module
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "inner_size": [Interval(Integral, 1, None, closed="left")],
        "pretrain_epochs": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "finetune_epochs": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        inner_size: int = 50,
        pretrain_epochs: Literal["auto"] | int = "auto",
        finetune_epochs: int = 0,
    ) -> None:
        self.inner_size = inner_size
        self.pretrain_epochs = pretrain_epochs
        self.finetune_epochs = finetune_epochs

    def module_options(self) -> dict[str, Any]:
        """Return the number of dimensions of u."""
        return {"inner_size": int(self.inner_size)}

    def stages(
        self,
        max_epochs: Epochs,
        resolve_epochs: Callable[[Epochs], int],
        *,
        pretrained: bool = False,
    ) -> list[tuple[str, int]]:
        """Return the stages: M1 alone, M2 on samples of u, all networks together."""
        n_pretrain = 0 if pretrained else resolve_epochs(self.pretrain_epochs)
        return [
            ("m1", n_pretrain),
            ("m2", resolve_epochs(max_epochs)),
            ("all", int(self.finetune_epochs)),
        ]
