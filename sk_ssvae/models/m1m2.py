"""M1+M2: M2 on samples of the latent variable of an unsupervised VAE.

Kingma, Rezende, Mohamed & Welling, "Semi-supervised Learning with Deep Generative
Models", NIPS 2014, arXiv 1406.5298, section 2.1 and the headline of its table 1.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar, cast

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor

from sk_ssvae.data.layout import Layout
from sk_ssvae.models.base import N_DRAWS, Draw, VAEModule, fixed_draws
from sk_ssvae.models.bounds import gaussian_kl, precise
from sk_ssvae.models.input_encoding import InputEncoder
from sk_ssvae.models.likelihoods import (
    ColumnNormal,
    DiagonalNormal,
    Gaussian,
    Likelihood,
    RowDistribution,
    has_gaps,
)
from sk_ssvae.models.m1 import M1Module
from sk_ssvae.models.m2 import M2Module
from sk_ssvae.models.network_factories import BUILT_IN_NETWORKS, NetworkFactories
from sk_ssvae.models.spec import Epochs, ModelSpec
from sk_ssvae.models.user_networks import freeze_networks
from sk_ssvae.utils.random import Stream, stream_seed

__all__ = ["M1M2", "M1M2Module"]

LEAST_DEVIATION = 0.1
"""Dimensions of M1 whose posterior mean varies less over the rows are not for M2."""

CHUNK = 4096


class _KeptGaussian(Gaussian):
    """The normal over the dimensions that are kept; the others do not count."""

    kept: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("kept", torch.ones(n_features, dtype=torch.float32))

    def scale(self) -> Tensor:
        """Return standard deviations of all dimensions."""
        return ((2 * self.log_scale).exp() + self.MIN_SCALE**2).sqrt()

    def density(self) -> Callable[[Tensor], ColumnNormal]:
        """See `Gaussian.density`."""
        log_scale = self.scale().log()
        log_norm = (log_scale + 0.5 * math.log(2 * math.pi)) @ self.kept
        precision = (-2 * log_scale).exp() * self.kept

        def density(outputs: Tensor) -> ColumnNormal:
            return ColumnNormal(outputs, log_scale, precision, log_norm)

        return density


class M1M2Module(VAEModule):
    r"""M2 on samples of M1's latent variable, here u.

    .. math::
        p(x, u, y, z) = p(x | u)\, p(u | y, z)\, p(y)\, p(z), \qquad
        q(u, y, z | x) = q(u | x)\, q(y | u)\, q(z | u, y)

    In `fit`, M1 is first trained alone, with N(0, I) as the prior of u. Then it is held
    fixed, and M2 is trained on samples of u, drawn anew at every step. Dimensions of u
    whose posterior mean hardly varies over the rows are left out of M2, and keep the
    prior N(0, 1). A last stage may train all networks together. With M2's L(u, y),

    .. math::
        E_{q(u|x)}[\log p(x|u) - \log q(u|x) + L(u, y)] \le \log p(x, y).

    Answers are means over q(u | x), or p(u | y, z), by the same few draws for all rows.

    Parameters
    ----------
    n_features, class_prior, latent_size, likelihood, seed
        As for `sk_ssvae.models.m2.M2Module`.
    hidden_sizes : sequence of int
        Hidden layers of both encoders; the decoders have them in reverse.
    classifier_hidden_sizes : sequence of int, default=None
        Hidden layers of q(y | u).
    inner_size : int
        Number of dimensions of u.
    networks : Networks
        Networks of the user's own: q(y | u), and M1's encoder and decoder.
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
        self.inner_size = inner_size
        self.n_noise = inner_size + latent_size
        self.m1 = M1Module(
            n_features, (1.0,), inner_size, hidden_sizes, likelihood, seed,
            networks=networks._replace(classifier_module=None),
        )  # fmt: skip
        self.m2 = M2Module(
            inner_size, class_prior, latent_size, hidden_sizes, "gaussian",
            stream_seed(seed, Stream.INNER), classifier_hidden_sizes,
            networks=networks._replace(encoder_module=None, decoder_module=None),
        )  # fmt: skip
        self.warms_up = self.m1.warms_up
        self.m2.likelihood = _KeptGaussian(inner_size)
        self.register_buffer("draws", fixed_draws(inner_size, seed))

    @property
    def likelihood(self) -> Likelihood:  # type: ignore[override]
        """M1's: that of x."""
        return self.m1.likelihood

    @property
    def inputs(self) -> InputEncoder:  # type: ignore[override]
        """M1's."""
        return self.m1.inputs

    @property
    def kept(self) -> Tensor:
        """1 for the dimensions of u that M2 sees, 0 for the others."""
        return self._likelihood_u.kept

    @property
    def _likelihood_u(self) -> "_KeptGaussian":
        return cast(_KeptGaussian, self.m2.likelihood)

    @property
    def mixed(self) -> bool:
        """Whether the networks run under autocast."""
        return self.m1.mixed

    @mixed.setter
    def mixed(self, value: bool) -> None:
        self.m1.mixed = self.m2.mixed = value

    def start_stage(self, stage: str, rows: Any = None) -> None:
        """Let the stage's networks learn; before M2's, choose the dimensions of u."""
        if stage == "m2" and self.unsupervised:  # M1 has been trained just now
            self._choose_dimensions(rows)
        self.unsupervised = stage == "m1"
        self.m1.requires_grad_(stage != "m2")
        freeze_networks(self.m1, stage == "m2")

    @torch.no_grad()
    def _choose_dimensions(self, rows: Any) -> None:
        """Keep the dimensions whose posterior mean varies, all if none does."""
        self.eval()
        means = torch.cat(
            [
                self.m1.posterior_z(rows.encoded(chunk)).mean
                for chunk in torch.split(rows.order, CHUNK)
            ]
        )
        means, share = means.double(), rows.bound_weight.double()[:, None]
        center = (share * means).sum(0)
        deviation = (share * (means - center).square()).sum(0).sqrt()
        kept = deviation >= LEAST_DEVIATION
        self.kept.copy_(kept if kept.any() else torch.ones_like(kept))

    def sample_auxiliary(self, x: Tensor, noise: Tensor) -> Draw:
        """Rows with a draw of u from q(u | x)."""
        q_u = self.m1.posterior_z(x)
        return Draw(x, q_u, q_u.rsample(noise[..., : self.inner_size]))

    def log_q_y(self, sampled: Draw) -> Tensor:
        """Log q(y | u) at the draws of u."""
        return self.m2.log_q_y(sampled.inner * self.kept)

    def _left_out(self, q_u: DiagonalNormal) -> Tensor:
        """KL from N(0, I) where M2 sees nothing, minus entropy where it does."""
        kept, log_scale = self.kept, q_u.log_scale
        entropy = (log_scale + 0.5 * (1 + math.log(2 * math.pi))) @ kept
        squares = q_u.mean.square() + q_u.scale.square()
        kl = 0.5 * (squares - 1 - 2 * log_scale) @ (1 - kept)
        return kl - entropy

    def labelled_bound(
        self,
        sampled: Draw,
        y: Tensor | None,
        log_prior: Tensor,
        noise: Tensor,
        density: Any = None,
    ) -> Tensor:
        r"""Bound of log p(x, y), one draw of u a row and of z for each class of it.

        .. math::
            E_{q(u|x)}[\log p(x|u) + L(u, y)] + H(q(u|x)) \le \log p(x, y)

        The entropy is that of the kept dimensions; minus KL from N(0, 1) for the rest.
        """
        of_x, of_u = density or self.density()
        log_p_x = self.m1.likelihood_x(sampled.inner, of_x).log_prob(sampled.x)
        inner = self.m2.labelled_bound(
            sampled.inner * self.kept, y, log_prior, noise[..., self.inner_size :], of_u
        )
        bound: Tensor = inner + (log_p_x - self._left_out(sampled.q))
        return bound

    def density(self) -> Any:
        """Those of x given u, and of u given y and z."""
        return self.m1.density(), self.m2.density()

    def row_terms(self, sampled: Draw, noise: Tensor) -> tuple[Tensor, Tensor]:
        """M1's bound of log p(x), u having the prior N(0, I)."""
        log_p_x = self.m1.likelihood_x(sampled.inner).log_prob(sampled.x)
        return log_p_x, gaussian_kl(sampled.q)

    def _drawn(self, x: Tensor) -> Tensor:
        """Draws of u, of shape (n_rows, N_DRAWS, inner_size), for M2."""
        q_u = self.m1.posterior_z(x)
        return q_u[:, None].rsample(self.draws) * self.kept

    def forward(self, x: Tensor) -> Tensor:
        """Log of the mean of q(y | u) over q(u | x)."""
        log_q: Tensor = self.m2(self._drawn(x))
        return (log_q.logsumexp(1) - math.log(N_DRAWS)).log_softmax(-1)

    def latent_means(self, x: Tensor) -> Tensor:
        """Mean of sum_y q(y | u) mu(u, y) over q(u | x)."""
        u = self._drawn(x)
        means = self.m2.latent_means(u.flatten(0, 1))
        mean: Tensor = means.view(-1, N_DRAWS, self.latent_size).mean(1)
        return mean

    def _drawn_below(self, z: Tensor, codes: Tensor | None, noise: Tensor) -> Tensor:
        """Draws of u from p(u | y, z); dimensions that are left out from N(0, 1)."""
        mean = self.m2.likelihood_x(z, codes).mean
        drawn: Tensor = mean + self._likelihood_u.scale() * noise
        return torch.where(self.kept > 0, drawn, noise)

    def decoded_means(self, z: Tensor, weights: Tensor) -> Tensor:
        """Mean of x given z over p(u | y, z), classes having weights."""
        means = z.new_zeros(())
        for draw in self.draws:
            u = self._drawn_below(z[:, None], None, draw)
            means = means + self.m1.decoded_means(u)
        return (weights[:, :, None] * means).sum(1) / N_DRAWS

    def draw_rows(self, z: Tensor, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Draw u from p(u | y, z), then x from p(x | u)."""
        noise = torch.randn(
            len(z), self.inner_size, generator=generator, device=z.device, dtype=z.dtype
        )
        u = self._drawn_below(z, codes, noise)
        return self.m1.draw_rows(u, None, generator)

    def importance(self, x: Tensor, noise: Tensor) -> tuple[Tensor, RowDistribution]:
        """Log of p(x | u) p(u | y, z) p(z) / [q(u | x) q(z | u, y)] at draws from q."""
        noise_u, noise_z = torch.split(noise, [self.inner_size, self.latent_size], -1)
        q_u = self.m1.posterior_z(x[:, None])
        u = q_u.rsample(noise_u)
        p_x = self.m1.likelihood_in_double(u)
        log_p_x = p_x.log_prob(x[:, None], has_gaps(x))
        # Minus log q(u | x), and the prior of what is left out, where 2 pi cancels.
        kept = precise(self.kept)
        minus_log_q = precise(q_u.log_scale) + 0.5 * precise(noise_u).square()
        log_u = minus_log_q.sum(-1) + 0.5 * math.log(2 * math.pi) * kept.sum()
        log_u = log_u - 0.5 * precise(u).square() @ (1 - kept)
        inner, _ = self.m2.importance_of((u * self.kept)[:, None], noise_z)
        return inner + (log_p_x + log_u)[:, None], self.m1.likelihood_in_double(
            u[:, None]
        )


class M1M2(ModelSpec, name="m1+m2"):
    """M1+M2: M2 on samples of the latent variable of an unsupervised VAE.

    Kingma et al. 2014, arXiv 1406.5298. Its networks are those of `M1M2Module`.

    Parameters
    ----------
    inner_size : int, default=50
        Number of dimensions of u, the latent variable of M1 that M2 models.
    pretrain_epochs : "auto" or int, default="auto"
        Number of epochs in which M1 is trained alone; "auto" as for ``max_epochs``.
        A fitted model that is trained further skips this stage.
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
        pretrain_epochs: Epochs = "auto",
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
