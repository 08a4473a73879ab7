"""torch's global generator, borrowed for modules of users and given back."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sk_ssvae.turns import Turns

__all__ = ["borrowed_generator"]

# Of two threads that borrow at once, the one that gives back last would leave the
# other's seed. Who has it may borrow again: a user's factory may fit an estimator.
_BORROWED = Turns()


@contextmanager
def borrowed_generator(seed: int, device: str | torch.device = "cpu") -> Iterator[None]:
    """Seed torch's global generator for a while, and give it back as it was.

    For modules of users, which draw weights and dropout masks from it. One thread at a
    time has it; others wait.

    Parameters
    ----------
    seed : int
        The seed.
    device : str or torch.device
        The device whose generator is seeded too.
    """
    kind = torch.device(device)
    cuda = [kind] if kind.type == "cuda" else []
    with _BORROWED.taken(), torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for one in cuda:
            torch.cuda.default_generators[one.index or 0].manual_seed(seed)
        yield
