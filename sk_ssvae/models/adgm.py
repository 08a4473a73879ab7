"""The auxiliary deep generative model, ADGM.

Maaloe, Sonderby, Sonderby & Winther, "Auxiliary Deep Generative Models", ICML 2016,
arXiv 1602.05473.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sk_ssvae.models.likelihoods import DiagonalNormal, RowDistribution
from sk_ssvae.models.network_factories import NetworkFactories
from sk_ssvae.models.networks import MultiInputLinear, PairMLP
from sk_ssvae.models.sdgm import SDGM, NoiseSource, SDGMModule

__all__ = ["ADGM", "ADGMModule"]


class ADGMModule(SDGMModule):
    r"""The auxiliary deep generative model, in which x and z do not depend on a.

    .. math::
        p(x, a, y, z) = p(a | x, y, z)\, p(x | y, z)\, p(y)\, p(z), \qquad
        q(a, y, z | x) = q(a | x)\, q(y | x, a)\, q(z | x, a, y)

    p(x, y, z) is that of M2; the auxiliary variable only makes q(y, z | x) more
    flexible. The parameters are those of `SDGMModule`, except that a user-supplied
    decoder takes the concatenation of z and y.
    """

    def _make_decoders(
        self,
        n_classes: int,
        sizes: Sequence[int],
        g: torch.Generator,
        networks: NetworkFactories,
        seed: int,
    ) -> None:
        """Construct the networks of p(a | x, y, z) and p(x | y, z)."""
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
        """Return p(a | x, y, z)."""
        return DiagonalNormal.from_outputs(
            self._run_network(self.auxiliary_decoder, (self.inputs(x), z), y)
        )

    def outputs_x(self, a: Tensor, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the decoder outputs for p(x | y, z); a is not used."""
        return self._run_network(self.decoder, z, y)

    def _sample_prior_a(self, z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
        """Return `noise`: p(x | y, z) does not depend on a."""
        return noise

    def _likelihood_x(
        self, z: Tensor, y: Tensor | None, noise_a: NoiseSource
    ) -> RowDistribution:
        """Return p(x | y, z); no draw of a is needed."""
        return self.density()(self._run_network(self.decoder, z, y))


class ADGM(SDGM, name="adgm"):
    """The auxiliary deep generative model of Maaloe et al. 2016, arXiv 1602.05473.

    The networks are those of `ADGMModule`.

    Parameters
    ----------
    inner_size : int, default=50
        Number of dimensions of the auxiliary variable a.
    """

    module_class = ADGMModule
