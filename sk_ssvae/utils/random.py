"""Random numbers from one seed, without changing any global generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import torch
from sklearn.utils import check_random_state

from sk_ssvae.utils.threads import ForkSafeLock

__all__ = [
    "RandomState",
    "Stream",
    "draw_seed",
    "seeded_global_generator",
    "stream_generator",
    "stream_seed",
]

RandomState: TypeAlias = int | np.random.RandomState | None


class Stream(IntEnum):
    """What a stream of random numbers is for."""

    WEIGHTS = 0
    BATCHES = 1
    NOISE = 2
    SCORE = 3
    TEACHER = 4
    HOLD_OUT = 5
    VALIDATION = 6
    SAMPLE_Y = 7
    SAMPLE_Z = 8
    SAMPLE_X = 9
    OWN_WEIGHTS = 10
    OWN_NOISE = 11
    INNER = 12


def draw_seed(random_state: RandomState) -> int:
    """Turn scikit-learn's `random_state` into one integer seed.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An integer gives the same seed at every call and an instance is
        advanced. None takes fresh entropy from the operating system, where
        scikit-learn would advance numpy's global generator.

    Returns
    -------
    seed : int
        A seed in [0, 2**31 - 1).
    """
    if random_state is None:
        random_state = np.random.RandomState()
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def stream_seed(seed: int, stream: Stream, step: int = 0) -> int:
    """Seed of one stream, in [0, 2**32)."""
    path = np.random.SeedSequence([seed, int(stream), step])
    return int(path.generate_state(1)[0])


def stream_generator(
    seed: int, stream: Stream, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a generator of its own for one stream, on `device`."""
    generator = torch.Generator(device=device)
    return generator.manual_seed(stream_seed(seed, stream, step))


# Of two threads that borrow at once, the one that gives back last would leave the
# other's seed. Who has it may borrow again: a user's factory may fit an estimator.
_BORROWED = ForkSafeLock()


@contextmanager
def seeded_global_generator(
    seed: int, device: str | torch.device = "cpu"
) -> Iterator[None]:
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
