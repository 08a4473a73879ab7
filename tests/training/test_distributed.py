"""Training by several processes: the same as by one, also where it fails."""

import json
import pickle
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch.distributed
from distributed_fits import classifier, fit_all, results, rows
from several_processes import (
    SCRIPTS,
    environment,
    in_threads,
    run_processes,
    start_processes,
)

from sk_ssvae.training.communication import (
    SINGLE_PROCESS,
    Communicator,
    GroupCommunicator,
)
from sk_ssvae.training.distributed import (
    LAUNCHER_VARIABLES,
    check_same,
    connected_processes,
    is_distributed,
)

SCRIPT = SCRIPTS / "distributed_fits.py"


@pytest.fixture
def launcher(monkeypatch):
    """Return a function that sets the environment as a launcher does."""
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def launch(n):
        values = {"RANK": 0, "WORLD_SIZE": n, "MASTER_ADDR": "a", "MASTER_PORT": 1}
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))

    return launch


def test_when_several_processes_train_one_model(launcher):
    assert not is_distributed(False)
    assert not is_distributed("auto")
    launcher(2)
    assert not is_distributed(False)
    assert is_distributed("auto")
    assert is_distributed(True)
    launcher(1)
    assert not is_distributed("auto")
    assert not is_distributed(True)


def test_one_process_is_not_connected():
    with connected_processes(False, torch.device("cpu")) as communicator:
        assert communicator is SINGLE_PROCESS
    assert not torch.distributed.is_initialized()


def test_a_missing_launcher_is_an_error(launcher, monkeypatch):
    with pytest.raises(ValueError) as error:
        is_distributed(True)
    assert str(error.value) == (
        "distributed=True needs several processes, but torch.distributed is not "
        "initialised and the environment has no RANK, WORLD_SIZE, MASTER_ADDR, "
        "MASTER_PORT. Start the script by torchrun, e.g. `torchrun --nproc-per-node 2 "
        "script.py`, or set distributed='auto' to train in one process without it."
    )
    launcher("two")
    with pytest.raises(ValueError) as error:
        is_distributed("auto")
    assert str(error.value) == (
        "The environment variable WORLD_SIZE must be a positive integer, got 'two'. "
        "Start the script by torchrun, or unset it."
    )
    launcher(2)
    monkeypatch.setattr(torch.distributed, "is_gloo_available", lambda: False)
    assert not is_distributed("auto")
    with pytest.raises(ValueError) as error:
        is_distributed(True)
    assert str(error.value) == (
        "distributed=True needs torch.distributed with the backend gloo, which this "
        "build of PyTorch does not have. Set distributed=False, or install a build "
        "that has it."
    )


@pytest.mark.parametrize(
    ("device", "message"),
    [
        (
            "mps",
            "Several processes cannot train on device='mps': only 'cpu' and 'cuda' are "
            "supported. Set device='cpu' or distributed=False.",
        ),
        (
            "cuda:0",
            "Several processes need the backend nccl to train on CUDA devices, which "
            "this build of PyTorch does not have. Set device='cpu' or "
            "distributed=False.",
        ),
    ],
)
def test_devices_without_a_backend_are_errors(launcher, monkeypatch, device, message):
    launcher(2)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    with (
        pytest.raises(ValueError) as error,
        connected_processes(True, torch.device(device)),
    ):
        pass
    assert str(error.value) == message


def test_processes_that_cannot_be_connected(launcher, monkeypatch):
    def refuse(*args, **kwargs):
        raise torch.distributed.DistNetworkError("refused")

    launcher(2)
    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    clf = classifier(True)
    X, y, _ = rows()
    with pytest.raises(RuntimeError) as error:
        clf.fit(X, y)
    assert str(error.value) == (
        "The processes of a distributed fit could not be connected. All of them must "
        "call fit with distributed=True (or 'auto') within 10 minutes, and must be "
        "able to reach each other (refused)."
    )
    assert not hasattr(clf, "net_")


