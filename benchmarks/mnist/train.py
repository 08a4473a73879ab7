r"""Permutation-invariant MNIST with few labels: the paper's table beside ours.

    python benchmarks/mnist.py --labels 100 --seeds 0 1 2
    python benchmarks/mnist.py --report

60,000 training rows of which 100, 600, 1000 or 3000 have a label, as many of each
class; error on the 10,000 test rows, in %. A method on a seed is a cell, written when
it is done, and not run again. `--minutes` bounds each fit's training: it stops at the
end of the epoch that is under way then, and the cell says so. Teachers' time is in the
minutes reported. Settings were chosen by the error on unlabelled training rows, as
``--rows train --seeds 100`` measures it.

MNIST is read from SK_SSVAE_DATA or fetched from OpenML.
"""

import argparse
import contextlib
import fcntl
import json
import time
from pathlib import Path

import numpy as np
from data import hide_labels
from measure import HERE, table
from panel_data import raw
from sklearn.base import BaseEstimator, ClassifierMixin

PAPERS = {
    "Kingma 2014, M1+TSVM": (11.82, 5.72, 4.24, 3.49),
    "Kingma 2014, M2": (11.97, 4.94, 3.60, 3.92),
    "Kingma 2014, M1+M2": (3.33, 2.59, 2.40, 2.18),
    "Maaloe 2016, ADGM": (0.96,),
    "Maaloe 2016, SDGM": (1.32,),
}
"""Errors in % with 100, 600, 1000 and 3000 labels, as printed there."""

LABELS = (100, 600, 1000, 3000)
N_TRAIN = 60_000


NETWORKS = {
    "hidden_sizes": (400, 400),
    "classifier_hidden_sizes": (600, 300),
    "likelihood": "bernoulli",
    "learning_rate": 1e-3,
    "batch_size": 256,
}
PLAIN = {"teacher": None, "entropy_weight": 0.0, "class_prior": "uniform"}
EPOCHS = 10_000
"""More than there is time for."""


def data():
    """Rows in [0, 1], of training and of test, and their classes."""
    X, y, _ = raw("mnist")
    X, y = (X / X.max()).astype(np.float32), y.astype(np.int64)
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:], y[N_TRAIN:]


def curve_of(X, y, minutes):
    """Return a skorch callback that writes errors by the minute, and ends training."""
    import torch
    from skorch.callbacks import Callback

    class Curve(Callback):
        def __init__(self):
            self.start = time.perf_counter()
            self.points = []

        def on_epoch_end(self, net, **kwargs):
            passed = (time.perf_counter() - self.start) / 60
            bound = round(net.history[-1, "bound"], 2)
            point = {"minutes": round(passed, 2), "bound": bound}
            if not net.module_.unsupervised:
                net.module_.eval()
                with torch.inference_mode():
                    parts = torch.split(torch.from_numpy(X), 1000)
                    codes = torch.cat([net.module_(x).argmax(1) for x in parts])
                point["error"] = round(100 * float((codes.numpy() != y).mean()), 2)
            self.points.append(point)
            print(point, flush=True)
            if passed > minutes:
                raise KeyboardInterrupt

    return Curve()


def autoencoder(latent_size, seed, epochs):
    """Return an autoencoder as the paper's M1."""
    from sk_ssvae import VariationalAutoencoder

    return VariationalAutoencoder(
        latent_size,
        hidden_sizes=(400, 400),
        likelihood="bernoulli",
        max_epochs=epochs,
        learning_rate=1e-3,
        random_state=seed,
    )


class LatentGraph(ClassifierMixin, BaseEstimator):
    """Label spreading among the latent means of autoencoders: a teacher.

    The graph is the pool's (`sk_ssvae.teachers.label_spreading`), with all rows in it, 10 neighbours
    and alpha=0.99.
    """

    def __init__(self, latent_sizes=(24, 32), epochs=30, random_state=None):
        self.latent_sizes = latent_sizes
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X, y):
        """Train the autoencoders, then spread the labels."""
        from sk_ssvae.teachers.label_spreading import NeighbourGraph

        self.classes_ = np.unique(y[y >= 0])
        self.spaces_ = [
            autoencoder(size, self.random_state, self.epochs).fit(X)
            for size in self.latent_sizes
        ]
        self.graph_ = NeighbourGraph(self._latent(X), 10, None)
        spread = self.graph_.spread([y], len(self.classes_), 0.99)
        self.label_distributions_ = spread[0]
        return self

    def _latent(self, X):
        return np.hstack([vae.transform(X) for vae in self.spaces_]).astype(float)

    def predict_proba(self, X):
        """Averages over the nearest rows."""
        return self.graph_.answer(self._latent(X))

    def predict(self, X):
        """Most probable classes."""
        return self.predict_proba(X).argmax(axis=1)


def m1_svc(X, few, seed, curve):
    """Fit an SVC to the latent means of the labelled rows; the paper has a TSVM."""
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    vae = autoencoder(50, seed, epochs=60).set_params(callbacks=[curve]).fit(X)
    known = few >= 0
    svc = SVC(C=10).fit(vae.transform(X[known]), few[known])
    return make_pipeline(vae, svc)


def falling_rate(epochs):
    """Return a skorch callback: the learning rate falls to 0 in the second half."""
    from skorch.callbacks import LRScheduler

    return LRScheduler("LambdaLR", lr_lambda=lambda e: min(1.0, 2 - 2 * e / epochs))


