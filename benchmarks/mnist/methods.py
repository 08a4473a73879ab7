"""Methods of the MNIST benchmark, and the callback that records their errors."""

import time
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

__all__ = ["METHODS", "error_curve"]

NETWORKS = {
    "hidden_sizes": (400, 400),
    "classifier_hidden_sizes": (600, 300),
    "likelihood": "bernoulli",
    "learning_rate": 1e-3,
    "batch_size": 256,
}
MAX_EPOCHS = 10_000
"""More epochs than the time limit allows."""


def error_curve(X, y, minutes):
    """Return a skorch callback that records test errors and limits the training time.

    Parameters
    ----------
    X : ndarray of float32 of shape (n_rows, n_features)
        Test rows, as the networks take them.
    y : ndarray of int64 of shape (n_rows,)
        Their classes.
    minutes : float
        Training ends after the first epoch that exceeds this time.

    Returns
    -------
    skorch.callbacks.Callback
        Its attribute ``points`` has, for each epoch, the minutes, the bound and, if the
        model has a classifier, the error in %.
    """
    import torch
    from skorch.callbacks import Callback

    class ErrorCurve(Callback):
        def __init__(self):
            self.start = time.perf_counter()
            self.points = []

        def on_epoch_end(self, net, **kwargs):
            elapsed = (time.perf_counter() - self.start) / 60
            bound = round(net.history[-1, "bound"], 2)
            point = {"minutes": round(elapsed, 2), "bound": bound}
            if not net.module_.unsupervised:
                net.module_.eval()
                with torch.inference_mode():
                    parts = torch.split(torch.from_numpy(X), 1000)
                    codes = torch.cat([net.module_(x).argmax(1) for x in parts])
                point["error"] = round(100 * float((codes.numpy() != y).mean()), 2)
            self.points.append(point)
            print(point, flush=True)
            if elapsed > minutes:
                raise KeyboardInterrupt

    return ErrorCurve()


def falling_rate(epochs):
    """Return a skorch callback: the learning rate falls to 0 in the second half."""
    from skorch.callbacks import LRScheduler

    return LRScheduler("LambdaLR", lr_lambda=lambda e: min(1.0, 2 - 2 * e / epochs))


def autoencoder(latent_size, seed, epochs):
    """Return the autoencoder of the paper's M1."""
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
    """Teacher: a graph of the latent means of two autoencoders.

    The graph has all rows and 10 neighbours. Labels reach further than in the opinion
    pool, 200 steps instead of 60: there is one label for 600 rows. The recorded results
    are those of label spreading in its place.

    Parameters
    ----------
    latent_sizes : tuple of int, default=(24, 32)
        Latent sizes of the autoencoders.
    epochs : int, default=30
        Epochs of their training.
    random_state : int, default=None
        Seed of their training.
    """

    def __init__(self, latent_sizes=(24, 32), epochs=30, random_state=None):
        self.latent_sizes = latent_sizes
        self.epochs = epochs
        self.random_state = random_state

    def fit(self, X, y):
        """Train the autoencoders, and compute the harmonic function."""
        from sk_ssvae.teachers.graph_classifier import GraphClassifier
        from sk_ssvae.teachers.neighbour_graph import NeighbourGraph

        self.classes_ = np.unique(y[y >= 0])
        self.autoencoders_ = [
            autoencoder(size, self.random_state, self.epochs).fit(X)
            for size in self.latent_sizes
        ]
        graph = NeighbourGraph(self._latent_means(X), 10, None)
        self.graph_ = GraphClassifier(graph, n_steps=200)
        proba = self.graph_.fit_predict_proba([y], len(self.classes_))
        self.label_distributions_ = proba[0]
        return self

    def _latent_means(self, X):
        parts = [vae.transform(X) for vae in self.autoencoders_]
        return np.hstack(parts).astype(float)

    def predict_proba(self, X):
        """Return averages over the nearest training rows."""
        return self.graph_.predict_proba(self._latent_means(X))

    def predict(self, X):
        """Return the most probable classes."""
        return self.predict_proba(X).argmax(axis=1)


