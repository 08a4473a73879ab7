"""Checkpoints: the state of a training run in a file, from which it can be resumed."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from skorch.callbacks import Callback
from skorch.history import History

from sk_ssvae.data.serialization import JSONDecoder, JSONEncoder
from sk_ssvae.data.source_cells import SourceCells
from sk_ssvae.training.communication import SINGLE_PROCESS, Communicator
from sk_ssvae.training.early_stopping import ResumableEarlyStopping
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.utils.chunks import iter_row_chunks
from sk_ssvae.utils.files import read_file, write_file

__all__ = ["Checkpoint", "CheckpointWriter", "Position", "digest"]

Arrays = dict[str, npt.NDArray[Any]]

SHARE = 0.1
"""Largest fraction of the training time that is spent on writing after epochs."""


def digest(*values: Any) -> str:
    """Compute the SHA-256 of arrays, sparse arrays, cells of a source and None."""
    sha = hashlib.sha256()
    for value in values:
        if value is None:
            sha.update(b"none")
            continue
        if isinstance(value, SourceCells):
            sha.update(f"{value.dtype.str}{value.shape}".encode())
            for _, part in iter_row_chunks(value):
                sha.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
            continue
        parts = [value]
        if sparse.issparse(value):
            parts = [value.data, value.indices, value.indptr]
        for part in parts:
            array = np.ascontiguousarray(part)
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(array.reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


class Position(NamedTuple):
    """How far a training run is.

    Attributes
    ----------
    stage : int
        Index of the current stage.
    epochs_done : int
        Epochs done in this stage.
    epochs_before : int
        Epochs in the history that were done before the run.
    progress : float or None
        Progress of the current stage, if it is not the fraction of the epochs done.
    """

    stage: int
    epochs_done: int
    epochs_before: int
    progress: float | None = None


class Checkpoint:
    """A file with the state of a training run.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    run : mapping of str to object
        Everything that the run depends on, by name, as JSON values: parameters, and
        digests of the data. A run is resumed only if all of it is equal.
    communicator : Communicator
        The processes of the run. Process 0 alone reads and writes the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: Mapping[str, Any],
        communicator: Communicator = SINGLE_PROCESS,
    ) -> None:
        self.path = path
        self.run = dict(run)
        self.communicator = communicator
        self._contents: tuple[Any, Arrays] | None = None

    def read(self) -> int | None:
        """Read the file, if it exists.

        Returns
        -------
        seed : int or None
            Seed of the run in the file, to be used for the resumed run; None if there
            is no file.

        Raises
        ------
        ValueError
            If the file is damaged, or was written by another version of sk_ssvae or by
            another run, with other rows, labels or parameters; or if the path is not a
            valid file name.
        OSError
            If the path is a directory, or its directory does not exist.
        """
        self._contents = self.communicator.on_main(self._read)
        return None if self._contents is None else int(self._contents[0]["seed"])

    def _read(self) -> tuple[Any, Arrays] | None:
        """Return the contents of the file, of the same run; None if there is none."""
        name = os.fsdecode(self.path)
        _check_path(name)
        if not os.path.exists(name):
            return None
        header, arrays = read_file(self.path)
        if not isinstance(header, dict) or header.get("class") != "checkpoint":
            raise ValueError(
                f"checkpoint={name!r} is a saved estimator of sk_ssvae, not a "
                "checkpoint. Choose another path."
            )
        with self._readable_errors():
            int(header["seed"])  # else the file is damaged
            run = header["run"]
            different = [
                key
                for key in self.run.keys() | run.keys()
                if run.get(key) != self.run.get(key)
            ]
        if different:
            raise ValueError(
                f"checkpoint={name!r} belongs to a training run with different "
                f"{sorted(different)}. Delete it to train anew, or choose another path."
            )
        return header, arrays

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        """Turn errors from unexpected contents into one that names the file."""
        try:
            yield
        except (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            RuntimeError,
            OverflowError,
        ) as error:
            raise ValueError(
                f"checkpoint={os.fsdecode(self.path)!r} cannot be read: it was not "
                "written by this version of sk_ssvae "
                f"({type(error).__name__}: {str(error)[:300]}). Delete it to train "
                "anew, or choose another path."
            ) from None

    def restore(
        self, net: SSVAENet, stopper: ResumableEarlyStopping | None
    ) -> Position:
        """Restore the state that `read` found; do nothing if there was no file.

        Parameters
        ----------
        net : SSVAENet
            An initialised net; changed in place.
        stopper : ResumableEarlyStopping or None
            The early stopping of the run, if any; changed in place.

        Returns
        -------
        position : Position
            Where to resume the run.

        Raises
        ------
        ValueError
            If the contents of the file do not fit the net.
        """
        if self._contents is None:
            return Position(0, 0, len(net.history_))
        header, arrays = self._contents
        self._contents = None  # release the arrays
        with self._readable_errors():
            return _restore(net, stopper, header, arrays)

    def write(
        self,
        net: SSVAENet,
        position: Position,
        stopper: ResumableEarlyStopping | None,
    ) -> None:
        """Write the state of a run atomically; the arguments are those of `restore`."""
        encode = JSONEncoder()
        stopper_state: dict[str, Any] | None = None
        best_weights: Arrays = {}
        if stopper is not None:
            stopper_state, best_weights = stopper.to_state()
        header = {
            "class": "checkpoint",
            "run": self.run,
            "seed": int(net.seed),
            "position": [*position],
            "unsupervised": bool(net.module_.unsupervised),
            "rollbacks": [[*rollback] for rollback in net.rollbacks_],
            "history": encode(net.history_),
            "stopper": encode(stopper_state),
        }
        weights = net.module_.state_dict()
        arrays = {f"module.{k}": w.detach().cpu().numpy() for k, w in weights.items()}
        arrays |= {f"optimizer.{k}": v for k, v in net.optimizer_state().items()}
        arrays |= {f"best.{k}": v for k, v in best_weights.items()}
        write_file(self.path, header, arrays | encode.arrays)


