"""Checkpoints: resumed training is bit-identical to uninterrupted training."""

import copy
import errno
import os

import numpy as np
import pandas as pd
import pytest
from faults import kill_and_resume
from malicious_files import MALICIOUS_ARRAYS, MALICIOUS_CHECKPOINTS
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sk_ssvae
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import M1M2, SDGM
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.checkpoint import Checkpoint, CheckpointWriter, digest
from sk_ssvae.utils.files import read_file, write_file

X, TRUTH = load_iris(return_X_y=True)
FEW = np.where(np.arange(150) % 5, -1, TRUTH)


class End(Exception):
    """Ends training as the end of the process would."""


class EndAfter(Callback):
    """Raise an error after a number of epochs."""

    def __init__(self, n, error=End):
        self.n, self.error = n, error

    def on_epoch_begin(self, net, **kwargs):
        self.n -= 1
        if self.n < 0:
            raise self.error


@pytest.fixture
def always_written(monkeypatch):
    """Write every epoch."""
    monkeypatch.setattr("sk_ssvae.training.checkpoint.SHARE", np.inf)


def tiny(kind=SSVAEClassifier, **parameters):
    small = {"latent_size": 2, "hidden_sizes": (6,), "max_epochs": 8, "random_state": 0}
    if kind is SSVAEClassifier:
        small |= {"classifier_hidden_sizes": (5,), "teacher": None}
    return kind(**(small | parameters))


def assert_same(a, b, rows=X):
    assert np.array_equal(a.transform(rows), b.transform(rows))
    assert np.array_equal(a.score_samples(rows), b.score_samples(rows))
    if hasattr(a, "predict_proba"):
        assert np.array_equal(a.predict_proba(rows), b.predict_proba(rows))
        assert np.array_equal(a.label_distributions_, b.label_distributions_)
    assert a.validation_bound_ == b.validation_bound_
    assert a.n_iter_ == b.n_iter_
    losses = [[row["train_loss"] for row in e.history_] for e in (a, b)]
    assert losses[0] == losses[1]


CASES = {
    "m2": {},
    "m1+m2": {"model": M1M2(inner_size=3, pretrain_epochs=4, finetune_epochs=3)},
    "warm-up": {
        "model": M1M2(inner_size=3, pretrain_epochs=9),
        "likelihood": "bernoulli",
    },
    "sdgm": {"model": SDGM(inner_size=3)},
    "held out": {"validation_fraction": 0.2},
    "early stopping": {
        "early_stopping": True,
        "options": ClassifierOptions(n_iter_no_change=3),
        "learning_rate": 0.05,
        "max_epochs": 60,
    },
    "early stages": {
        "model": M1M2(inner_size=3, pretrain_epochs=30),
        "early_stopping": True,
        "options": ClassifierOptions(n_iter_no_change=1, tol=0.5),
    },
    "pool": {"teacher": "pool"},
    "estimate": {"class_prior": "estimate", "temperature": "cross-fit"},
}


@pytest.mark.parametrize("case", CASES)
def test_resumed_training_is_bit_identical(case, tmp_path, always_written):
    rows = (X - X.min(axis=0)) / np.ptp(X, axis=0) if case == "warm-up" else X
    whole = tiny(**CASES[case]).fit(rows, FEW)
    path = tmp_path / "state"
    slow = case in ("pool", "estimate")
    for n in (3,) if slow else (0, 1, 2, 5, whole.n_iter_ - 1):
        if n >= whole.n_iter_:
            continue
        ended = tiny(checkpoint=path, callbacks=[EndAfter(n)], **CASES[case])
        if case == "estimate":  # else the fits for the temperature end
            ended.set_params(temperature="auto")
        with pytest.raises(End):
            ended.fit(rows, FEW)
        assert not hasattr(ended, "net_")
        assert path.exists() == (n > 0)
        if case == "estimate":
            path.unlink(missing_ok=True)
        resumed = tiny(checkpoint=path, **CASES[case]).fit(rows, FEW)
        assert_same(whole, resumed, rows)
        complete = tiny(checkpoint=path, **CASES[case]).fit(rows, FEW)
        assert_same(whole, complete, rows)
        path.unlink()


def test_resuming_many_times(tmp_path, always_written):
    path = tmp_path / "state"
    whole = tiny().fit(X, FEW)
    for _ in range(7):
        with pytest.raises(End):
            tiny(checkpoint=path, callbacks=[EndAfter(1)]).fit(X, FEW)
    assert_same(whole, tiny(checkpoint=str(path)).fit(X, FEW))


def test_autoencoders_with_all_kinds_of_rows(tmp_path, always_written):
    frame = pd.DataFrame(X, columns=list("pqrs"))
    counts = sparse.csr_array(np.round(X))
    for rows in (X, frame, counts):
        path = tmp_path / "state"
        whole = tiny(VariationalAutoencoder).fit(rows)
        ended = tiny(VariationalAutoencoder, checkpoint=path, callbacks=[EndAfter(3)])
        with pytest.raises(End):
            ended.fit(rows)
        again = tiny(VariationalAutoencoder, checkpoint=path).fit(rows)
        assert np.array_equal(whole.transform(rows), again.transform(rows))
        path.unlink()


