"""Threads, processes and forks: the answers of one thread alone, and nothing left."""

import multiprocessing
import os
import subprocess
import sys
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import torch
from concurrency import (
    FEW,
    MODELS,
    X_MISSING,
    X,
    call_from_threads,
    fit_to_bytes,
    make_classifier,
    resources_before_and_after,
)
from joblib import Parallel, delayed

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.utils.random import seeded_global_generator
from sk_ssvae.utils.threads import (
    WARNING_FILTERS_LOCK,
    ForkSafeLock,
    intra_op_threads,
    threads_for,
)

HERE = Path(__file__).parents[1] / "helpers"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no os.fork")
# Later Pythons warn of forks beside threads, which are the subject here.
forks = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


@pytest.fixture
def hurried():
    """Threads change fifty times as often as they do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


# Threads.


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_threads_ask_one_classifier_at_once(model, hurried):
    """While another classifier is fitted, with networks of one's own and with gaps."""
    clf = make_classifier(own=True, model=model).fit(X_MISSING, FEW)
    other = make_classifier(own=True, model=model, random_state=1)
    alone = fit_to_bytes(other, X_MISSING)

    def work():
        assert fit_to_bytes(other, X_MISSING) == alone

    wrong, n = call_from_threads(clf, X_MISSING, background=work)
    assert wrong == Counter()
    assert n == 72


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_threads_ask_every_kind_of_classifier_at_once(model, own, gaps, hurried):
    rows = X_MISSING if gaps else X
    clf = make_classifier(own, model=model).fit(rows, FEW)
    other = make_classifier(not own, model=model)
    wrong, _ = call_from_threads(
        clf, rows, n_rounds=8, background=lambda: fit_to_bytes(other, rows)
    )
    assert wrong == Counter()


@pytest.mark.parametrize("own", [False, True])
def test_fits_in_threads_are_those_of_one_thread(own, hurried):
    estimators = [
        make_classifier(own, model=model, random_state=seed)
        for seed, model in enumerate(["m2", "m1+m2", "sdgm"])
    ]
    alone = [fit_to_bytes(estimator, X_MISSING) for estimator in estimators]
    together = Parallel(n_jobs=6, backend="threading")(
        delayed(fit_to_bytes)(estimator, X_MISSING) for estimator in estimators * 2
    )
    assert together == alone * 2


def test_forests_in_threads_take_turns_at_filters_of_warnings(hurried):
    """Else scikit-learn finds none, and warns that it was not called as it should."""
    sys.setswitchinterval(1e-5)
    asked = OpinionPoolClassifier(views=("forest", "columns"), random_state=0)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(asked.fit, X[::2], FEW[::2]) for _ in range(4)]
        for job in jobs:
            job.result()
    assert seen == []


# Forks.


def in_a_fork(function, seconds=60):
    """Return what a function does in a child, which is killed if it takes too long."""
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: there.send(function()))
    child.start()
    try:
        assert here.poll(seconds), f"no answer after {seconds} s"
        return here.recv()
    finally:
        child.kill()
        child.join()


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@needs_fork
@forks
def test_a_child_fits_and_predicts_after_a_fit_with_threads(two_threads):
    many = np.tile(X, (100, 1))  # enough for torch to spread them
    clf = make_classifier(n_threads=2, max_epochs=1).fit(X, FEW)
    clf.predict(many)

    def child():
        clf.predict(many)
        clf.fit(many, np.tile(FEW, 100)).sample(len(many))
        return torch.get_num_threads()

    assert in_a_fork(child) == 2
    assert torch.get_num_threads() == 2
    clf.predict(many)


@needs_fork
@forks
def test_threads_of_a_child_may_have_threads(two_threads):
    def numbers():
        with intra_op_threads(2):
            return torch.get_num_threads()

    def child():
        with ThreadPoolExecutor(1) as pool:
            return numbers(), pool.submit(numbers).result()

    assert in_a_fork(child) == (1, 2)
    assert numbers() == 2


@needs_fork
@forks
def test_a_child_finds_free_what_other_threads_have(two_threads):
    held, done = Event(), Event()

    def hold():
        with (
            WARNING_FILTERS_LOCK.taken(),
            seeded_global_generator(0),
            intra_op_threads(1),
        ):
            held.set()
            done.wait()

    thread = Thread(target=hold)
    thread.start()
    held.wait()

    def child():
        with WARNING_FILTERS_LOCK.taken(), seeded_global_generator(0):
            torch.set_num_threads(1)  # now the user's own, and nobody forces it
            return threads_for(None, 2**40)

    try:
        assert in_a_fork(child) == 1
    finally:
        done.set()
        thread.join()


@needs_fork
@forks
def test_who_has_a_turn_when_forking_has_it_in_the_child():
    turns = ForkSafeLock()

    def child():
        with turns.taken():
            return "taken"

    with turns.taken():
        assert in_a_fork(child) == "taken"
        with turns.taken():
            pass


BACKENDS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from joblib import Parallel, delayed
from concurrency import *
torch.set_num_threads(2)
make_classifier(n_threads=2).fit(X, FEW).predict(np.tile(X, (300, 1)))
some = [
    make_classifier(own, model=model, random_state=seed, n_threads=1)
    for seed, model in enumerate(("m2", "m1+m2", "sdgm"))
    for own in (False, True)
]
alone = [fit_to_bytes(one, X_MISSING) for one in some]
if __name__ == "__main__":
    for backend in ("threading", "multiprocessing", "loky"):
        found = Parallel(n_jobs=2, backend=backend)(
            delayed(fit_to_bytes)(one, X_MISSING) for one in some
        )
        print(backend, found == alone, flush=True)
"""


@needs_fork
@pytest.mark.slow
def test_every_backend_of_joblib_fits_to_the_same_bits(tmp_path):
    """Processes that are forked after a fit with threads, too."""
    program = tmp_path / "backends.py"
    program.write_text(BACKENDS)
    done = subprocess.run(
        [sys.executable, program, HERE],
        stdout=subprocess.PIPE,
        timeout=240,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        *("threading", "True"),
        *("multiprocessing", "True"),
        *("loky", "True"),
    ]


# What is left.


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.slow
def test_two_hundred_fits_leave_nothing():
    before, after = resources_before_and_after(200)
    assert after["bytes"] < 1.04 * before["bytes"]
    for kind in ("threads", "files", "children"):
        assert after[kind] == before[kind]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA")
@pytest.mark.slow
def test_fits_on_a_gpu_leave_no_memory():
    def held(n):
        for seed in range(n):
            clf = make_classifier(device="cuda", random_state=seed).fit(X, FEW)
            clf.predict(X)
        del clf
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    assert held(5) == held(50)
