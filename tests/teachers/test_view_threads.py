"""Views that are fitted, and predict, in parallel threads."""

import sys
import threading
import time
import warnings
from contextlib import nullcontext

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info

from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier
from sk_ssvae.estimators.run_identity import run_parameters
from sk_ssvae.teachers import neighbour_graph, registry, view_sets
from sk_ssvae.teachers import pool as pool_module
from sk_ssvae.teachers.neighbour_graph import NeighbourGraph
from sk_ssvae.teachers.registry import FIRST_STAGE_VIEWS, SECOND_STAGE_VIEWS
from sk_ssvae.teachers.view_threads import ordered_results
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.threads import WARNING_FILTERS_LOCK
from sk_ssvae.utils.warnings import recorded_warnings, warn_user

JOBS = (1, 2, 3)


@pytest.fixture
def rows():
    """Rows with 18 columns, 60 of them labelled, so that all views are defaults."""
    X, y = make_classification(
        300, 18, n_informative=6, n_classes=3, class_sep=1.5, random_state=0
    )
    y[60:] = -1
    return X, y


@pytest.fixture
def short_latent_views(monkeypatch):
    monkeypatch.setattr(registry, "LATENT_STEPS", (3, 3))


class Recorded(ClassifierMixin, BaseEstimator):
    """Records in which thread it is called, and the number of BLAS threads there."""

    calls = []

    def __init__(self, name="", fails=False):
        self.name = name
        self.fails = fails

    def _record(self, method):
        limits = {
            library["num_threads"]
            for library in threadpool_info()
            if library["user_api"] == "blas"
        }
        self.calls.append((self.name, method, threading.get_ident(), limits))

    def fit(self, X, y):
        self._record("fit")
        if self.fails:
            raise OSError("no space")
        self.inner_ = LogisticRegression().fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        self._record("predict")
        return self.inner_.predict_proba(X)


def state(pool, X):
    return {
        "distributions": pool.label_distributions_,
        "new rows": pool.predict_proba(X[::2] + 0.1),
        "weights": np.array([*pool.weights_.values()]),
        "log-loss": np.array([*pool.held_out_log_loss_.values()]),
        "shares": pool.class_shares_,
        "transduction": pool.transduction_,
    }


def assert_same(pool, expected, X):
    for name, value in state(pool, X).items():
        assert value.tobytes() == expected[name].tobytes(), name


# Results


@pytest.mark.parametrize(
    ("max_rows", "neighbors_algorithm"), [(1000, "auto"), (100, "auto"), (100, "faiss")]
)
def test_results_do_not_depend_on_the_number_of_jobs(
    rows, short_latent_views, max_rows, neighbors_algorithm, monkeypatch
):
    """All views there are, with and without a sample of the rows."""
    if neighbors_algorithm == "faiss":
        pytest.importorskip("faiss")
        monkeypatch.setattr(neighbour_graph, "MIN_PROBED_ROWS", 50)
    # Some rows are not in the graphs of latent means either.
    monkeypatch.setattr(pool_module, "MAX_LATENT_GRAPH_ROWS", 200)
    X, y = rows
    views = (
        *FIRST_STAGE_VIEWS,
        ("own", LogisticRegression(C=0.1)),
        *SECOND_STAGE_VIEWS,
    )
    pool = OpinionPoolClassifier(
        views=views,
        max_rows=max_rows,
        neighbors_algorithm=neighbors_algorithm,
        random_state=0,
    )
    expected = state(pool.fit(X, y), X)
    assert (pool.sample_indices_ is None) == (max_rows == 1000)
    order = [*pool.weights_], [*pool.held_out_log_loss_]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        for n_jobs in JOBS:
            pool.set_params(n_jobs=n_jobs)
            assert_same(pool, expected, X)  # of the estimator that is fitted already
            assert_same(pool.fit(X, y), expected, X)
            assert ([*pool.weights_], [*pool.held_out_log_loss_]) == order
    finally:
        sys.setswitchinterval(before)


def test_the_context_of_joblib_sets_the_number_of_jobs(rows, monkeypatch):
    X, y = rows
    threads = set()
    fit_view = view_sets.ViewSet._fit_view

    def recorded(self, name, **kwargs):
        threads.add(threading.get_ident())
        time.sleep(0.05)  # time for the other thread to take the next view
        return fit_view(self, name, **kwargs)

    monkeypatch.setattr(view_sets.ViewSet, "_fit_view", recorded)
    pool = OpinionPoolClassifier(views=["columns", "min-max", "ranks"], random_state=0)
    pool.fit(X, y)
    assert threads == {threading.get_ident()}
    threads.clear()
    with joblib.parallel_backend("threading", n_jobs=2):
        pool.fit(X, y)
    assert len(threads) == 2
    assert threading.get_ident() not in threads
    threads.clear()
    with joblib.parallel_backend("loky", n_jobs=2):  # 2 processes, not threads
        pool.fit(X, y)
    pool.set_params(n_jobs=1)
    with joblib.parallel_backend("threading", n_jobs=2):
        pool.fit(X, y)
    assert threads == {threading.get_ident()}


