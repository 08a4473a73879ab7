"""Numbers of threads of torch and BLAS: set for a call, restored after it."""

import os
import threading

import pytest
import torch
from skorch.callbacks import Callback
from threadpoolctl import threadpool_info, threadpool_limits

from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.threads import (
    WORK_PER_THREAD,
    intra_op_threads,
    one_blas_thread,
    one_thread,
    threads_for,
)


@pytest.fixture
def user_set_four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


pytestmark = pytest.mark.usefixtures("user_set_four_threads")


class RecordThreads(Callback):
    """Record torch's number of threads in every epoch."""

    def __init__(self, recorded):
        self.recorded = recorded

    def on_epoch_begin(self, net, **kwargs):
        self.recorded.append(torch.get_num_threads())


def test_number_of_threads_grows_with_the_work_up_to_the_users_setting():
    assert threads_for(None, 0) == 1
    assert threads_for(None, WORK_PER_THREAD - 1) == 1
    assert threads_for(None, 2 * WORK_PER_THREAD) == 2
    assert threads_for(None, 100 * WORK_PER_THREAD) == 4
    assert threads_for(7, 0) == 7


def test_setting_is_restored():
    with intra_op_threads(2):
        assert torch.get_num_threads() == 2
        with intra_op_threads(3):
            assert torch.get_num_threads() == 3
            # The user's setting remains the limit.
            assert threads_for(None, 100 * WORK_PER_THREAD) == 4
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4
    with pytest.raises(KeyError), intra_op_threads(2):
        raise KeyError
    assert torch.get_num_threads() == 4


def test_fits_restore_the_setting(quick, iris):
    X, y, _ = iris
    recorded = []
    quick(max_epochs=2, callbacks=[RecordThreads(recorded)]).fit(X, y)
    assert set(recorded) == {1}  # iris is too little work for more
    recorded.clear()
    quick(
        max_epochs=2,
        callbacks=[RecordThreads(recorded)],
        options=ClassifierOptions(n_threads=3),
    ).fit(X, y)
    assert set(recorded) == {3}
    assert torch.get_num_threads() == 4


def test_failed_fits_restore_the_setting(quick, iris):
    X, y, _ = iris
    with pytest.raises(ValueError, match="diverged"):
        quick(learning_rate=1e30, options=ClassifierOptions(n_threads=2)).fit(X, y)
    assert torch.get_num_threads() == 4


def test_predictions_restore_the_setting(quick, iris, monkeypatch):
    X, y, _ = iris
    clf = quick(max_epochs=1, options=ClassifierOptions(n_threads=2)).fit(X, y)
    recorded = []
    forward = clf.module_.classifier.forward
    monkeypatch.setattr(
        clf.module_.classifier,
        "forward",
        lambda x: (recorded.append(torch.get_num_threads()), forward(x))[1],
    )
    clf.predict_proba(X)
    clf.transform(X)
    clf.set_params(options__n_threads=None).predict(X)
    assert recorded == [2, 2, 1]
    assert torch.get_num_threads() == 4