def test_seed_comes_from_the_file(tmp_path, always_written):
    path = tmp_path / "state"
    ended = tiny(random_state=None, checkpoint=path, callbacks=[EndAfter(4)])
    with pytest.raises(End):
        ended.fit(X, FEW)
    first = tiny(random_state=None, checkpoint=path).fit(X, FEW)
    second = tiny(random_state=None, checkpoint=path).fit(X, FEW)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    whole = tiny(random_state=None).fit(X, FEW)
    assert not np.array_equal(first.predict_proba(X), whole.predict_proba(X))


def test_warm_starts_are_resumed(tmp_path, always_written):
    start, path = tmp_path / "start", tmp_path / "state"
    tiny(warm_start=True).fit(X, FEW).save(start)
    whole = sk_ssvae.load(start).fit(X, FEW)
    ended = sk_ssvae.load(start, callbacks=[EndAfter(3)])
    before = ended.predict_proba(X)
    with pytest.raises(End):
        ended.set_params(checkpoint=path).fit(X, FEW)
    assert ended.n_iter_ == 8
    assert np.array_equal(ended.predict_proba(X), before)
    again = sk_ssvae.load(start).set_params(checkpoint=path).fit(X, FEW)
    assert again.n_iter_ == 16
    assert_same(whole, again)


def test_interrupted_fit_can_be_used_and_resumed(tmp_path, always_written):
    path = tmp_path / "state"
    stopped = tiny(checkpoint=path, callbacks=[EndAfter(3, KeyboardInterrupt)])
    with pytest.warns(UserWarning, match="interrupted after 3 of 8 epochs"):
        stopped.fit(X, FEW)
    assert stopped.predict(X).shape == (150,)
    assert_same(tiny().fit(X, FEW), tiny(checkpoint=path).fit(X, FEW))


def test_checkpoint_of_another_run_is_an_error(tmp_path):
    path = tmp_path / "state"
    tiny(checkpoint=path).fit(X, FEW)
    other = np.where(FEW == 2, -1, FEW)
    weight = np.ones(150)
    weight[0] = 2
    for change, differ in (
        (lambda: tiny(checkpoint=path, alpha=2.0).fit(X, FEW), ["alpha"]),
        (lambda: tiny(checkpoint=path).fit(X[:, ::-1], FEW), ["X"]),
        (lambda: tiny(checkpoint=path).fit(X, other), ["y"]),
        (
            lambda: tiny(checkpoint=path).fit(X, FEW, sample_weight=weight),
            ["sample_weight"],
        ),
        (
            lambda: tiny(checkpoint=path, class_prior=[0.2, 0.3, 0.5]).fit(X, FEW),
            ["class_prior"],
        ),
    ):
        with pytest.raises(ValueError) as error:
            change()
        assert str(error.value) == (
            f"checkpoint={str(path)!r} belongs to a training run with different "
            f"{differ}. Delete it to train anew, or choose another path."
        )


def test_threads_device_and_verbosity_may_change(tmp_path):
    path = tmp_path / "state"
    clf = tiny(checkpoint=path, options=ClassifierOptions()).fit(X, FEW)
    changed = tiny(
        checkpoint=path,
        verbose=0,
        options=ClassifierOptions(n_threads=1),
        device="cpu",
    )
    assert_same(clf, changed.fit(X, FEW))


