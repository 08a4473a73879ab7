"""Faults during training: non-finite values, exploding outputs, killed processes."""

import copy
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
from skorch.callbacks import Callback


def weights(clf):
    """Return copies of the weights and buffers of the networks."""
    return {k: v.clone() for k, v in clf.module_.state_dict().items()}


class Fault(Callback):
    """Inject a fault into some consecutive training steps.

    Parameters
    ----------
    kind : {"loss", "explosion", "nan", "inf", "-inf"}
        "loss" makes the outputs of the classifier NaN, "explosion" multiplies those of
        the decoder by 10,000, and the others set an entry of a gradient.
    step : int
        The first of these steps.
    n_faults : int
        Number of these steps. A step that is repeated counts again.
    """

    def __init__(self, kind, step, n_faults=1):
        self.kind, self.step, self.n_faults = kind, step, n_faults
        self.n_steps = 0

    def initialize(self):
        return self

    def on_train_begin(self, net, **kwargs):
        model = net.module_
        if self.kind == "loss":
            model.classifier.register_forward_hook(self._make_nan)
        elif self.kind == "explosion":
            model.decoder.register_forward_hook(self._explode)
        weight = next(model.decoder.parameters())
        weight.register_hook(self._change_gradient)

    def _is_active(self):
        return self.step <= self.n_steps < self.step + self.n_faults

    def _make_nan(self, module, inputs, output):
        return output * math.nan if module.training and self._is_active() else output

    def _explode(self, module, inputs, output):
        return output * 1e4 if module.training and self._is_active() else output

    def _change_gradient(self, gradient):
        changes = self._is_active() and self.kind in ("nan", "inf", "-inf")
        self.n_steps += 1
        if not changes:
            return gradient
        gradient = gradient.clone()
        gradient[0] = float(self.kind)
        return gradient


class ReduceLearningRate(Callback):
    """Divide the learning rate by 10 at the start of an epoch.

    Parameters
    ----------
    epoch : int
        The epoch, counted from 1.
    undo_epoch : bool
        Whether to undo the epoch before it first.
    """

    def __init__(self, epoch, undo_epoch=False):
        self.epoch, self.undo_epoch = epoch, undo_epoch

    def on_epoch_begin(self, net, **kwargs):
        epoch = len(net.history_)
        parts = (net.module_, net.optimizer_)
        if epoch == self.epoch - 1:
            self.states = [copy.deepcopy(part.state_dict()) for part in parts]
        if epoch == self.epoch:
            if self.undo_epoch and epoch > 1:
                for part, state in zip(parts, self.states, strict=True):
                    part.load_state_dict(state)
            for group in net.optimizer_.param_groups:
                group["lr"] = 0.1 * group["lr"]


PROGRAM = """
import sys, torch, numpy as np
from sklearn.datasets import load_digits
from sk_ssvae import SSVAEClassifier
from sk_ssvae.models import M1M2
import sk_ssvae.training.checkpoint
sk_ssvae.training.checkpoint.SHARE = float("inf")
torch.set_num_threads(1)
X, y = load_digits(return_X_y=True)
few = np.where(np.arange(len(y)) % 30, -1, y)
clf = SSVAEClassifier(
    latent_size=2, hidden_sizes=(8,), teacher=None, max_epochs=25, random_state=0,
    model=M1M2(inner_size=4, pretrain_epochs=25),
    checkpoint=sys.argv[1] if sys.argv[1] != "-" else None,
)
print("ready", flush=True)
clf.fit(X, few)
np.save(sys.argv[2], clf.predict_proba(X))
"""
"""Fit with the checkpoint in the first argument; save probabilities to the second."""


def kill_and_resume(folder, n, seed=0):
    """Kill processes at random moments of the same fit, then let one complete it.

    Parameters
    ----------
    folder : Path
        Folder for the checkpoint and the results.
    n : int
        Number of processes to kill.
    seed : int
        Determines the moments.

    Returns
    -------
    n_killed : int
        Number of processes that had not ended before they were killed.
    is_equal : bool
        Whether the probabilities are bit-identical to those of an uninterrupted fit.
    """

    def start(checkpoint, out):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(checkpoint), str(out)],
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert process.stdout.readline() == b"ready\n"
        return process

    def wait(process):
        process.communicate()
        return process.returncode

    began = time.perf_counter()
    assert wait(start("-", folder / "uninterrupted.npy")) == 0
    seconds = time.perf_counter() - began
    rng = np.random.RandomState(seed)
    checkpoint, n_killed = folder / "state", 0
    for _ in range(n):
        process = start(checkpoint, folder / "early.npy")
        time.sleep(rng.uniform(0, min(seconds, 2.0) / 4))
        process.send_signal(signal.SIGKILL)
        n_killed += wait(process) == -signal.SIGKILL
    assert wait(start(checkpoint, folder / "resumed.npy")) == 0
    expected = np.load(folder / "uninterrupted.npy")
    return n_killed, np.array_equal(np.load(folder / "resumed.npy"), expected)