def test_zero_jobs_are_an_error_that_changes_nothing(rows):
    X, y = rows
    pool = OpinionPoolClassifier(views=["columns"], random_state=0).fit(X, y)
    before = pool.label_distributions_
    with pytest.raises(ValueError, match="n_jobs == 0 in Parallel has no meaning"):
        pool.set_params(n_jobs=0).fit(X, y)
    assert pool.label_distributions_ is before


# Classifiers of the user


def test_classifiers_of_the_user_keep_their_order_and_their_thread(rows):
    X, y = rows
    views = ["columns", ("a", Recorded("a")), "svm", ("b", Recorded("b")), "whitened"]
    pool = OpinionPoolClassifier(views=views, random_state=0, n_jobs=2)
    Recorded.calls.clear()
    pool.fit(X, y)
    pool.predict_proba(X)
    calls, threads, limits = [], set(), []
    for name, method, thread, n_threads in Recorded.calls:
        calls.append((name, method))
        threads.add(thread)
        limits.append(n_threads)
    assert threads == {threading.get_ident()}
    fits = [("a", "fit"), ("a", "predict")] * 6 + [("b", "fit"), ("b", "predict")] * 6
    assert calls == [*fits, ("a", "predict"), ("b", "predict")]
    # No view that limits them runs meanwhile.
    own = {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
    assert all(n_threads == own for n_threads in limits)


# Settings


def test_settings_of_the_calling_thread_hold_in_the_tasks():
    def settings():
        warn_user("from a task")
        return (
            sklearn.get_config()["assume_finite"],
            np.geterr()["over"],
            threading.get_ident(),
        )

    with (
        sklearn.config_context(assume_finite=True),
        np.errstate(over="raise"),
        recorded_warnings() as texts,
        pytest.warns(UserWarning, match="from a task"),
    ):
        results = [*ordered_results([settings] * 4, 2)]
    assert {result[:2] for result in results} == {(True, "raise")}
    assert threading.get_ident() not in {result[2] for result in results}
    assert texts == ["from a task"]


def test_settings_of_the_process_are_unchanged(rows):
    X, y = rows
    filters, info = [*warnings.filters], threadpool_info()
    pool = OpinionPoolClassifier(random_state=0, n_jobs=3).fit(X, y)
    pool.predict_proba(X)
    assert [*warnings.filters] == filters
    assert threadpool_info() == info


def test_only_searches_by_a_tree_wait_for_the_warning_filters():
    """scikit-learn changes the filters in these only."""
    Z = np.random.default_rng(0).normal(size=(50, 20))
    brute, tree = (
        threading.Thread(target=NeighbourGraph, args=(Z[:, :d],)) for d in (20, 3)
    )
    with WARNING_FILTERS_LOCK.taken():
        brute.start()
        tree.start()
        brute.join(10)
        tree.join(0.1)
        assert (brute.is_alive(), tree.is_alive()) == (False, True)
    tree.join(10)
    assert not tree.is_alive()


# Errors


def failing(views, error, monkeypatch):
    """Let a view fail as soon as another one has begun."""
    begun = threading.Event()
    make_view = view_sets.make_view

    def make(name, shape, settings):
        view = make_view(name, shape, settings)

        def fit(*args):
            if name == views[0]:
                begun.wait(10)
                raise error
            begun.set()
            return type(view).fit_predict_proba(view, *args)

        view.fit_predict_proba = fit
        return view

    monkeypatch.setattr(view_sets, "make_view", make)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("of a view")])
def test_an_error_in_a_thread_is_raised_and_changes_nothing(rows, monkeypatch, error):
    X, y = rows
    views = ["min-max", "ranks", "svm"]
    pool = OpinionPoolClassifier(views=views, random_state=0, n_jobs=2).fit(X, y)
    expected, info = state(pool, X), threadpool_info()
    with monkeypatch.context() as patch:
        failing(views, error, patch)
        with pytest.raises(type(error)):
            pool.fit(X, y)
    assert_same(pool, expected, X)
    assert_same(pool.fit(X, y), expected, X)
    deadline = time.monotonic() + 10
    while threadpool_info() != info and time.monotonic() < deadline:
        time.sleep(0.01)  # views of the failed fit may still compute
    assert threadpool_info() == info


def test_an_error_of_a_report_drops_views_that_have_not_begun(rows, monkeypatch):
    X, y = rows
    begun, release = [], threading.Event()

    def fit_view(self, name, **kwargs):
        begun.append(name)
        if name != "columns":
            release.wait(10)
        return None, None

    def report(name, i, n):
        if i == 2:
            raise OSError("cannot print")
        return nullcontext()

    monkeypatch.setattr(view_sets.ViewSet, "_fit_view", fit_view)
    views = ["columns", "min-max", "ranks", "svm", "forest"]
    pool = OpinionPoolClassifier(views=views, random_state=0, n_jobs=2)
    pool.on_view = report
    with pytest.raises(OSError) as caught:
        pool.fit(X, y)
    assert caught.tb is not None  # which keeps the frames of the failed fit
    release.set()
    time.sleep(0.05)  # time in which further views would begin
    assert "forest" not in begun


