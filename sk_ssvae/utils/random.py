"""Random numbers from one seed, without side effects on the global generators.

An estimator turns its `random_state` into one integer seed. Each use of random numbers
has a stream of its own (`Stream`), seeded from that integer, so that drawing more
numbers for one purpose does not change the others. Only user-supplied modules draw
from torch's global generator; it is seeded for them and restored afterwards.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from sk_ssvae.utils.locks import ForkSafeLock

__all__ = [
    "RandomState",
    "Stream",
    "draw_seed",
    "seeded_global_generator",
    "shuffled_passes",
    "smallest_integer_type",
    "stream_generator",
    "stream_seed",
]

RandomState: TypeAlias = int | np.random.RandomState | None
"""Type of scikit-learn's `random_state` parameter."""


class Stream(IntEnum):
    """Purpose of a stream of random numbers."""

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
    OWN_WEIGHTS = 10  # of user-supplied modules
    OWN_NOISE = 11
    INNER = 12
    FILL = 13


def draw_seed(random_state: RandomState) -> int:
    """Turn scikit-learn's `random_state` into one integer seed.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An integer gives the same seed on every call; a RandomState instance is
        advanced. None uses fresh entropy from the operating system, whereas
        scikit-learn would use numpy's global generator.

    Returns
    -------
    seed : int
        Seed in [0, 2**31 - 1).
    """
    if random_state is None:
        random_state = np.random.RandomState()
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def stream_seed(seed: int, stream: Stream, step: int = 0) -> int:
    """Return the seed of one stream, in [0, 2**32).

    Parameters
    ----------
    seed : int
        Seed of the estimator.
    stream : Stream
        Purpose of the random numbers.
    step : int, default=0
        Number of the epoch or call; each has a seed of its own.

    Returns
    -------
    seed : int
    """
    sequence = np.random.SeedSequence([seed, int(stream), step])
    return int(sequence.generate_state(1)[0])


def stream_generator(
    seed: int, stream: Stream, step: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Return a new generator on `device`, seeded by `stream_seed`."""
    generator = torch.Generator(device=device)
    return generator.manual_seed(stream_seed(seed, stream, step))


# If two threads seeded the generator at once, the last one to restore it would restore
# the seed of the other. The lock is reentrant: a user's factory may fit an estimator.
_GLOBAL_GENERATOR_LOCK = ForkSafeLock()


@contextmanager
def seeded_global_generator(
    seed: int, device: str | torch.device = "cpu"
) -> Iterator[None]:
    """Seed torch's global generator temporarily and restore its state afterwards.

    For user-supplied modules, which draw initial weights and dropout masks from it.
    Only one thread at a time can hold the generator; others wait.

    Parameters
    ----------
    seed : int
        Seed.
    device : str or torch.device, default="cpu"
        Device whose generator is seeded in addition to the CPU's.
    """
    device = torch.device(device)
    cuda_devices = [device] if device.type == "cuda" else []
    with (
        _GLOBAL_GENERATOR_LOCK.taken(),
        torch.random.fork_rng(devices=cuda_devices),
    ):
        torch.default_generator.manual_seed(seed)
        for cuda_device in cuda_devices:
            index = cuda_device.index or 0
            torch.cuda.default_generators[index].manual_seed(seed)
        yield


def shuffled_passes(n: int, total: int, generator: torch.Generator) -> Tensor:
    """Return the first elements of shuffled passes over 0 ... n - 1.

    Parameters
    ----------
    n : int
        Number of elements of a pass.
    total : int
        Number of elements to return.
    generator : torch.Generator
        Source of the permutations, on the CPU.

    Returns
    -------
    elements : Tensor of shape (total,)
        Of the smallest integer type, which does not change the permutations.
    """
    dtype = smallest_integer_type(n)
    n_passes = math.ceil(total / n)
    if n_passes == 1:
        permutation = torch.randperm(n, generator=generator, dtype=dtype, device="cpu")
        return permutation[:total]
    elements = torch.empty(total, dtype=dtype, device="cpu")
    for start in range(0, total, n):
        permutation = torch.randperm(n, generator=generator, dtype=dtype, device="cpu")
        elements[start : start + n] = permutation[: total - start]
    return elements


def smallest_integer_type(n: int) -> torch.dtype:
    """Return the smallest integer type of tensors that holds 0 ... n."""
    for dtype in (torch.uint8, torch.int16, torch.int32):
        if n <= torch.iinfo(dtype).max:
            return dtype
    return torch.int64