def test_pickles_made_in_training_are_of_one_process():
    communicator = object.__new__(GroupCommunicator)
    found = pickle.loads(pickle.dumps(communicator))
    assert type(found) is Communicator
    assert (found.rank, found.world_size) == (0, 1)


def test_different_descriptions_are_the_same_error_in_all_processes():
    def describe(communicator):
        try:
            check_same(
                communicator,
                lambda: {
                    "X": "same",
                    "alpha": communicator.rank == 2,
                    "y": communicator.rank,
                },
            )
        except ValueError as error:
            return str(error)

    assert (
        in_threads(describe, 3)
        == [
            "All processes of a distributed fit must be given the same data and "
            "parameters, but these differ from those of rank 0: alpha (ranks [2]), y "
            "(ranks [1, 2]). Pass the same to all of them; each trains on its part of "
            "every minibatch. To fit independent models, set distributed=False."
        ]
        * 3
    )


def test_one_process_computes_no_description():
    check_same(SINGLE_PROCESS, None)


def load(folder, name, rank):
    with np.load(folder / f"{name} {rank}.npz") as file:
        return dict(file)


def losses_agree(one, several):
    scale = np.abs(one["losses"])
    return (np.abs(several["losses"] - one["losses"]) <= 1e-4 * scale).all()


@pytest.mark.slow
def test_two_processes_train_the_model_of_one(tmp_path):
    """With unequal shards, for every model, the teacher, and continued training."""
    run_processes(2, SCRIPT, "equivalence", tmp_path)
    for name, one in fit_all(distributed=False).items():
        first, second = (load(tmp_path, name, rank) for rank in range(2))
        for key, value in first.items():
            assert np.array_equal(value, second[key]), (name, key)
        assert losses_agree(one, first), name
        # Directions of adversarial perturbations are differences of probabilities that
        # are nearly equal, and amplify rounding.
        limit = 2e-4 if "adversarial" in name else 1e-5
        for key in ("predictions", "distributions"):
            if key in one:
                assert np.abs(one[key] - first[key]).max() < limit, (name, key)


@pytest.mark.slow
def test_three_processes(tmp_path):
    run_processes(3, SCRIPT, "killed", tmp_path)
    X, y, _ = rows()
    one = results(classifier(False, teacher=None, max_epochs=6).fit(X, y), X)
    for rank in range(3):
        several = load(tmp_path, "killed", rank)
        assert losses_agree(one, several)
        assert np.abs(one["predictions"] - several["predictions"]).max() < 1e-5


DIFFERENT = (
    "ValueError: All processes of a distributed fit must be given the same data and "
    "parameters, but these differ from those of rank 0: {}. Pass the same to all of "
    "them; each trains on its part of every minibatch. To fit independent models, set "
    "distributed=False."
)

BATCH_STATISTICS = (
    "ValueError: Batch normalisation needs at least two {} of each minibatch in each "
    "of the 2 processes, but a minibatch has {}. Use fewer processes, or a larger "
    "batch_size or bound_rows."
)

ERRORS = {
    "rows": DIFFERENT.format("X (ranks [1]), y (ranks [1])"),
    "values": DIFFERENT.format("X (ranks [1])"),
    "labels": DIFFERENT.format("y (ranks [1])"),
    "seeds": DIFFERENT.format("random_state (ranks [1])"),
    "parameters": DIFFERENT.format("alpha (ranks [1])"),
    "limit": "ValueError: max_time=9.5 does not work with several processes, whose "
    "steps take different times. Set max_time=None, or train in one process with "
    "distributed=False.",
    "models": DIFFERENT.format("random_state (ranks [1]), weights (ranks [1])"),
    "invalid rows": "ValueError: Found array with 0 feature(s) (shape=(301, 0)) while "
    "a minimum of 1 is required by SSVAEClassifier.",
    "teacher": "ValueError: not fitted in process 0",
    "step": "OSError: no space",
    "batch": "ValueError: Minibatches have fewer rows than there are processes: 1 and "
    "2, with batch_size=33 and 1 rows in all. Use fewer processes, or more rows or a "
    "larger batch_size.",
    "batch statistics": BATCH_STATISTICS.format("labelled rows", 2),
    "bound": BATCH_STATISTICS.format("unlabelled rows in the bound", 3),
    "scores": "ValueError: The callback BatchScoring scores training minibatches, of "
    "which each process has a part. Use EpochScoring, or set distributed=False.",
    "checkpoint": "IsADirectoryError: checkpoint='{}' is a directory. Pass the path of "
    "a file in it.",
}