def ssvae(params, *, plain=False, graph=False, falling=False):
    """Return what fits the estimator with these parameters."""

    def fit(X, few, seed, curve):
        from sk_ssvae import SSVAEClassifier

        given = NETWORKS | {"max_epochs": EPOCHS} | params
        if plain:
            given |= PLAIN
        if graph:
            given["teacher"] = LatentGraph()
        callbacks = [curve]
        if falling:
            callbacks.append(falling_rate(given["max_epochs"]))
        model = SSVAEClassifier(random_state=seed, callbacks=callbacks, **given)
        return model.fit(X, few)

    return fit


def default(X, few, seed, curve):
    """Nothing chosen; "bernoulli" is what "auto" takes."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(random_state=seed, callbacks=[curve]).fit(X, few)


M2 = {"latent_size": 50}
STACKED = {"model": "m1+m2", "inner_size": 50, "latent_size": 50, "pretrain_epochs": 60}
SDGM = {"model": "sdgm", "inner_size": 50, "latent_size": 50}
TEMPERATURE_WITH_TEACHER = {"latent_size": 20, "max_epochs": 40, "bound_rows": 32}
SMOOTH = TEMPERATURE_WITH_TEACHER | {
    "hidden_sizes": (256,),
    "max_epochs": 150,
    "bound_rows": 16,
    "teacher_weight": 0.3,
    "adversarial_weight": 1.0,
    "adversarial_radius": 2.0,
}
METHODS = {
    "M1 + SVC": m1_svc,
    "M2": ssvae(M2, plain=True),
    "M1+M2": ssvae(STACKED, plain=True),
    "SDGM": ssvae(SDGM, plain=True),
    "M1+M2, latent graph": ssvae(
        STACKED | TEMPERATURE_WITH_TEACHER | {"pretrain_epochs": 30}, graph=True
    ),
    "M2, latent graph, adversarial": ssvae(SMOOTH, graph=True, falling=True),
    "SDGM, latent graph, adversarial": ssvae(SDGM | SMOOTH, graph=True, falling=True),
    "default": default,
}
"""The first four as in the papers, without a teacher; the radius of the adversarial
ones is in the units of pixels from 0 to 1."""


def measure(method, labels, seed, minutes, rows, threads):
    """Fit a method on a split; errors in %."""
    import torch

    torch.set_num_threads(threads)
    X, y, X_test, y_test = data()
    few = hide_labels(y, labels // 10, seed)
    hidden = few < 0
    if rows == "train":  # to choose settings: nothing of the test rows is seen
        X_test, y_test = X[hidden][::5], y[hidden][::5]
    varies = X.std(axis=0) > 0
    start = time.perf_counter()
    curve = curve_of(np.ascontiguousarray(X_test[:, varies]), y_test, minutes)
    model = METHODS[method](X, few, seed, curve)
    return {
        "error": round(100 * float((model.predict(X_test) != y_test).mean()), 2),
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "stopped": bool(curve.points) and curve.points[-1]["minutes"] > minutes,
        "threads": threads,
        "curve": curve.points,
    }


def report(path, image):
    """Print the paper's table beside ours, and draw the curves."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = json.loads(path.read_text())
    lines = [
        [name, *(f"{e:.2f}" for e in errors), *[""] * (len(LABELS) - len(errors)), ""]
        for name, errors in PAPERS.items()
    ]
    for method in METHODS:
        cells = {n: [] for n in LABELS}
        minutes = []
        for key, cell in found.items():
            name, n, _ = key.rsplit(" / ", 2)
            if name == method:
                cells[int(n)].append(cell["error"])
                minutes.append(cell["minutes"])
        if not minutes:
            continue
        texts = [
            f"{np.mean(v):.2f} ± {np.std(v, ddof=min(1, len(v) - 1)):.2f} ({len(v)})"
            if v
            else ""
            for v in cells.values()
        ]
        lines.append([method, *texts, f"{np.mean(minutes):.0f}"])
    table(["error, % (seeds)", *(f"{n} labels" for n in LABELS), "minutes"], lines)
    figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
    colours = {method: f"C{i}" for i, method in enumerate(METHODS)}
    for key, cell in found.items():
        method, n, seed = key.rsplit(" / ", 2)
        points = [p for p in cell["curve"] if "error" in p]
        if int(n) == 100 and points:
            axes.plot(
                [p["minutes"] for p in points],
                [p["error"] for p in points],
                color=colours[method],
                lw=1,
                label=method if seed == "0" else None,
            )
    axes.set(xlabel="minutes", ylabel="test error, %", ylim=(0, 20))
    axes.legend(fontsize=8)
    figure.savefig(image, dpi=120)


def main():
    """Run the cells that are not in the file, or report them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", nargs="+", type=int, choices=LABELS, default=[100])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", choices=("test", "train"), default="test")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "mnist.json")
    parser.add_argument(
        "--image", type=Path, default=HERE.parent / "docs" / "images" / "mnist.png"
    )
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    if args.report:
        report(args.out, args.image)
        return
    for seed in args.seeds:
        for labels in args.labels:
            for method in args.methods:
                key = f"{method} / {labels} / {seed}"
                found = json.loads(args.out.read_text()) if args.out.exists() else {}
                if key in found:
                    continue
                print(key, flush=True)
                cell = measure(
                    method, labels, seed, args.minutes, args.rows, args.threads
                )
                with locked(args.out) as found:
                    found[key] = cell
                print(f"{key}: {cell['error']} % in {cell['minutes']} min", flush=True)


@contextlib.contextmanager
def locked(path):
    """Read the file, and write it again as a whole; two runs may share it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = json.loads(path.read_text()) if path.exists() else {}
        yield found
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1) + "\n")
        partial.replace(path)


if __name__ == "__main__":
    main()
