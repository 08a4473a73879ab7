"""Views of the opinion pool by name, with their chosen constants."""

from collections.abc import Collection, Sequence
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

from sk_ssvae.teachers.classifier_views import (
    BaggedView,
    LabelledRowsView,
    LinearGenerativeView,
    logistic_regression,
)
from sk_ssvae.teachers.discriminant_analysis import discriminant_directions, whitening
from sk_ssvae.teachers.graph_views import (
    AllRowsGraphView,
    GraphView,
    SupervisedProjectionView,
)
from sk_ssvae.teachers.latent_means import LatentMeans
from sk_ssvae.teachers.views import View, ViewSettings
from sk_ssvae.utils.typing import Array

__all__ = [
    "ALL_ROWS_VIEWS",
    "FIRST_STAGE_VIEWS",
    "LATENT_MIN_ROWS",
    "MAX_LATENT_GRAPH_ROWS",
    "SECOND_STAGE_VIEWS",
    "make_view",
    "resolve_view_names",
]


FIRST_STAGE_VIEWS = (
    "columns",
    "unscaled",
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
"""Views that are fitted to rows and labels only."""

ALL_ROWS_VIEWS = frozenset({"latent-gaussian", "latent-bernoulli"})
"""Views that are fitted to all rows, although others may have a sample."""

MAX_LATENT_GRAPH_ROWS = 60_000
"""Largest number of rows in the graphs of these views."""

OPTIONAL_VIEWS = ("logistic",)
"""Views that are not fitted by default. The pool was as accurate without them."""

SECOND_STAGE_VIEWS = ("whitened", "discriminant")
"""Views that also need soft labels: the pooled probabilities of the first stage."""

LATENT_MIN_ROWS = 10_000
"""Number of rows from which views of latent means are defaults. With fewer they took
half of the time, and the pool was as accurate without them."""

BERNOULLI_MIN_EXTREME_SHARE = 1 / 3
"""Share of the cells that equal the minimum or maximum of their column from which the
default view of latent means has the Bernoulli likelihood, else the Gaussian."""

LATENT_SIZE = 32
LATENT_HIDDEN_SIZES = (256,)
LATENT_BATCH_SIZE = 256
LATENT_EPOCHS = 25

LATENT_MAX_COLUMNS = 500
"""VAEs of wider rows are trained for proportionally fewer epochs."""

LATENT_STEPS = (200, 5000)
"""Minimum and maximum number of training steps of a VAE."""

MAX_QUANTILES = 200

MAX_NORMAL_SCORE = 3.0
"""Normal scores are clipped to this magnitude, so that extreme values are not outliers
in distances."""

WHITENED_COMPONENTS = 32
DISCRIMINANT_COMPONENTS = 256


def _is_default(
    name: str, shape: tuple[int, int], one_scale: bool, extreme_share: float
) -> bool:
    """Return whether a view is fitted by default."""
    n_rows, n_features = shape
    if name in ("columns", "unscaled"):  # equal up to a factor if there is one scale
        return (name == "columns") == one_scale
    if name.startswith("pca-"):
        return int(name.removeprefix("pca-")) < n_features
    if name.startswith("latent-"):
        is_bernoulli = extreme_share >= BERNOULLI_MIN_EXTREME_SHARE
        return n_rows >= LATENT_MIN_ROWS and is_bernoulli == name.endswith("bernoulli")
    return name not in OPTIONAL_VIEWS


def resolve_view_names(
    views: Sequence[str] | None,
    shape: tuple[int, int],
    classifiers: Collection[str] = (),
    *,
    one_scale: bool = False,
    extreme_share: float = 0.0,
) -> list[str]:
    """Return the names of the views to fit, for the parameter `views` of the pool.

    Parameters
    ----------
    views : sequence of str or None
        Names of views. None stands for all but "logistic": those of principal
        components if there are fewer components than columns, one of latent means from
        10,000 rows on, and either "unscaled" or, if the columns have one scale,
        "columns".
    shape : tuple of int
        Number of rows, and number of columns that are not constant.
    classifiers : collection of str, default=()
        Names in `views` of the user's classifiers. They are views of the first stage.
    one_scale : bool, default=False
        Whether all columns have the same standard deviation.
    extreme_share : float, default=0.0
        Share of the cells that equal the minimum or maximum of their column.

    Returns
    -------
    names : list of str

    Raises
    ------
    ValueError
        If there is no view of a name, or no view of the first stage is among them.
    """
    available = [*FIRST_STAGE_VIEWS, *SECOND_STAGE_VIEWS]
    if views is None:
        return [n for n in available if _is_default(n, shape, one_scale, extreme_share)]
    names = list(dict.fromkeys(views))
    for name in names:
        if name not in available and name not in classifiers:
            raise ValueError(
                f"views must contain only names from {available}, and pairs of a name "
                f"and a classifier, got {name!r}."
            )
    if not set(names) & {*FIRST_STAGE_VIEWS, *classifiers}:
        raise ValueError(
            f"views must contain a classifier or at least one of "
            f"{list(FIRST_STAGE_VIEWS)}, because {list(SECOND_STAGE_VIEWS)} are "
            f"computed from their probabilities. Got {names}."
        )
    return names


def _clip_scores(Z: Array) -> Array:
    """Clip normal scores."""
    clipped: Array = np.clip(Z, -MAX_NORMAL_SCORE, MAX_NORMAL_SCORE)
    return clipped


def _multiplied(X: Array, factor: Array) -> Array:
    """Multiply columns by factors."""
    product: Array = X * factor
    return product


def _normal_scores(n_rows: int, seed: int) -> Any:
    """Return a transformer of columns to clipped normal scores."""
    quantiles = QuantileTransformer(
        n_quantiles=min(MAX_QUANTILES, n_rows),
        output_distribution="normal",
        random_state=seed,
    )
    return make_pipeline(quantiles, FunctionTransformer(_clip_scores))


def _latent_means(likelihood: str, n_rows: int, n_features: int, seed: int) -> Any:
    """Return a transformer to the latent means of an unsupervised VAE."""
    n_epochs = LATENT_EPOCHS * min(1.0, LATENT_MAX_COLUMNS / n_features)
    n_steps = int(np.clip(n_epochs * n_rows / LATENT_BATCH_SIZE, *LATENT_STEPS))
    return LatentMeans(
        LATENT_SIZE,
        LATENT_HIDDEN_SIZES,
        likelihood,
        n_steps,
        seed,
        LATENT_BATCH_SIZE,
        scaler=MinMaxScaler(clip=True) if likelihood == "bernoulli" else None,
    )


def make_view(name: str, shape: tuple[int, int], settings: ViewSettings) -> View:
    """Return an unfitted view by its name.

    Parameters
    ----------
    name : str
        One of `FIRST_STAGE_VIEWS` or `SECOND_STAGE_VIEWS`.
    shape : tuple of int
        Numbers of rows and columns.
    settings : ViewSettings
        Settings that all views share.

    Returns
    -------
    view : View

    Raises
    ------
    ValueError
        If there is no view of that name.
    """
    n_rows, n_features = shape
    seed = settings.seed
    match name:
        case "columns":
            return GraphView(None, settings)
        case "unscaled":
            scale = settings.unit_scale
            factor = np.ones(n_features) if scale is None else scale
            unscaling = FunctionTransformer(_multiplied, kw_args={"factor": factor})
            return GraphView(unscaling, settings)
        case "min-max":
            return GraphView(MinMaxScaler(), settings)
        case "ranks":
            return GraphView(_normal_scores(n_rows, seed), settings)
        case "pca-4" | "pca-8" | "pca-16":
            size = min(int(name.removeprefix("pca-")), n_features, n_rows)
            return GraphView(PCA(size, random_state=seed), settings)
        case "latent-gaussian" | "latent-bernoulli":
            likelihood = name.removeprefix("latent-")
            means = _latent_means(likelihood, n_rows, n_features, seed)
            latent_settings = settings._replace(graph_rows=settings.latent_graph_rows)
            return AllRowsGraphView(means, latent_settings)
        case "logistic":
            return LabelledRowsView(logistic_regression(), settings)
        case "svm":
            return LabelledRowsView(SVC(C=10.0, random_state=seed), settings)
        case "forest":
            forest = RandomForestClassifier(100, oob_score=True, random_state=seed)
            return BaggedView(forest, settings)
        case "linear-generative":
            return LinearGenerativeView(settings)
        case "whitened":
            return SupervisedProjectionView(whitening, WHITENED_COMPONENTS, settings)
        case "discriminant":
            return SupervisedProjectionView(
                discriminant_directions, DISCRIMINANT_COMPONENTS, settings
            )
    raise ValueError(f"There is no view named {name!r}.")
