"""Latent means of a VAE as features."""

import threading

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from sk_ssvae.models.m1 import M1Module
from sk_ssvae.teachers.latent_means import LatentMeans
from sk_ssvae.training.net import SSVAENet

X = StandardScaler().fit_transform(load_iris().data)


def small(**params):
    return LatentMeans(
        **{
            "latent_size": 3,
            "hidden_sizes": (8,),
            "likelihood": "gaussian",
            "n_steps": 20,
            "seed": 0,
            "batch_size": 32,
        }
        | params
    )


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_features_are_the_means_of_m1(likelihood):
    rows = X if likelihood == "gaussian" else (X > 0).astype(float)
    means = small(likelihood=likelihood).fit(rows)
    Z = means.transform(rows)
    assert Z.shape == (150, 3)
    assert Z.dtype == np.float32
    assert isinstance(means.model_, M1Module)
    with torch.no_grad():
        x = torch.from_numpy(rows.astype(np.float32))
        np.testing.assert_array_equal(Z, means.model_.posterior_z(x).mean.numpy())


def test_number_of_steps(monkeypatch):
    sizes = []
    original = SSVAENet.train_step

    def count(self, batch, **kwargs):
        sizes.append(len(batch[0]["x"]))
        return original(self, batch, **kwargs)

    monkeypatch.setattr(SSVAENet, "train_step", count)
    small(n_steps=17).fit(X)
    assert sizes == [30] * 17  # 150 rows in five minibatches, of 32 at most
    sizes.clear()
    small(n_steps=4, batch_size=1000).fit(X)
    assert sizes == [150] * 4


def test_features_depend_on_the_seed_only(global_generators):
    before = global_generators()
    first, second = (small().fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (small(seed=1).fit_transform(X) != first).any()
    assert global_generators() == before


def test_features_keep_the_classes_apart():
    rows, truth = load_digits(return_X_y=True)
    means = LatentMeans(8, (64,), "bernoulli", n_steps=600, seed=0)
    Z = means.fit_transform(rows[:600] / 16)
    scores = cross_val_score(KNeighborsClassifier(), Z, truth[:600], cv=3)
    assert scores.mean() > 0.75


def test_fits_in_threads_do_not_disturb_each_other():
    alone = [small(seed=seed).fit_transform(X) for seed in range(4)]
    together = [None] * 4

    def fit(seed):
        together[seed] = small(seed=seed).fit_transform(X)

    threads = [threading.Thread(target=fit, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_divergence_leaves_finite_features():
    Z = small(learning_rate=1e30).fit_transform(X)
    assert np.isfinite(Z).all()
    assert (Z != 0).any()


def test_keyboard_interrupt_is_not_handled(monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(SSVAENet, "train_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small().fit(X)
