"""Threads, processes and forks: results of a single thread, and no leaks."""

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
    bytes_in_use,
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

HELPERS = Path(__file__).parents[1] / "helpers"

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
# Later versions of Python warn about forks of processes with threads.
forks_with_threads = pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)


@pytest.fixture
def frequent_switches():
    """Switch between threads fifty times as often as by default."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


# Threads


@pytest.mark.parametrize("model", ["m2", "m1+m2", "sdgm"])
def test_concurrent_calls_return_the_results_of_a_single_thread(
    model, frequent_switches
):
    """Another thread fits a classifier meanwhile; networks are user-supplied."""
    clf = make_classifier(own=True, model=model).fit(X_MISSING, FEW)
    other = make_classifier(own=True, model=model, random_state=1)
    expected = fit_to_bytes(other, X_MISSING)

    def fit_other():
        assert fit_to_bytes(other, X_MISSING) == expected

    wrong, n = call_from_threads(clf, X_MISSING, background=fit_other)
    assert wrong == Counter()
    assert n == 72


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_concurrent_calls_of_every_kind_of_classifier(
    model, own, missing, frequent_switches
):
    rows = X_MISSING if missing else X
    clf = make_classifier(own, model=model).fit(rows, FEW)
    other = make_classifier(not own, model=model)
    wrong, _ = call_from_threads(
        clf, rows, n_rounds=8, background=lambda: fit_to_bytes(other, rows)
    )
    assert wrong == Counter()


@pytest.mark.parametrize("own", [False, True])
def test_concurrent_fits_are_those_of_a_single_thread(own, frequent_switches):
    estimators = [
        make_classifier(own, model=model, random_state=seed)
        for seed, model in enumerate(["m2", "m1+m2", "sdgm"])
    ]
    expected = [fit_to_bytes(estimator, X_MISSING) for estimator in estimators]
    concurrent = Parallel(n_jobs=6, backend="threading")(
        delayed(fit_to_bytes)(estimator, X_MISSING) for estimator in estimators * 2
    )
    assert concurrent == expected * 2


def test_concurrent_fits_of_forests_issue_no_warnings(frequent_switches):
    """Without a lock of the global warning filters, scikit-learn would warn."""
    sys.setswitchinterval(1e-5)
    pool = OpinionPoolClassifier(views=("forest", "columns"), random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as executor:
            jobs = [executor.submit(pool.fit, X[::2], FEW[::2]) for _ in range(4)]
        for job in jobs:
            job.result()
    assert caught == []


# Forks


def call_in_fork(function, seconds=60):
    """Return the result of a function in a child process, or fail after a timeout."""
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: sender.send(function()))
    child.start()
    try:
        assert receiver.poll(seconds), f"no result after {seconds} s"
        return receiver.recv()
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
@forks_with_threads
def test_a_child_fits_and_predicts_after_a_fit_with_two_threads(two_threads):
    many = np.tile(X, (100, 1))  # enough rows for torch to use both threads
    clf = make_classifier(n_threads=2, max_epochs=1).fit(X, FEW)
    clf.predict(many)

    def child():
        clf.predict(many)
        clf.fit(many, np.tile(FEW, 100)).sample(len(many))
        return torch.get_num_threads()

    assert call_in_fork(child) == 2
    assert torch.get_num_threads() == 2
    clf.predict(many)


@needs_fork
@forks_with_threads
def test_threads_of_a_child_may_use_several_threads(two_threads):
    def n_threads():
        with intra_op_threads(2):
            return torch.get_num_threads()

    def child():
        with ThreadPoolExecutor(1) as pool:
            return n_threads(), pool.submit(n_threads).result()

    assert call_in_fork(child) == (1, 2)
    assert n_threads() == 2


@needs_fork
@forks_with_threads
def test_locks_held_by_other_threads_are_free_in_a_child(two_threads):
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
            torch.set_num_threads(1)  # a setting of the user, no longer a forced one
            return threads_for(None, 2**40)

    try:
        assert call_in_fork(child) == 1
    finally:
        done.set()
        thread.join()


@needs_fork
@forks_with_threads
def test_a_lock_held_when_forking_can_be_taken_again_in_the_child():
    lock = ForkSafeLock()

    def child():
        with lock.taken():
            return "taken"

    with lock.taken():
        assert call_in_fork(child) == "taken"
        with lock.taken():
            pass


BACKENDS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from joblib import Parallel, delayed
from concurrency import *
torch.set_num_threads(2)
make_classifier(n_threads=2).fit(X, FEW).predict(np.tile(X, (300, 1)))
classifiers = [
    make_classifier(own, model=model, random_state=seed, n_threads=1)
    for seed, model in enumerate(("m2", "m1+m2", "sdgm"))
    for own in (False, True)
]
expected = [fit_to_bytes(clf, X_MISSING) for clf in classifiers]
if __name__ == "__main__":
    for backend in ("threading", "multiprocessing", "loky"):
        results = Parallel(n_jobs=2, backend=backend)(
            delayed(fit_to_bytes)(clf, X_MISSING) for clf in classifiers
        )
        print(backend, results == expected, flush=True)
"""


@needs_fork
@pytest.mark.slow
def test_fits_are_bit_identical_with_every_backend_of_joblib(tmp_path):
    """Also in processes that are forked after a fit with several threads."""
    program = tmp_path / "backends.py"
    program.write_text(BACKENDS)
    done = subprocess.run(
        [sys.executable, program, HELPERS],
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


# Leaks


@pytest.mark.skipif(bytes_in_use() == 0, reason="needs mallinfo2 of glibc")
def test_memory_that_is_kept_counts_as_in_use():
    before = bytes_in_use()
    kept = [torch.ones(2**12) for _ in range(2**7)]
    assert bytes_in_use() >= before + 2**21
    del kept
    assert bytes_in_use() < before + 2**20


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.slow
def test_two_hundred_fits_leak_no_resources():
    before, after = resources_before_and_after(200)
    assert after["bytes"] < before["bytes"] + 2**20
    assert after["blocks"] < 1.01 * before["blocks"]
    assert after["resident"] < 1.25 * before["resident"]
    for kind in ("threads", "files", "children"):
        assert after[kind] == before[kind]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.slow
def test_fits_on_a_gpu_leak_no_memory():
    def allocated_after(n):
        for seed in range(n):
            clf = make_classifier(device="cuda", random_state=seed).fit(X, FEW)
            clf.predict(X)
        del clf
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()

    assert allocated_after(5) == allocated_after(50)
