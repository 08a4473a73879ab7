"""Shared by all tests: one thread, and a small problem with few labels."""

import numpy as np
import pytest
import torch
from few_labels import hide
from hypothesis import settings
from sklearn.datasets import load_iris, make_blobs

from sk_ssvae import SSVAEClassifier

torch.set_num_threads(1)
# The same examples at every run: what fails here fails everywhere.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture
def iris():
    """X, y with five labels a class, all labels."""
    X, y = load_iris(return_X_y=True)
    return X, hide(y, 5), y


@pytest.fixture
def blobs():
    """X, y with two labels a class, all labels: three clear clusters in the plane."""
    X, y = make_blobs(120, centers=3, random_state=0, cluster_std=0.6)
    return X, hide(y, 2), y


@pytest.fixture
def quick():
    """Return a function that makes a small, fast estimator."""

    def make(**params):
        defaults = {
            "latent_size": 2,
            "hidden_sizes": (16,),
            "max_epochs": 4,
            "teacher": None,
            "random_state": 0,
        }
        return SSVAEClassifier(**(defaults | params))

    return make


@pytest.fixture
def global_generators():
    """Return a function that tells the state of numpy's and torch's generators."""

    def state():
        kind, keys, *rest = np.random.get_state()
        return (kind, keys.tobytes(), *rest, torch.random.get_rng_state().tolist())

    return state
