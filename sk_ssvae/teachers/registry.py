"""The views of the pool by name, with the constants that were chosen for them."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    QuantileTransformer,
)
from sklearn.svm import SVC

from sk_ssvae.teachers.discriminant_analysis import discriminant, whitening
from sk_ssvae.teachers.latent_means import LatentMeans
from sk_ssvae.teachers.views import (
    GuidedView,
    LinearGenerativeView,
    ModelView,
    Settings,
    SpreadingView,
    View,
    logistic_regression,
)
from sk_ssvae.utils.typing import Array

__all__ = ["GUIDED", "OWN", "make_view"]


LATENT_SIZE = 16
LATENT_HIDDEN = 256
LATENT_BATCH = 256
LATENT_EPOCHS = 25
LATENT_COLUMNS = 500
LATENT_STEPS = (200, 5000)
WHITENED_DIMENSIONS = 32
DISCRIMINANT_DIMENSIONS = 256


def _clip(Z: Array) -> Array:
    """Three standard deviations: an extreme value is no farther than that."""
    clipped: Array = np.clip(Z, -3.0, 3.0)
    return clipped


def _ranks(n_rows: int, seed: int) -> Any:
    normal = QuantileTransformer(
        n_quantiles=min(200, n_rows), output_distribution="normal", random_state=seed
    )
    return make_pipeline(normal, FunctionTransformer(_clip))


def _latent_means(name: str, n_rows: int, n_features: int, seed: int) -> Any:
    """Latent means of a VAE that sees each row 25 times, less where rows are wide."""
    likelihood = name.removeprefix("latent-")
    n_epochs = LATENT_EPOCHS * min(1.0, LATENT_COLUMNS / n_features)
    n_steps = int(np.clip(n_epochs * n_rows / LATENT_BATCH, *LATENT_STEPS))
    means = LatentMeans(
        LATENT_SIZE, (LATENT_HIDDEN,), likelihood, n_steps, seed, LATENT_BATCH
    )
    if likelihood == "gaussian":
        return means
    return make_pipeline(MinMaxScaler(clip=True), means)


OWN = (
    "columns",
    "min-max",
    "ranks",
    "pca-4",
    "pca-8",
    "pca-16",
    "logistic",
    "svm",
    "forest",
    "linear-generative",
    "latent-gaussian",
    "latent-bernoulli",
)
"""Views that need no guess."""

GUIDED = ("whitened", "discriminant")
"""Views in spaces that are made from what the others guess."""


def make_view(name: str, shape: tuple[int, int], settings: Settings) -> View:
    """Return a view by its name.

    Parameters
    ----------
    name : str
        One of `OWN` or `GUIDED`.
    shape : tuple of int
        Numbers of rows and columns.
    settings : Settings
        What all views have in common.

    Returns
    -------
    view : View
    """
    n_rows, n_features = shape
    seed = settings.seed
    view: View
    if name.startswith("pca-"):
        size = min(int(name.removeprefix("pca-")), n_features, n_rows)
        view = SpreadingView(PCA(size, random_state=seed), settings)
    elif name == "columns":
        view = SpreadingView(None, settings)
    elif name == "min-max":
        view = SpreadingView(MinMaxScaler(), settings)
    elif name == "ranks":
        view = SpreadingView(_ranks(n_rows, seed), settings)
    elif name.startswith("latent-"):
        view = SpreadingView(_latent_means(name, n_rows, n_features, seed), settings)
    elif name == "logistic":
        view = ModelView(logistic_regression(), settings)
    elif name == "svm":
        view = ModelView(SVC(C=10.0, random_state=seed), settings)
    elif name == "forest":
        view = ModelView(RandomForestClassifier(100, random_state=seed), settings)
    elif name == "linear-generative":
        view = LinearGenerativeView(settings)
    elif name == "whitened":
        view = GuidedView(whitening, WHITENED_DIMENSIONS, settings)
    else:
        view = GuidedView(discriminant, DISCRIMINANT_DIMENSIONS, settings)
    return view
