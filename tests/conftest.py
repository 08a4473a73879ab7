"""Fixtures of all tests, and settings of torch and hypothesis."""

import numpy as np
import pytest
import torch
from few_labels import hide
from hypothesis import settings
from sklearn.datasets import load_iris, make_blobs

from sk_ssvae import SSVAEClassifier

torch.set_num_threads(1)
# The same examples in every run, so that failures are reproducible.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")


@pytest.fixture
def iris():
    """Rows, labels with five per class, and all labels of the iris data set."""
    X, y = load_iris(return_X_y=True)
    return X, hide(y, 5), y


@pytest.fixture
def blobs():
    """Rows, labels with two per class, and all labels of three separate clusters."""
    X, y = make_blobs(120, centers=3, random_state=0, cluster_std=0.6)
    return X, hide(y, 2), y


@pytest.fixture
def quick():
    """Return a function that returns an unfitted classifier, small and fast to fit."""

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
    """Return a function that returns the states of numpy's and torch's generators."""

    def state():
        kind, keys, *rest = np.random.get_state()
        return (kind, keys.tobytes(), *rest, torch.random.get_rng_state().tolist())

    return state