def test_an_error_of_a_classifier_of_the_user_names_its_view(rows):
    X, y = rows
    views = ["columns", "svm", ("own", Recorded(fails=True))]
    pool = OpinionPoolClassifier(views=views, random_state=0, n_jobs=2)
    with pytest.raises(OSError, match="no space") as caught:
        pool.fit(X, y)
    (note,) = caught.value.__notes__
    assert note.startswith("This was raised by the view 'own' of the opinion pool")
    assert not hasattr(pool, "classes_")


def test_an_interrupt_of_the_calling_thread_drops_tasks_that_have_not_begun():
    begun, release, ended = (
        threading.Barrier(3),
        threading.Event(),
        threading.Barrier(3),
    )
    ran = []

    def task(i):
        ran.append(i)
        begun.wait(10)
        release.wait(10)
        ended.wait(10)

    class Interrupt(BaseException):
        pass

    tasks = [lambda: "first", *(lambda i=i: task(i) for i in range(1, 6))]
    results = ordered_results(tasks, 2)
    assert next(results) == "first"
    begun.wait(10)  # both threads are busy
    with pytest.raises(Interrupt):
        results.throw(Interrupt())  # returns although they are
    release.set()
    ended.wait(10)
    time.sleep(0.05)  # time in which a third task would begin
    assert sorted(ran) == [1, 2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_error_of_the_first_task_that_fails_is_raised(n_jobs):
    later = threading.Event()

    def fail_late():
        later.wait(10 if n_jobs == 2 else 0)
        raise KeyError

    def fail_early():
        later.set()
        raise IndexError

    results = ordered_results([lambda: 0, fail_late, fail_early, fail_early], n_jobs)
    assert next(results) == 0
    with pytest.raises(KeyError):
        next(results)
    assert [*results] == []


def test_one_job_computes_a_result_when_it_is_asked_for():
    asked = []
    results = ordered_results([lambda i=i: asked.append(i) for i in range(3)], 1)
    assert asked == []
    next(results)
    assert asked == [0]


def test_results_have_the_order_of_the_tasks():
    def task(i):
        time.sleep(0.05 if i == 0 else 0)
        return i

    tasks = [lambda i=i: task(i) for i in range(6)]
    assert [*ordered_results(tasks, 3)] == [*range(6)]


# Reports, stored fits, and the teacher of another estimator


def test_reports_are_in_order_and_in_the_calling_thread(rows):
    X, y = rows
    reports = []

    def report(name, i, n):
        reports.append((name, i, n, threading.get_ident()))
        return sklearn.config_context()  # any context

    pool = OpinionPoolClassifier(
        views=["svm", ("own", LogisticRegression()), "columns", "whitened"],
        random_state=0,
        n_jobs=2,
    )
    pool.on_view = report
    pool.fit(X, y)
    names = ["columns", "svm", "own", "whitened"]
    own = threading.get_ident()
    assert reports == [(name, i, 4, own) for i, name in enumerate(names, 1)]


def test_a_stored_fit_is_read_with_another_number_of_jobs(rows, tmp_path, monkeypatch):
    X, y = rows
    pool = OpinionPoolClassifier(
        views=["columns", "svm"], random_state=0, memory=tmp_path, n_jobs=2
    )
    expected = state(pool.fit(X, y), X)
    assert pool.n_jobs == 2

    def not_called(*args):
        raise AssertionError

    monkeypatch.setattr(OpinionPoolClassifier, "_fit", not_called)
    for n_jobs in (None, 3):
        pool.set_params(n_jobs=n_jobs)
        assert_same(pool.fit(X, y), expected, X)
        assert pool.n_jobs == n_jobs


def test_the_teacher_of_a_classifier(rows, capsys):
    X, y = rows
    options = ClassifierOptions(max_time=60)
    pool = OpinionPoolClassifier(views=["columns", "svm", "whitened"])
    clf = SSVAEClassifier(
        teacher=pool, max_epochs=1, random_state=0, options=options, verbose=1
    )
    expected = clf.fit(X, y).predict_proba(X)
    lines = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    clf.set_params(teacher__n_jobs=2)
    assert clf.teacher.n_jobs == 2
    assert clf.fit(X, y).predict_proba(X).tobytes() == expected.tobytes()
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()][
        :4
    ] == lines[:4]
    assert lines[:3] == [f"teacher: {name}" for name in ("columns", "svm", "whitened")]


def test_training_may_continue_with_another_number_of_jobs():
    def run(teacher):
        return run_parameters(SSVAEClassifier(teacher=teacher), ClassifierOptions())

    one, two = (OpinionPoolClassifier(n_jobs=n) for n in (1, 2))
    assert run(one) == run(two)
    assert run(one) != run(OpinionPoolClassifier(n_neighbors=3))
    # Those of other classifiers may have an effect.
    assert run(LogisticRegression(n_jobs=1)) != run(LogisticRegression(n_jobs=2))
