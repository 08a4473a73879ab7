"""Work for many threads and many rounds, which tests and benchmarks share."""

import gc
import os
import pickle
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

import sk_ssvae
from sk_ssvae import SSVAEClassifier

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
HOLED = np.where(np.arange(600).reshape(150, 4) % 11, X, np.nan)
MODELS = ("m2", "m1+m2", "sdgm", "adgm")
ROLES = ("classifier_module", "encoder_module", "decoder_module")


class Wide(nn.Sequential):
    """A network with statistics of batches, and dropout."""

    def __init__(self, in_features, out_features):
        super().__init__(
            nn.Linear(in_features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(8, out_features),
        )


def small(own=False, **parameters):
    """Make an estimator that is fitted in tens of milliseconds."""
    given = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "inner_size": 3,
        "max_epochs": 2,
        "pretrain_epochs": 1,
        "teacher": None,
        "random_state": 0,
    }
    if own:
        given |= dict.fromkeys(ROLES, Wide)
    return SSVAEClassifier(**(given | parameters))


def fitted(estimator, rows=X, y=FEW):
    """All that a fit gives, as bytes."""
    clf = clone(estimator).fit(rows, y)
    weights = [value.numpy() for value in clf.module_.state_dict().values()]
    parts = [*weights, clf.predict_proba(rows), clf.label_distributions_]
    return b"".join(part.tobytes() for part in parts)


def calls(clf, rows, folder):
    """Ways to ask a fitted classifier, by name; each answers in bytes."""
    own = {name: getattr(clf, name) for name in ROLES}

    def ask(method, *args, **kwargs):
        answer = getattr(clf, method)(*args, **kwargs)
        parts = answer if isinstance(answer, tuple) else (answer,)
        return b"".join(np.asarray(part).tobytes() for part in parts)

    def saved():
        path = Path(folder, str(threading.get_ident()))
        clf.save(path)
        loaded = sk_ssvae.load(path, **{k: v for k, v in own.items() if v is not None})
        return loaded.predict_proba(rows).tobytes()

    def pickled():
        return pickle.loads(pickle.dumps(clf)).predict_proba(rows).tobytes()

    Z = np.linspace(-1, 1, 2 * len(rows)).reshape(-1, 2)
    return {
        "predict_proba": lambda: ask("predict_proba", rows),
        "transform": lambda: ask("transform", rows),
        "score_samples": lambda: ask("score_samples", rows, n_draws=5),
        "sample": lambda: ask("sample", 20),
        "inverse_transform": lambda: ask("inverse_transform", Z),
        "impute": lambda: ask("impute", rows, n_draws=5),
        "score": lambda: ask("score", rows, TRUTH),
        "save and load": saved,
        "pickle": pickled,
    }


@contextmanager
def beside(work):
    """Have a thread do some work over and over; its errors are raised at the end."""
    done = threading.Event()

    def go_on():
        n = 0
        while not done.is_set() or n == 0:
            work()
            n += 1

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(go_on)
        try:
            yield
        finally:
            done.set()
        job.result()


def asked_at_once(clf, rows, *, n_threads=8, rounds=1, work=None):
    """Ask a classifier from many threads at once, while another one works.

    Returns
    -------
    wrong : Counter
        Calls whose answers are not to the bit those of a single thread, by name.
    n : int
        Calls.
    """
    with tempfile.TemporaryDirectory() as folder:
        ask = calls(clf, rows, folder)
        alone = {name: one() for name, one in ask.items()}
        start = threading.Barrier(n_threads)

        def some(i):
            names = list(ask)[i % len(ask) :] + list(ask)[: i % len(ask)]
            start.wait()
            answers = [(name, ask[name]()) for _ in range(rounds) for name in names]
            return [name for name, answer in answers if answer != alone[name]]

        with beside(work or (lambda: None)), ThreadPoolExecutor(n_threads) as pool:
            wrong = Counter(chain.from_iterable(pool.map(some, range(n_threads))))
    return wrong, n_threads * rounds * len(ask)


def live(i, folder):
    """Do all that an estimator can do once: fit, ask, save, load, go on, fail."""
    rows = HOLED if i % 2 else X
    own = i % 5 == 0
    networks = dict.fromkeys(ROLES, Wide) if own else {}
    state, path = Path(folder, "state"), Path(folder, "file")
    clf = small(
        own,
        model=MODELS[i % 4],
        checkpoint=str(state),
        n_threads=1 + i % 2,
        teacher=None if i % 20 else "pool",
        early_stopping=i % 3 == 0,
    )
    clf.fit(rows, FEW)
    clf.partial_fit(rows, FEW).predict(rows)
    clf.sample(20)
    clf.score_samples(rows, n_draws=5)
    clf.save(path)
    sk_ssvae.load(path, **networks).transform(rows)
    pickle.loads(pickle.dumps(clf))
    with suppress(ValueError):  # nor does a fit leave anything that fails
        small(class_prior=[0.5, 0.5]).fit(rows, FEW)
    state.unlink()


def live_in_a_thread(i, folder):
    """Do so in a new thread every third time."""
    if i % 3:
        live(i, folder)
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(live, i, folder).result()


def _is_child(process):
    """Whether a folder of /proc is of a child of this process."""
    try:
        status = (process / "status").read_text()
    except OSError:  # it has ended meanwhile
        return False
    return f"PPid:\t{os.getpid()}\n" in status


def resources():
    """Count what the process holds, where /proc tells it."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    kilobytes = next(s for s in status.splitlines() if s.startswith("VmRSS")).split()[1]
    children = [path for path in Path("/proc").glob("[0-9]*") if _is_child(path)]
    return {
        "bytes": 1024 * int(kilobytes),
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
        "children": len(children),
    }


def resources_of_rounds(n, *, warm_up=20, work=live_in_a_thread):
    """Count what the process holds after rounds to get warm, and after `n` more.

    Returns
    -------
    before, after : dict
        As `resources` says.
    """
    with tempfile.TemporaryDirectory() as folder:
        for i in range(warm_up):
            work(i, folder)
        before = resources()
        for i in range(n):
            work(i, folder)
        return before, resources()
