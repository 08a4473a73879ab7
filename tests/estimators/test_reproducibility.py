"""`random_state` fixes all results; global generators are neither used nor changed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.semi_supervised import SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier


def fit_to_bytes(clf, X, y):
    """Fit, and return weights, results and losses as bytes."""
    clf.fit(X, y)
    samples, classes = clf.sample(7)
    parts = [
        *(v.numpy() for v in clf.module_.state_dict().values()),
        clf.predict_proba(X),
        clf.transform(X),
        clf.score_samples(X),
        clf.label_distributions_,
        clf.transduction_,
        samples,
        classes,
        np.array([epoch["train_loss"] for epoch in clf.history_]),
    ]
    return [np.ascontiguousarray(part).tobytes() for part in parts]


@pytest.fixture(params=[None, SelfTrainingClassifier(RandomForestClassifier(5))])
def estimator(request):
    return SSVAEClassifier(
        latent_size=3,
        hidden_sizes=(16,),
        max_epochs=4,
        batch_size=32,
        teacher=request.param,
        random_state=7,
    )


def test_fits_with_the_same_random_state_are_bit_identical(estimator, iris):
    X, y, _ = iris
    first = fit_to_bytes(clone(estimator), X, y)
    assert first == fit_to_bytes(clone(estimator), X, y)
    refitted = clone(estimator)
    fit_to_bytes(refitted, X[:, :2], y)
    assert first == fit_to_bytes(refitted, X, y)
    assert first != fit_to_bytes(clone(estimator).set_params(random_state=8), X, y)


def test_the_state_of_global_generators_has_no_effect(estimator, iris):
    X, y, _ = iris
    results = []
    for seed in (0, 1):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append(fit_to_bytes(clone(estimator), X, y))
    assert results[0] == results[1]


@pytest.mark.parametrize("random_state", [None, 0])
def test_the_state_of_global_generators_is_unchanged(
    estimator, iris, global_generators, random_state
):
    X, y, _ = iris
    estimator.set_params(random_state=random_state)
    before = global_generators()
    fit_to_bytes(estimator, X, y)
    estimator.inverse_transform(estimator.transform(X))
    estimator.partial_fit(X, y)
    assert before == global_generators()


def test_concurrent_fits_are_those_of_a_single_thread(estimator, iris):
    X, y, _ = iris
    expected = [
        fit_to_bytes(clone(estimator).set_params(random_state=seed), X, y)
        for seed in (1, 2)
    ]
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(
                fit_to_bytes, clone(estimator).set_params(random_state=seed), X, y
            )
            for seed in (1, 2) * 2
        ]
    assert [job.result() for job in jobs] == expected * 2


def test_a_random_state_instance_is_advanced(estimator, iris):
    X, y, _ = iris
    rng = np.random.RandomState(0)
    estimator.set_params(random_state=rng)
    first = fit_to_bytes(estimator, X, y)
    assert first != fit_to_bytes(estimator, X, y)
    same = estimator.set_params(random_state=np.random.RandomState(0))
    assert first == fit_to_bytes(same, X, y)


def test_fits_differ_without_a_random_state(estimator, iris):
    X, y, _ = iris
    estimator.set_params(random_state=None)
    np.random.seed(0)
    first = fit_to_bytes(clone(estimator), X, y)
    np.random.seed(0)
    assert first != fit_to_bytes(clone(estimator), X, y)


def test_several_calls_with_warm_start_are_one_long_fit(iris):
    """The random numbers of an epoch depend on its number only."""
    X, y, _ = iris
    whole = SSVAEClassifier(
        teacher=None, max_epochs=6, batch_size=32, random_state=0
    ).fit(X, y)
    parts = SSVAEClassifier(
        teacher=None, max_epochs=2, batch_size=32, random_state=0, warm_start=True
    )
    for _ in range(3):
        parts.fit(X, y)
    assert parts.n_iter_ == whole.n_iter_ == 6
    for a, b in zip(
        whole.module_.parameters(), parts.module_.parameters(), strict=True
    ):
        assert torch.equal(a, b)