def fit_m1_svc(X, few, seed, curve):
    """Fit an SVC to the latent means of the labelled rows; the paper has a TSVM."""
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    vae = autoencoder(50, seed, epochs=60).set_params(callbacks=[curve]).fit(X)
    labelled = few >= 0
    svc = SVC(C=10).fit(vae.transform(X[labelled]), few[labelled])
    return make_pipeline(vae, svc)


def ssvae(parameters, *, plain=False, graph=False, falling=False):
    """Return a function that fits an SSVAEClassifier.

    Parameters
    ----------
    parameters : callable
        Returns the parameters of the classifier.
    plain : bool, default=False
        No teacher, no entropy term and a uniform class prior.
    graph : bool, default=False
        `LatentGraph` as the teacher.
    falling : bool, default=False
        Learning rate of `falling_rate`.
    """

    def fit(X, few, seed, curve):
        from sk_ssvae import SSVAEClassifier
        from sk_ssvae.training import ClassifierOptions

        params = NETWORKS | {"max_epochs": MAX_EPOCHS} | parameters()
        if plain:
            params["options"] = ClassifierOptions(entropy_weight=0.0)
            params |= {"teacher": None, "class_prior": "uniform"}
        if graph:
            params["teacher"] = LatentGraph()
        callbacks = [curve]
        if falling:
            callbacks.append(falling_rate(params["max_epochs"]))
        model = SSVAEClassifier(random_state=seed, callbacks=callbacks, **params)
        return model.fit(X, few)

    return fit


def fit_default(X, few, seed, curve, max_epochs="auto"):
    """Fit SSVAEClassifier with its defaults."""
    from sk_ssvae import SSVAEClassifier

    model = SSVAEClassifier(max_epochs=max_epochs, random_state=seed, callbacks=[curve])
    return model.fit(X, few)


def m1m2(pretrain_epochs):
    """Return parameters of M1+M2."""
    from sk_ssvae.models import M1M2

    model = M1M2(inner_size=50, pretrain_epochs=pretrain_epochs)
    return {"model": model, "latent_size": 50}


def sdgm():
    """Return parameters of SDGM."""
    from sk_ssvae.models import SDGM

    return {"model": SDGM(inner_size=50), "latent_size": 50}


def m1m2_with_teacher():
    """Return parameters of M1+M2 with a teacher."""
    from sk_ssvae.training import ClassifierOptions

    short = {"latent_size": 20, "max_epochs": 40}
    options = ClassifierOptions(bound_rows=32, adversarial_weight=0.0)
    return m1m2(30) | short | {"options": options}


def adversarial():
    """Return parameters of adversarial training with a teacher.

    The radius is in units of pixels from 0 to 1.
    """
    from sk_ssvae.training import ClassifierOptions

    options = ClassifierOptions(
        bound_rows=16,
        teacher_weight=0.3,
        adversarial_weight=1.0,
        adversarial_radius=2.0,
    )
    return {
        "latent_size": 20,
        "hidden_sizes": (256,),
        "max_epochs": 150,
        "options": options,
    }


METHODS = {
    "M1 + SVC": fit_m1_svc,
    "M2": ssvae(lambda: {"latent_size": 50}, plain=True),
    "M1+M2": ssvae(lambda: m1m2(60), plain=True),
    "SDGM": ssvae(sdgm, plain=True),
    "M1+M2, latent graph": ssvae(m1m2_with_teacher, graph=True),
    "M2, latent graph, adversarial": ssvae(adversarial, graph=True, falling=True),
    "SDGM, latent graph, adversarial": ssvae(
        lambda: sdgm() | adversarial(), graph=True, falling=True
    ),
    "default": fit_default,
    "default, many epochs": partial(fit_default, max_epochs="many"),
}
"""Functions that fit a method, by name. They are called with training rows, few labels,
a seed and a callback. The first four are the models of the papers, without a
teacher."""
