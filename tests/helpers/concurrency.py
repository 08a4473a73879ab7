"""Concurrent calls of one classifier, and resource use over many fits."""

import ctypes
import gc
import os
import pickle
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import numpy as np
from model_objects import make_spec
from sklearn.base import clone
from sklearn.datasets import load_iris
from torch import nn

import sk_ssvae
from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.utils.heap import anonymous_memory, malloc_trim

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)
"""Labels of every fifth row, -1 for the others."""
X_MISSING = np.where(np.arange(600).reshape(150, 4) % 11, X, np.nan)
"""The rows with missing values."""
MODELS = ("m2", "m1+m2", "sdgm", "adgm")
ROLES = ("classifier_module", "encoder_module", "decoder_module")


class BatchNormNetwork(nn.Sequential):
    """A user-supplied network with batch normalisation and dropout."""

    def __init__(self, in_features, out_features):
        super().__init__(
            nn.Linear(in_features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(8, out_features),
        )


def make_classifier(own=False, model="m2", n_threads=None, **parameters):
    """Return an unfitted classifier that is fitted in tens of milliseconds.

    Parameters
    ----------
    own : bool
        Whether its networks are user-supplied.
    model : str
        Name of its model.
    n_threads : int or None
        Number of threads.
    **parameters : dict
        Other parameters of the classifier.
    """
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (8,),
        "classifier_hidden_sizes": (8,),
        "max_epochs": 2,
        "teacher": None,
        "random_state": 0,
        "model": make_spec(model, inner_size=3, pretrain_epochs=1),
        "options": ClassifierOptions(n_threads=n_threads),
    }
    if own:
        defaults |= dict.fromkeys(ROLES, BatchNormNetwork)
    return SSVAEClassifier(**(defaults | parameters))


def fit_to_bytes(estimator, rows=X, y=FEW):
    """Fit a clone and return its weights and probabilities as bytes."""
    clf = clone(estimator).fit(rows, y)
    weights = [value.numpy() for value in clf.module_.state_dict().values()]
    parts = [*weights, clf.predict_proba(rows), clf.label_distributions_]
    return b"".join(part.tobytes() for part in parts)


def make_calls(clf, rows, folder):
    """Return functions that call methods of a fitted classifier, by name.

    Each returns the result as bytes.
    """
    own = {name: getattr(clf, name) for name in ROLES}

    def call(method, *args, **kwargs):
        result = getattr(clf, method)(*args, **kwargs)
        parts = result if isinstance(result, tuple) else (result,)
        return b"".join(np.asarray(part).tobytes() for part in parts)

    def save_and_load():
        path = Path(folder, str(threading.get_ident()))
        clf.save(path)
        loaded = sk_ssvae.load(path, **{k: v for k, v in own.items() if v is not None})
        return loaded.predict_proba(rows).tobytes()

    def pickle_and_unpickle():
        return pickle.loads(pickle.dumps(clf)).predict_proba(rows).tobytes()

    Z = np.linspace(-1, 1, 2 * len(rows)).reshape(-1, 2)
    return {
        "predict_proba": lambda: call("predict_proba", rows),
        "transform": lambda: call("transform", rows),
        "score_samples": lambda: call("score_samples", rows, n_draws=5),
        "sample": lambda: call("sample", 20),
        "inverse_transform": lambda: call("inverse_transform", Z),
        "impute": lambda: call("impute", rows, n_draws=5),
        "score": lambda: call("score", rows, TRUTH),
        "save and load": save_and_load,
        "pickle": pickle_and_unpickle,
    }


@contextmanager
def repeat_in_background(function):
    """Call a function repeatedly in another thread; raise its errors at the end."""
    is_done = threading.Event()

    def repeat():
        n_calls = 0
        while not is_done.is_set() or n_calls == 0:
            function()
            n_calls += 1

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(repeat)
        try:
            yield
        finally:
            is_done.set()
        future.result()


