"""Number of threads of torch: chosen by the work, restored after every call."""

import threading

import pytest
import torch
from skorch.callbacks import Callback

from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.threads import WORK_PER_THREAD, intra_op_threads, threads_for


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