def _restore(
    net: SSVAENet, stopper: ResumableEarlyStopping | None, header: Any, arrays: Arrays
) -> Position:
    """Set the state of a net and its early stopping from the contents of a file."""
    decode = JSONDecoder(arrays)
    groups: dict[str, Arrays] = {"module": {}, "optimizer": {}, "best": {}}
    for name, array in arrays.items():
        group, _, rest = name.partition(".")
        if group in groups:
            groups[group][rest] = array
    net.module_.load_state_dict(
        {name: torch.from_numpy(a) for name, a in groups["module"].items()}
    )
    net.module_.unsupervised = header["unsupervised"]
    net.rollbacks_ = [tuple(rollback) for rollback in header["rollbacks"]]
    net.load_optimizer_state(groups["optimizer"])
    history = decode(header["history"])
    if not isinstance(history, History):
        raise TypeError(f"history is of type {type(history).__name__}")
    net.history_ = history
    position = Position(*header["position"])
    is_valid = all(isinstance(n, int) and n >= 0 for n in position[:3])
    progress = position.progress
    if progress is not None:
        is_valid &= isinstance(progress, float) and 0 <= progress <= 1
    if not is_valid:
        raise ValueError(f"invalid position {position}")
    if stopper is not None:
        stopper.from_state(
            decode(header["stopper"]),
            groups["best"],
            amid_stage=position.epochs_done > 0,
        )
    return position


class CheckpointWriter(Callback):
    """Write a checkpoint after epochs, within `SHARE` of the time, and after stages.

    Parameters
    ----------
    checkpoint : Checkpoint
        The file.
    stopper : ResumableEarlyStopping or None
        The early stopping of the run, if any.
    epochs_before : int
        Epochs in the history that were done before the run.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        stopper: ResumableEarlyStopping | None,
        epochs_before: int,
    ) -> None:
        self.checkpoint = checkpoint
        self.stopper = stopper
        self.epochs_before = epochs_before
        self._stage = 0
        self._epochs_at_start = epochs_before
        self._next_time = 0.0

    def start_stage(self, stage: int, epochs_at_start: int) -> None:
        """Record the index of the current stage, and the epochs in the history then."""
        self._stage = stage
        self._epochs_at_start = epochs_at_start

    def finish_stage(self, net: SSVAENet) -> None:
        """Write the state at the end of the current stage."""
        self.start_stage(self._stage + 1, len(net.history_))
        self.checkpoint.communicator.on_main(lambda: self.write(net))

    def on_epoch_end(self, net: SSVAENet, **kwargs: Any) -> None:
        """Write the state, unless that would take too much of the time."""
        self.checkpoint.communicator.on_main(lambda: self._write_if_due(net))

    def _write_if_due(self, net: SSVAENet) -> None:
        start = time.monotonic()
        if start >= self._next_time:
            self.write(net)
            end = time.monotonic()
            self._next_time = end + (end - start) / SHARE

    def write(self, net: SSVAENet) -> None:
        """Write the state."""
        epochs_done = len(net.history_) - self._epochs_at_start
        schedule, progress = net.schedule_, None
        if epochs_done and not schedule.is_on_plan:
            progress = schedule.progress
        position = Position(self._stage, epochs_done, self.epochs_before, progress)
        self.checkpoint.write(net, position, self.stopper)


def _check_path(name: str) -> None:
    """Raise an error, before training, if no file can be written to a path."""
    if not name or "\0" in name:
        raise ValueError(f"checkpoint={name!r} is not a valid file name.")
    if os.path.isdir(name):
        raise IsADirectoryError(
            f"checkpoint={name!r} is a directory. Pass the path of a file in it."
        )
    directory = os.path.dirname(name)
    if directory and not os.path.isdir(directory):
        raise FileNotFoundError(
            f"checkpoint={name!r} is in a directory that does not exist. Create it "
            "first."
        )
