"""Threads: chosen for the work, and the caller's setting is given back."""

import threading

import pytest
import torch
from skorch.callbacks import Callback

from sk_ssvae.utils.threads import WORK_PER_THREAD, intra_op_threads, threads_for


@pytest.fixture
def four():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class Record(Callback):
    """Note how many threads torch has in every epoch."""

    def __init__(self, seen):
        self.seen = seen

    def on_epoch_begin(self, net, **kwargs):
        self.seen.append(torch.get_num_threads())


def test_the_work_decides_within_the_callers_setting(four):
    assert threads_for(None, 0) == 1
    assert threads_for(None, WORK_PER_THREAD - 1) == 1
    assert threads_for(None, 2 * WORK_PER_THREAD) == 2
    assert threads_for(None, 100 * WORK_PER_THREAD) == 4
    assert threads_for(7, 0) == 7


def test_the_setting_comes_back(four):
    with intra_op_threads(2):
        assert torch.get_num_threads() == 2
        with intra_op_threads(3):
            assert torch.get_num_threads() == 3
            # the caller's four still are the limit
            assert threads_for(None, 100 * WORK_PER_THREAD) == 4
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 4
    with pytest.raises(KeyError), intra_op_threads(2):
        raise KeyError
    assert torch.get_num_threads() == 4


def test_fits_give_the_setting_back(four, quick, iris):
    X, y, _ = iris
    seen = []
    quick(callbacks=[Record(seen)]).fit(X, y)
    assert set(seen) == {1}  # iris is no work
    seen.clear()
    quick(callbacks=[Record(seen)], n_threads=3).fit(X, y)
    assert set(seen) == {3}
    assert torch.get_num_threads() == 4
    with pytest.raises(ValueError, match="diverged"):
        quick(learning_rate=1e30, n_threads=2).fit(X, y)
    assert torch.get_num_threads() == 4


def test_predictions_give_the_setting_back(four, quick, iris, monkeypatch):
    X, y, _ = iris
    clf = quick(n_threads=2).fit(X, y)
    seen = []
    forward = clf.module_.classifier.forward
    monkeypatch.setattr(
        clf.module_.classifier,
        "forward",
        lambda x: (seen.append(torch.get_num_threads()), forward(x))[1],
    )
    clf.predict_proba(X)
    clf.transform(X)
    clf.set_params(n_threads=None).predict(X)
    assert seen == [2, 2, 1]
    assert torch.get_num_threads() == 4


def test_fits_in_several_threads_give_the_setting_back(four, quick, iris):
    """Torch's setting is the process's: whoever leaves last restores it."""
    X, y, _ = iris

    def fit(n_threads):
        quick(max_epochs=20 * n_threads, n_threads=n_threads).fit(X, y)

    workers = [threading.Thread(target=fit, args=(n,)) for n in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert torch.get_num_threads() == 4
    after = []
    thread = threading.Thread(target=lambda: after.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert after == [4]


@pytest.mark.parametrize("n_threads", [0, -1, 1025, 1.5, "many"])
def test_numbers_of_threads_that_are_none(quick, iris, n_threads):
    X, y, _ = iris
    with pytest.raises(ValueError) as error:
        quick(n_threads=n_threads).fit(X, y)
    assert str(error.value).startswith(
        "The 'n_threads' parameter of SSVAEClassifier must be None or an int in the "
        f"range [1, 1024]. Got {n_threads!r} instead."
    )


def test_predictions_refuse_numbers_of_threads_that_are_none(four, quick, iris):
    X, y, _ = iris
    clf = quick().fit(X, y)
    for n_threads in (0, "many", 1.5):
        with pytest.raises(ValueError) as error:
            clf.set_params(n_threads=n_threads).predict(X)
        assert str(error.value) == (
            f"n_threads must be None or an integer from 1 to 1024, got {n_threads!r}."
        )
    torch.set_num_threads(3)
    clf.set_params(n_threads=1).predict(X)
    assert torch.get_num_threads() == 3


def test_a_thread_with_a_setting_of_its_own_keeps_it(four, quick, iris):
    X, y, _ = iris
    clf, seen = quick(max_epochs=1).fit(X, y), []
    inside, done = threading.Event(), threading.Event()

    def work():
        torch.set_num_threads(3)
        with intra_op_threads(1):
            inside.set()
            done.wait()
        seen.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    inside.wait()
    clf.fit(X, y)
    done.set()
    worker.join()
    assert seen == [3]
    assert torch.get_num_threads() == 4


def test_a_fit_within_a_fit_leaves_the_outer_ones_threads(four, quick, iris):
    X, y, _ = iris
    seen = []

    class Nested(Callback):
        def on_epoch_end(self, net, **kwargs):
            quick(n_threads=3, max_epochs=1).fit(X, y)

    quick(n_threads=2, callbacks=[Record(seen), Nested()]).fit(X, y)
    assert seen == [2] * 4
