"""Private functions and classes of torch that this package uses.

torch can change them in any release, without a deprecation. No other module of this
package uses them, so that such a change concerns this module only. Each has a fallback
with equal results, which is used if torch no longer has the name:

- ``torch._standard_gamma`` (`standard_gamma`) draws from a generator. The public
  `torch.distributions.Gamma` draws from the global generator only, which the fallback
  puts in the state of the given one.
- ``torch._amp_foreach_non_finite_check_and_unscale_`` (`foreach_flag_non_finite_`), a
  kernel of `torch.amp.GradScaler`, checks all tensors in one pass. The fallback calls
  the public `torch.isfinite` for each tensor, which takes longer.
- ``torch.nn.modules.batchnorm._NormBase`` (`NORMALISATIONS`) is the base class of
  layers with running statistics. The fallback lists its public subclasses, without
  classes of users.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sk_ssvae.utils.random import seeded_global_generator

__all__ = ["NORMALISATIONS", "foreach_flag_non_finite_", "standard_gamma"]


def _standard_gamma(shape: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from gamma distributions, on the CPU or a CUDA device."""
    device = generator.device
    with seeded_global_generator(0, device):  # one thread at a time; restored
        global_generator = torch.default_generator
        if device.type == "cuda":
            global_generator = torch.cuda.default_generators[device.index or 0]
        global_generator.set_state(generator.get_state())
        gamma = torch.distributions.Gamma(
            shape, torch.ones_like(shape), validate_args=False
        )
        draws: Tensor = gamma.sample()
        generator.set_state(global_generator.get_state())
    return draws


def _foreach_flag_non_finite_(
    tensors: Sequence[Tensor], found_inf: Tensor, one: Tensor
) -> None:
    """Set `found_inf` to 1 if a value is NaN or infinite, without synchronisation."""
    finite = torch.stack([tensor.isfinite().all() for tensor in tensors]).all()
    found_inf.copy_(torch.where(finite, found_inf, one))


standard_gamma: Callable[..., Tensor] = getattr(
    torch, "_standard_gamma", _standard_gamma
)
"""Return draws from gamma distributions, for the arguments `shape`, a contiguous tensor
of their shape parameters, and `generator`. Their scale is 1."""

foreach_flag_non_finite_: Callable[[Sequence[Tensor], Tensor, Tensor], None] = getattr(
    torch, "_amp_foreach_non_finite_check_and_unscale_", _foreach_flag_non_finite_
)
"""Set the scalar `found_inf` to 1 if any of the tensors has a value that is NaN or
infinite. The last argument is a scalar tensor that is 1."""

NORMALISATIONS: type[nn.Module] | tuple[type[nn.Module], ...] = getattr(
    nn.modules.batchnorm,
    "_NormBase",
    (
        nn.BatchNorm1d,
        nn.BatchNorm2d,
        nn.BatchNorm3d,
        nn.SyncBatchNorm,
        nn.InstanceNorm1d,
        nn.InstanceNorm2d,
        nn.InstanceNorm3d,
    ),
)
"""Classes of layers with running statistics, for `isinstance`."""
