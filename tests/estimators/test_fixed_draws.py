"""Predictions of models with an inner variable, against averages over many draws."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from sk_ssvae import SSVAEClassifier
from sk_ssvae.model_selection import mask_labels

N_DRAWS = 4096


@pytest.mark.slow
def test_fewer_than_one_in_200_classes_depends_on_the_fixed_draws():
    """With 16 independent draws it was 1 in 40."""
    X, y = load_digits(return_X_y=True)
    few = mask_labels(y[:1200], n_per_class=5, random_state=0)
    clf = SSVAEClassifier(teacher=None, model="m1+m2", random_state=0)
    clf.fit(X[:1200] / 16, few)
    rows = X[1200:] / 16
    expected = clf.predict(rows), clf.inverse_transform(clf.transform(rows[:50]))
    g = torch.Generator().manual_seed(0)
    module = clf.module_
    draws = torch.randn(N_DRAWS // 2, module.inner_size, generator=g)
    module.draws = torch.cat([draws, -draws])
    assert (clf.predict(rows) != expected[0]).mean() < 1 / 200
    Z = clf.transform(rows[:50])
    np.testing.assert_allclose(clf.inverse_transform(Z), expected[1], atol=0.02)