def test_other_and_damaged_files_are_errors(tmp_path):
    path = tmp_path / "file"
    tiny().fit(X, FEW).save(path)
    with pytest.raises(ValueError) as error:
        tiny(checkpoint=path).fit(X, FEW)
    assert str(error.value) == (
        f"checkpoint={str(path)!r} is a saved estimator of sk_ssvae, not a checkpoint. "
        "Choose another path."
    )
    state = tmp_path / "state"
    tiny(checkpoint=state).fit(X, FEW)
    with pytest.raises(ValueError, match="cannot be read: it was not written by"):
        sk_ssvae.load(state)
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(ValueError, match="is damaged or is not an sk_ssvae file"):
        tiny(checkpoint=state).fit(X, FEW)
    assert not hasattr(tiny(checkpoint=state), "net_")


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Header and arrays of a checkpoint."""
    path = tmp_path_factory.mktemp("state") / "file"
    tiny(checkpoint=str(path), max_epochs=2, early_stopping=True).fit(X, FEW)
    return read_file(path)


@pytest.mark.parametrize("kind", MALICIOUS_CHECKPOINTS)
def test_unexpected_headers_are_errors(kind, state, tmp_path):
    header, arrays = copy.deepcopy(state)
    path = str(tmp_path / "file")
    MALICIOUS_CHECKPOINTS[kind](header)
    write_file(path, header, arrays)  # with the right checksum
    clf = tiny(checkpoint=path, max_epochs=2, early_stopping=True)
    with pytest.raises(ValueError) as error:
        clf.fit(X, FEW)
    assert str(error.value).startswith(
        f"checkpoint={path!r} cannot be read: it was not written by this version of "
        "sk_ssvae ("
    )
    assert not hasattr(clf, "net_")


@pytest.mark.parametrize("name", MALICIOUS_ARRAYS)
def test_unexpected_arrays_are_errors(name, state, tmp_path):
    header, arrays = state
    path = str(tmp_path / "file")
    write_file(path, header, arrays | {name: MALICIOUS_ARRAYS[name]})
    with pytest.raises(ValueError, match="cannot be read: it was not written by"):
        tiny(checkpoint=path, max_epochs=2, early_stopping=True).fit(X, FEW)


def test_full_disk_keeps_the_last_state(tmp_path, always_written, monkeypatch):
    path = tmp_path / "state"
    with pytest.raises(End):
        tiny(checkpoint=path, callbacks=[EndAfter(3)]).fit(X, FEW)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    clf = tiny(checkpoint=path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            clf.fit(X, FEW)
    assert not hasattr(clf, "net_")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert_same(tiny().fit(X, FEW), clf.fit(X, FEW))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        (
            "nowhere/state",
            FileNotFoundError,
            "is in a directory that does not exist. Create it first.",
        ),
        (".", IsADirectoryError, "is a directory. Pass the path of a file in it."),
        ("\0", ValueError, "is not a valid file name."),
    ],
)
def test_invalid_paths_are_errors_before_training(tmp_path, path, error, message):
    name = os.path.join(tmp_path, path)
    clf = tiny(checkpoint=name, callbacks=[EndAfter(0)])
    with pytest.raises(error) as raised:
        clf.fit(X, FEW)
    assert str(raised.value) == f"checkpoint={name!r} {message}"


def test_empty_path_is_an_error():
    with pytest.raises(ValueError) as raised:
        tiny(checkpoint="").fit(X, FEW)
    assert str(raised.value) == "checkpoint='' is not a valid file name."


def test_writing_takes_a_tenth_of_the_time(tmp_path, monkeypatch):
    """With a fake clock, by which an epoch takes a second, and so does writing."""
    now, written = [0.0], []
    monkeypatch.setattr("sk_ssvae.training.checkpoint.time.monotonic", lambda: now[0])

    def write(self, net):
        written.append(now[0])
        now[0] += 1.0

    monkeypatch.setattr(CheckpointWriter, "write", write)
    writer = CheckpointWriter(Checkpoint(tmp_path / "state", {}), None, 0)
    for _ in range(100):
        writer.on_epoch_end(None)
        now[0] += 1.0
    assert len(written) == pytest.approx(10, abs=2)
    assert written[0] == 0


def test_digests_distinguish_arrays():
    arrays = [
        np.arange(4),
        np.arange(4.0),
        np.arange(4).reshape(2, 2),
        np.arange(4)[::-1],
        sparse.csr_array(np.eye(2)),
        sparse.csr_array(np.eye(2)[::-1]),
        None,
        np.zeros((0, 3)),
    ]
    assert len({digest(a) for a in arrays}) == len(arrays)
    assert digest(np.arange(8)[::2]) == digest(np.array([0, 2, 4, 6]))


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path):
    """Processes are killed while they train or write, until one finishes."""
    killed, same_bits = kill_and_resume(tmp_path, 20)
    assert killed >= 15  # later ones may have finished
    assert same_bits


def test_divergences_are_saved(tmp_path, always_written):
    """Steps stay smaller in resumed training, and it warns too."""
    parameters = {"learning_rate": 3.0, "batch_size": 50}
    with pytest.warns(ConvergenceWarning, match="diverged") as warned:
        whole = tiny(**parameters).fit(X, FEW)
    for n in (1, 3):
        path = tmp_path / f"state{n}"
        with pytest.raises(End):
            tiny(checkpoint=path, callbacks=[EndAfter(n)], **parameters).fit(X, FEW)
        with pytest.warns(ConvergenceWarning) as again:
            assert_same(whole, tiny(checkpoint=path, **parameters).fit(X, FEW))
        assert [str(w.message) for w in again] == [str(w.message) for w in warned]


def test_a_pool_may_be_stored_elsewhere_when_a_fit_is_resumed(tmp_path, always_written):
    def fit(folder, *callbacks):
        pool = OpinionPoolClassifier(views=["columns", "svm"], memory=tmp_path / folder)
        teacher = make_pipeline(StandardScaler(), pool)
        parameters = {"teacher": teacher, "max_epochs": 3, "callbacks": [*callbacks]}
        return tiny(checkpoint=tmp_path / "state", **parameters).fit(X, FEW)

    with pytest.raises(End):
        fit("a", EndAfter(2))
    resumed = fit("b")
    (tmp_path / "state").unlink()
    assert_same(fit("c"), resumed, X)
