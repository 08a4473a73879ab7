"""One random_state fixes everything; global generators are neither read nor moved."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.semi_supervised import SelfTrainingClassifier

from sk_ssvae import SSVAEClassifier


def everything(clf, X, y):
    """All that a fit gives, as bytes."""
    clf.fit(X, y)
    drawn, classes = clf.sample(7)
    parts = [
        *(v.numpy() for v in clf.module_.state_dict().values()),
        clf.predict_proba(X),
        clf.transform(X),
        clf.score_samples(X),
        clf.label_distributions_,
        clf.transduction_,
        drawn,
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


def test_two_runs(estimator, iris):
    X, y, _ = iris
    first = everything(clone(estimator), X, y)
    assert first == everything(clone(estimator), X, y)
    again = clone(estimator)
    everything(again, X[:, :2], y)
    assert first == everything(again, X, y)
    assert first != everything(clone(estimator).set_params(random_state=8), X, y)


def test_global_generators_in_any_state(estimator, iris):
    X, y, _ = iris
    results = []
    for seed in (0, 1):
        np.random.seed(seed)
        torch.manual_seed(seed)
        results.append(everything(clone(estimator), X, y))
    assert results[0] == results[1]


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_untouched(
    estimator, iris, global_generators, random_state
):
    X, y, _ = iris
    estimator.set_params(random_state=random_state)
    before = global_generators()
    everything(estimator, X, y)
    estimator.inverse_transform(estimator.transform(X))
    estimator.partial_fit(X, y)
    assert before == global_generators()


def test_threads_at_once_do_not_disturb_each_other(estimator, iris):
    X, y, _ = iris
    alone = [
        everything(clone(estimator).set_params(random_state=seed), X, y)
        for seed in (1, 2)
    ]
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(
                everything, clone(estimator).set_params(random_state=seed), X, y
            )
            for seed in (1, 2) * 4
        ]
    assert [job.result() for job in jobs] == alone * 4


def test_a_random_state_instance_moves_on(estimator, iris):
    X, y, _ = iris
    rng = np.random.RandomState(0)
    estimator.set_params(random_state=rng)
    first = everything(estimator, X, y)
    assert first != everything(estimator, X, y)
    same = estimator.set_params(random_state=np.random.RandomState(0))
    assert first == everything(same, X, y)


def test_none_is_fresh_every_time(estimator, iris):
    X, y, _ = iris
    estimator.set_params(random_state=None)
    np.random.seed(0)
    first = everything(clone(estimator), X, y)
    np.random.seed(0)
    assert first != everything(clone(estimator), X, y)


def test_cutting_training_into_calls_changes_nothing(iris):
    """Epoch t draws the same numbers whether or not training stopped before it."""
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
