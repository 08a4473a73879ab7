"""Seeds and generators."""

import numpy as np
import pytest
import torch

from sk_ssvae.utils.random import (
    Stream,
    draw_seed,
    seeded_global_generator,
    stream_generator,
    stream_seed,
)


def test_an_integer_gives_the_same_seed_and_an_instance_is_advanced():
    assert draw_seed(3) == draw_seed(3) != draw_seed(4)
    random_state = np.random.RandomState(0)
    assert draw_seed(random_state) != draw_seed(random_state)


def test_none_does_not_use_the_global_generator(global_generators):
    before = global_generators()
    assert draw_seed(None) != draw_seed(None)
    assert global_generators() == before


def test_seeds_streams_and_steps_have_different_seeds():
    seeds = {
        stream_seed(seed, stream, step)
        for seed in range(3)
        for stream in Stream
        for step in range(200)
    }
    assert len(seeds) == 3 * len(Stream) * 200


def test_a_stream_has_the_same_numbers_each_time():
    first, second = (stream_generator(0, Stream.NOISE) for _ in range(2))
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=second))


def test_the_global_generator_is_seeded_and_restored(global_generators):
    before = global_generators()
    with seeded_global_generator(7):
        drawn = torch.rand(3)
        with seeded_global_generator(8):
            assert not torch.equal(torch.rand(3), drawn)
    with seeded_global_generator(7):
        assert torch.equal(torch.rand(3), drawn)
    assert global_generators() == before


def test_the_global_generator_is_restored_after_an_error(global_generators):
    before = global_generators()
    with pytest.raises(KeyError), seeded_global_generator(7):
        raise KeyError
    assert global_generators() == before