def call_from_threads(clf, rows, *, n_threads=8, n_rounds=1, background=None):
    """Call all methods of a fitted classifier from many threads at once.

    Parameters
    ----------
    clf : SSVAEClassifier
        Fitted classifier.
    rows : ndarray of shape (150, 4)
        Rows to pass.
    n_threads, n_rounds : int
        Number of threads, and of calls of each method per thread.
    background : callable, default=None
        Function that another thread calls repeatedly meanwhile.

    Returns
    -------
    wrong : Counter
        Number of results that are not bit-identical to those of a single thread, by
        name of the method.
    n_calls : int
        Number of calls.
    """
    with tempfile.TemporaryDirectory() as folder:
        calls = make_calls(clf, rows, folder)
        expected = {name: call() for name, call in calls.items()}
        barrier = threading.Barrier(n_threads)

        def run(i):
            """Return the names of calls with wrong results; each thread its order."""
            names = list(calls)[i % len(calls) :] + list(calls)[: i % len(calls)]
            barrier.wait()
            results = [(name, calls[name]()) for _ in range(n_rounds) for name in names]
            return [name for name, result in results if result != expected[name]]

        with (
            repeat_in_background(background or (lambda: None)),
            ThreadPoolExecutor(n_threads) as pool,
        ):
            wrong = Counter(chain.from_iterable(pool.map(run, range(n_threads))))
    return wrong, n_threads * n_rounds * len(calls)


def use_classifier(i, folder):
    """Fit a classifier, call its methods, save, load, resume, and fail once.

    Parameters
    ----------
    i : int
        Determines the model, the networks, the rows and the options.
    folder : str
        Folder for files.
    """
    rows = X_MISSING if i % 2 else X
    own = i % 5 == 0
    networks = dict.fromkeys(ROLES, BatchNormNetwork) if own else {}
    checkpoint, path = Path(folder, "state"), Path(folder, "file")
    clf = make_classifier(
        own,
        model=MODELS[i % 4],
        checkpoint=str(checkpoint),
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
    with suppress(ValueError):  # a failed fit must not leak either
        make_classifier(class_prior=[0.5, 0.5]).fit(rows, FEW)
    checkpoint.unlink()


def use_classifier_in_threads(i, folder):
    """Call `use_classifier`, every third time in a new thread."""
    if i % 3:
        use_classifier(i, folder)
        return
    with ThreadPoolExecutor(1) as pool:
        pool.submit(use_classifier, i, folder).result()


def _is_child(process):
    """Return whether a folder of /proc belongs to a child of this process."""
    try:
        status = (process / "status").read_text()
    except OSError:  # the process has ended meanwhile
        return False
    return f"PPid:\t{os.getpid()}\n" in status


class _MallInfo2(ctypes.Structure):
    """The result of mallinfo2(3) of glibc 2.33 and newer, in bytes."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def bytes_in_use():
    """Return the memory that is allocated from the C library; 0 if it cannot tell."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = _MallInfo2
    info = mallinfo2()
    return info.uordblks + info.hblkhd


def resources():
    """Return the memory, threads, open files and children of this process (Linux).

    ``bytes`` is the memory in use, not the resident memory of the process. The latter
    includes free memory between blocks in use and varies by 10 % from fit to fit.
    """
    gc.collect()
    # The C library keeps freed memory by design (`retain_freed_memory`): not a leak.
    malloc_trim()
    children = [path for path in Path("/proc").glob("[0-9]*") if _is_child(path)]
    return {
        "bytes": bytes_in_use(),
        "blocks": sys.getallocatedblocks(),
        "resident": anonymous_memory(),
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
        "children": len(children),
    }


def resources_before_and_after(n, *, n_warm_up=20, work=use_classifier_in_threads):
    """Return the resources after `n_warm_up` rounds, and after `n` further rounds.

    Returns
    -------
    before, after : dict
        As returned by `resources`.
    """
    with tempfile.TemporaryDirectory() as folder:
        for i in range(n_warm_up):
            work(i, folder)
        before = resources()
        for i in range(n):
            work(i, folder)
        return before, resources()
