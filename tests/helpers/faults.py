"""Faults put into training, which tests and benchmarks share."""

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
    return {k: v.clone() for k, v in clf.module_.state_dict().items()}


class Fault(Callback):
    """Spoil one step of training, in one of several ways."""

    def __init__(self, kind, step, again=1):
        self.kind, self.step, self.again = kind, step, again
        self.n_steps = 0

    def initialize(self):
        return self

    def on_train_begin(self, net, **kwargs):
        model = net.module_
        if self.kind == "loss":
            model.classifier.register_forward_hook(self._spoil_output)
        elif self.kind == "explosion":
            model.decoder.register_forward_hook(self._blow_up)
        weight = next(model.decoder.parameters())
        weight.register_hook(self._see_gradient)

    def _now(self):
        return self.step <= self.n_steps < self.step + self.again

    def _spoil_output(self, module, inputs, output):
        return output * math.nan if module.training and self._now() else output

    def _blow_up(self, module, inputs, output):
        return output * 1e4 if module.training and self._now() else output

    def _see_gradient(self, gradient):
        spoilt = self._now() and self.kind in ("nan", "inf", "-inf")
        self.n_steps += 1
        if not spoilt:
            return gradient
        gradient = gradient.clone()
        gradient[0] = float(self.kind)
        return gradient


class SlowerFrom(Callback):
    """Steps a tenth as long from an epoch on; the one before it may be forgotten."""

    def __init__(self, epoch, forget=False):
        self.epoch, self.forget = epoch, forget

    def on_epoch_begin(self, net, **kwargs):
        now = len(net.history_)
        parts = (net.module_, net.optimizer_)
        if now == self.epoch - 1:
            self.before = [copy.deepcopy(part.state_dict()) for part in parts]
        if now == self.epoch:
            if self.forget and now > 1:
                for part, state in zip(parts, self.before, strict=True):
                    part.load_state_dict(state)
            for group in net.optimizer_.param_groups:
                group["lr"] = 0.1 * group["lr"]


PROGRAM = """
import sys, torch, numpy as np
from sklearn.datasets import load_digits
from sk_ssvae import SSVAEClassifier
import sk_ssvae.training.checkpoint
sk_ssvae.training.checkpoint.SHARE = float("inf")
torch.set_num_threads(1)
X, y = load_digits(return_X_y=True)
few = np.where(np.arange(len(y)) % 30, -1, y)
clf = SSVAEClassifier(
    latent_size=2, hidden_sizes=(8,), teacher=None, max_epochs=25, random_state=0,
    model="m1+m2", inner_size=4, pretrain_epochs=25,
    checkpoint=sys.argv[1] if sys.argv[1] != "-" else None,
)
print("ready", flush=True)
clf.fit(X, few)
np.save(sys.argv[2], clf.predict_proba(X))
"""


def kill_and_go_on(folder, n, seed=0):
    """Kill so many processes at random moments of one fit, and let the last one end.

    Returns how many were still there, and whether the answers are, to the bit, those
    of a fit that nobody disturbed.
    """

    def start(checkpoint, out):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(checkpoint), str(out)],
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert process.stdout.readline() == b"ready\n"
        return process

    def end(process):
        process.communicate()
        return process.returncode

    began = time.perf_counter()
    assert end(start("-", folder / "whole.npy")) == 0
    seconds = time.perf_counter() - began
    rng = np.random.RandomState(seed)
    path, killed = folder / "state", 0
    for _ in range(n):
        process = start(path, folder / "ended.npy")
        time.sleep(rng.uniform(0, min(seconds, 2.0) / 4))
        process.send_signal(signal.SIGKILL)
        killed += end(process) == -signal.SIGKILL
    assert end(start(path, folder / "again.npy")) == 0
    whole, again = np.load(folder / "whole.npy"), np.load(folder / "again.npy")
    return killed, np.array_equal(whole, again)