def test_concurrent_fits_restore_the_setting(quick, iris):
    """The setting is process-global: the fit that ends last restores it."""
    X, y, _ = iris

    def fit(n_threads):
        options = ClassifierOptions(n_threads=n_threads)
        quick(max_epochs=5 * n_threads, options=options).fit(X, y)

    workers = [threading.Thread(target=fit, args=(n,)) for n in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert torch.get_num_threads() == 4
    in_new_thread = []
    thread = threading.Thread(
        target=lambda: in_new_thread.append(torch.get_num_threads())
    )
    thread.start()
    thread.join()
    assert in_new_thread == [4]


MESSAGE = (
    "The 'n_threads' parameter of ClassifierOptions must be None or an int in the "
    "range [1, 1024]. Got {!r} instead."
)


@pytest.mark.parametrize("n_threads", [0, -1, 1025, 1.5, "many"])
def test_invalid_n_threads_is_refused_by_fit(quick, iris, n_threads):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(options=ClassifierOptions(n_threads=n_threads)).fit(X, y)
    assert str(error.value) == MESSAGE.format(n_threads)


def test_invalid_n_threads_is_refused_by_predict(quick, iris):
    X, y, _ = iris
    clf = quick(max_epochs=1).fit(X, y)
    for n_threads in (0, "many", 1.5):
        with pytest.raises(ValueError) as error:
            clf.set_params(options__n_threads=n_threads).predict(X)
        assert str(error.value) == MESSAGE.format(n_threads)
    torch.set_num_threads(3)
    clf.set_params(options__n_threads=1).predict(X)
    assert torch.get_num_threads() == 3


def test_fits_do_not_change_the_setting_of_another_thread(quick, iris):
    X, y, _ = iris
    clf, restored = quick(max_epochs=1), []
    is_inside, is_fitted = threading.Event(), threading.Event()

    def work():
        torch.set_num_threads(3)
        with intra_op_threads(1):
            is_inside.set()
            is_fitted.wait()
        restored.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    is_inside.wait()
    clf.fit(X, y)
    is_fitted.set()
    worker.join()
    assert restored == [3]
    assert torch.get_num_threads() == 4


def test_nested_fits_restore_the_setting_of_the_outer_fit(quick, iris):
    X, y, _ = iris
    recorded = []

    class NestedFit(Callback):
        def on_epoch_end(self, net, **kwargs):
            quick(options=ClassifierOptions(n_threads=3), max_epochs=1).fit(X, y)

    quick(
        max_epochs=2,
        options=ClassifierOptions(n_threads=2),
        callbacks=[RecordThreads(recorded), NestedFit()],
    ).fit(X, y)
    assert recorded == [2] * 2


def pool_sizes(user_api):
    return {
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == user_api
    }


@pytest.fixture
def user_set_two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        if pool_sizes("blas") != {2}:
            pytest.skip("The BLAS library has one thread.")
        yield


@pytest.mark.usefixtures("user_set_two_blas_threads")
def test_blas_threads_are_restored_by_the_last_of_concurrent_computations():
    entered, left = threading.Event(), threading.Event()
    first_exit = []

    def compute():
        with one_blas_thread():
            entered.set()
            left.wait()
            first_exit.append(pool_sizes("blas"))

    worker = threading.Thread(target=compute)
    with one_blas_thread():
        assert pool_sizes("blas") == {1}
        with one_blas_thread():
            assert pool_sizes("blas") == {1}
        worker.start()
        entered.wait()
    # This computation began first and ended first: the other one is still limited.
    assert pool_sizes("blas") == {1}
    left.set()
    worker.join()
    assert first_exit == [{1}]
    assert pool_sizes("blas") == {2}
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert pool_sizes("blas") == {2}


@pytest.mark.usefixtures("user_set_two_blas_threads")
def test_blas_threads_are_limited_in_a_thread_that_did_not_set_them_first():
    sizes = []

    def compute():
        with one_blas_thread():
            sizes.append(pool_sizes("blas"))
        sizes.append(pool_sizes("blas"))

    worker = threading.Thread(target=compute)
    worker.start()
    worker.join()
    assert sizes == [{1}, {2}]


@pytest.mark.usefixtures("user_set_two_blas_threads")
def test_openmp_threads_are_restored():
    before = pool_sizes("openmp")
    with one_thread():
        assert pool_sizes("openmp") == pool_sizes("blas") == {1}
        assert torch.get_num_threads() == 1
    assert pool_sizes("openmp") == before
    assert pool_sizes("blas") == {2}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.usefixtures("user_set_two_blas_threads")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_forgets_the_computations_of_other_threads():
    entered, left = threading.Event(), threading.Event()

    def compute():
        with one_blas_thread():
            entered.set()
            left.wait()

    worker = threading.Thread(target=compute)
    worker.start()
    entered.wait()
    child = os.fork()
    if child == 0:
        with one_blas_thread():
            pass
        os._exit(pool_sizes("blas") != {2})
    left.set()
    worker.join()
    assert os.waitpid(child, 0)[1] == 0
    assert pool_sizes("blas") == {2}
