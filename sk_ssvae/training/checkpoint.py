"""Training that survives its process: its whole state in a file, epoch by epoch."""

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from skorch.callbacks import Callback, EarlyStopping
from skorch.history import History

from sk_ssvae.data.serialization import JSONDecoder, JSONEncoder
from sk_ssvae.training.net import SSVAENet
from sk_ssvae.utils.files import read_file, write_file

__all__ = ["Checkpoint", "ResumableEarlyStopping", "digest"]

Arrays = dict[str, npt.NDArray[Any]]

SHARE = 0.1
"""Of the time that writing may take, at the most; the first epoch is always written."""


def digest(*values: Any) -> str:
    """SHA-256 of arrays, sparse arrays and None: what a training run is made from."""
    found = hashlib.sha256()
    for value in values:
        if value is None:
            found.update(b"none")
            continue
        parts = [value]
        if sparse.issparse(value):
            parts = [value.data, value.indices, value.indptr]
        for part in parts:
            array = np.ascontiguousarray(part)
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


class ResumableEarlyStopping(EarlyStopping):  # type: ignore[misc]
    """skorch's EarlyStopping, after any warm-up, which can go on in another process."""

    _SAVED = ("misses_", "dynamic_threshold_", "best_epoch_")
    _resumed: dict[str, Any] | None = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start to count, or go on."""
        super().on_train_begin(net, **kwargs)
        for name, value in (self._resumed or {}).items():
            setattr(self, name, value)
        self._resumed = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Count an epoch, unless the KL divergence has less than its weight in it.

        Until then the loss is not minus the bound that is monitored.
        """
        if net.warming_up:
            self.misses_ = -1  # to which one may be added
        super().on_epoch_end(net, **kwargs)

    def to_state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what it has counted, and the best weights so far."""
        state = {name: getattr(self, name) for name in self._SAVED}
        weights = self.best_model_weights_ or {}
        return state, {name: _array(tensor) for name, tensor in weights.items()}

    def resume(
        self, state: dict[str, Any], weights: Arrays, *, amid_stage: bool
    ) -> None:
        """Have counted that, and go on from there if a stage is under way."""
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        if amid_stage:
            self._resumed = state | {"best_model_weights_": tensors or None}
        for name, value in state.items():  # if training is over, it does not begin
            setattr(self, name, value)


class Checkpoint(Callback):  # type: ignore[misc]
    """The state of a training run, in a file.

    Parameters
    ----------
    path : str or path-like
        Of the file.
    made_from : dict of str to object
        What the run depends on, by name: a run goes on only if all are the same.
    """

    def __init__(self, path: str | os.PathLike[str], made_from: dict[str, Any]) -> None:
        self.path = path
        self.made_from = made_from
        self.found: tuple[Any, Arrays] | None = None
        self.stopper: ResumableEarlyStopping | None = None
        # Of the next state: its stage, and the epochs before this and before the run.
        self.place = (0, 0, 0)
        self._due = 0.0

    def read(self) -> int | None:
        """Read the file, if there is one.

        Returns
        -------
        seed : int or None
            The seed of the run that it is of; None without a file.

        Raises
        ------
        ValueError
            If it is damaged, of another version of sk_ssvae, or of another run: with
            other rows, labels or parameters; or if no file can have that name.
        OSError
            If it is a folder, or in none.
        """
        name = os.fsdecode(self.path)
        _check_place(name)
        if not os.path.exists(name):
            return None
        header, arrays = read_file(self.path)
        if not isinstance(header, dict) or header.get("class") != "checkpoint":
            raise ValueError(
                f"checkpoint={name!r} is a file of sk_ssvae, but of a saved estimator. "
                "Choose another path."
            )
        with self._understood():
            seed, made_from = int(header["seed"]), header["made_from"]
            other = [
                key
                for key in self.made_from.keys() | made_from.keys()
                if made_from.get(key) != self.made_from.get(key)
            ]
        if other:
            raise ValueError(
                f"checkpoint={name!r} is of another training run: {sorted(other)} "
                "differ. Delete it to train anew, or choose another path."
            )
        self.found = header, arrays
        return seed

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Say of what is in the file, and is not as it should be, that it is not."""
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

    def resume(
        self, net: SSVAENet, stopper: ResumableEarlyStopping | None
    ) -> tuple[int, int, int]:
        """Give a new net the state in the file.

        Returns
        -------
        stage, done, before : int
            Number of the stage, epochs done in it, and epochs before the run.

        Raises
        ------
        ValueError
            If there is a file, and it does not fit the net.
        """
        self.stopper = stopper
        if self.found is None:
            return 0, 0, len(net.history_)
        with self._understood():
            return self._given(net, stopper, *self.found)

    def _given(
        self,
        net: SSVAENet,
        stopper: ResumableEarlyStopping | None,
        header: Any,
        arrays: Arrays,
    ) -> tuple[int, int, int]:
        """Give a net what is in the file."""
        decode = JSONDecoder(arrays)
        groups: dict[str, Arrays] = {"module": {}, "optimizer": {}, "best": {}}
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            if kind in groups:
                groups[kind][rest] = array
        net.module_.load_state_dict(
            {name: torch.from_numpy(a) for name, a in groups["module"].items()}
        )
        net.module_.unsupervised = header["unsupervised"]
        net.rollbacks_ = [tuple(place) for place in header["rollbacks"]]
        net.load_optimizer_state(groups["optimizer"])
        history = decode(header["history"])
        if not isinstance(history, History):
            raise TypeError("a history")
        net.history_ = history
        stage, done, before = header["place"]
        for number in (stage, done, before):
            if not isinstance(number, int) or number < 0:
                raise ValueError(f"place {number!r}")
        if stopper is not None:
            counted = decode(header["stopper"])
            stopper.resume(counted, groups["best"], amid_stage=done > 0)
        return stage, done, before

    def on_epoch_end(self, net: SSVAENet, **kwargs: Any) -> None:
        """Write the state, if the last time is long enough ago."""
        start = time.monotonic()
        if start >= self._due:
            self.write(net)
            now = time.monotonic()
            self._due = now + (now - start) / SHARE

    def write(self, net: SSVAENet) -> None:
        """Write the state, as a whole."""
        stage, at_start, before = self.place
        encode = JSONEncoder()
        counted: dict[str, Any] | None = None
        best: Arrays = {}
        if self.stopper is not None:
            counted, best = self.stopper.to_state()
        header = {
            "class": "checkpoint",
            "made_from": self.made_from,
            "seed": int(net.seed),
            "place": [stage, len(net.history_) - at_start, before],
            "unsupervised": bool(net.module_.unsupervised),
            "rollbacks": [[*place] for place in net.rollbacks_],
            "history": encode(net.history_),
            "stopper": encode(counted),
        }
        arrays = {f"module.{k}": _array(v) for k, v in net.module_.state_dict().items()}
        arrays |= {f"optimizer.{k}": v for k, v in net.optimizer_state().items()}
        arrays |= {f"best.{k}": v for k, v in best.items()}
        write_file(self.path, header, arrays | encode.arrays)


def _check_place(name: str) -> None:
    """Refuse, before training, what can be no file."""
    if not name or "\0" in name:
        raise ValueError(f"checkpoint={name!r} is no name of a file.")
    if os.path.isdir(name):
        raise IsADirectoryError(
            f"checkpoint={name!r} is a folder. Give the name of a file in it."
        )
    folder = os.path.dirname(name)
    if folder and not os.path.isdir(folder):
        raise FileNotFoundError(
            f"checkpoint={name!r} is in a folder that does not exist. Make it first."
        )


def _array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return found