@pytest.mark.slow
def test_an_error_in_one_process_is_one_in_all(tmp_path):
    """The processes then go on: the last fit succeeds, with the seed of the first."""
    (tmp_path / "directory").mkdir()
    run_processes(2, SCRIPT, "errors", tmp_path)
    first, second = (
        json.loads((tmp_path / f"errors {rank}.json").read_text()) for rank in range(2)
    )
    assert first.pop("weights") == second.pop("weights")
    assert first.pop("interrupt") == (
        "RuntimeError: A distributed fit was interrupted within an epoch. The "
        "estimator is unchanged; with a checkpoint, the same call resumes from it."
    )
    second.pop("interrupt")
    assert first == second
    for name, expected in ERRORS.items():
        assert first.pop(name) == expected.format(tmp_path / "directory"), name
    assert first == {}


@pytest.mark.slow
def test_the_first_process_prints_warns_and_writes(tmp_path):
    printed, silent = run_processes(2, SCRIPT, "one_writes", tmp_path)
    assert silent == ""
    assert re.search(r"^ +1/4 ", printed, re.M)
    first, second = (
        json.loads((tmp_path / f"one_writes {rank}.json").read_text())
        for rank in range(2)
    )
    assert len(first.pop("warnings")) == 1
    assert second.pop("warnings") == []
    assert first.pop("file")
    assert not second.pop("file")
    assert first == second
    assert first["epochs"] == 2
    assert first["resumed epochs"] == 4
    X, y, _ = rows()
    whole = results(classifier(False, max_epochs=4).fit(X, y), X)
    found = {name: np.array(value) for name, value in first.items()}
    assert losses_agree(whole, found)


def assert_resumed(folder):
    """Check the fit of the script's function `killed` against one process."""
    X, y, _ = rows()
    one = results(classifier(False, teacher=None, max_epochs=6).fit(X, y), X)
    several = load(folder, "killed", 0)
    assert several["losses"].shape == (6, 4)
    assert losses_agree(one, several)
    assert np.abs(one["predictions"] - several["predictions"]).max() < 1e-5


@pytest.mark.slow
def test_a_killed_process_ends_all_and_a_restart_goes_on(tmp_path):
    """Without a launcher that would end the others."""
    kill = tmp_path / "kill"
    kill.touch()
    survivor, dead = start_processes(2, SCRIPT, "killed", tmp_path)
    output = survivor.communicate(timeout=120)[0]
    dead.communicate(timeout=5)
    assert dead.returncode == -9
    assert survivor.returncode == 1
    assert output.rstrip().endswith(
        "RuntimeError: Another process of a distributed fit has ended or does not "
        "answer. This fit has failed and the estimator is unchanged. Start all "
        "processes again; with a checkpoint, fit resumes from it."
    )
    assert time.time() - kill.with_name("killed").stat().st_mtime < 60
    run_processes(2, SCRIPT, "killed", tmp_path)
    assert_resumed(tmp_path)


@pytest.mark.slow
def test_torchrun_restarts_all_after_a_kill(tmp_path):
    kill = tmp_path / "kill"
    kill.touch()
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "--max-restarts=1", SCRIPT, "killed", tmp_path],
        # Addresses of the dead processes are not reused then: docs/distributed.md.
        env=environment() | {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not kill.exists()
    assert_resumed(tmp_path)
