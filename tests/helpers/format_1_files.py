"""Estimators that version 0.1.0 saved, in ``tests/files/format_1``.

Each was created by the call in `written_as`, fitted to `X` and `y`, and saved. The file
``results.safetensors`` has the results of `training_results`, computed by version 0.1.0
for the loaded estimator before and after `continue_training`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from saved_estimators import COUNTS, FEW, IRIS, NAMES, pandas_frame, polars_frame
from torch import nn

from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.models import ADGM, M1M2, SDGM
from sk_ssvae.training import ClassifierOptions, TrainingOptions

FOLDER = Path(__file__).parents[1] / "files" / "format_1"

FIVE_CLASSES = np.where(np.arange(75) % 3, -1, np.arange(75) // 3 % 5)
"""Labels of every third row."""


class OldFile(NamedTuple):
    """A file of format 1.

    Attributes
    ----------
    written_as : str
        Constructor call of version 0.1.0. ``...`` stands for `COMMON_PARAMETERS`.
    expected : SSVAEClassifier or VariationalAutoencoder
        Unfitted estimator with the parameters that the loaded one has.
    X, y : object
        Rows and labels.
    user_networks : dict
        Networks that are passed to `sk_ssvae.load`.
    """

    written_as: str
    expected: Any
    X: Any
    y: Any
    user_networks: dict[str, Callable[..., nn.Module]] = {}


COMMON_PARAMETERS = {
    "latent_size": 2,
    "hidden_sizes": (4,),
    "max_epochs": 2,
    "random_state": 0,
}


def _classifier(options=None, **params):
    """Return a classifier with the former default of `alpha`."""
    own = {"classifier_hidden_sizes": (4,), "teacher": None, "alpha": 30.0}
    defaults = COMMON_PARAMETERS | own
    options = _options() if options is None else options
    return SSVAEClassifier(**(defaults | params), options=options)


def _options(**params):
    """Return options with the former defaults of adversarial training."""
    return ClassifierOptions(
        **{"adversarial_weight": 0.0, "adversarial_radius": 1.0} | params
    )


OLD_FILES = {
    "m1m2": OldFile(
        "SSVAEClassifier(..., model='m1+m2', inner_size=3, pretrain_epochs=2, "
        "finetune_epochs=1, likelihood=[('poisson', ['visits'])], warm_start=True)",
        _classifier(
            model=M1M2(inner_size=3, pretrain_epochs=2, finetune_epochs=1),
            likelihood=[("poisson", ["visits"])],
            warm_start=True,
        ),
        pandas_frame(),
        NAMES,
    ),
    "sdgm": OldFile(
        "SSVAEClassifier(..., model='sdgm', inner_size=3, marginalization='topk', "
        "top_k=2, entropy_weight=0.1, max_grad_norm=1.0, bound_rows=8, batch_size=16)",
        _classifier(
            model=SDGM(inner_size=3),
            marginalization=2,
            options=_options(entropy_weight=0.1, max_grad_norm=1.0, bound_rows=8),
            batch_size=16,
        ),
        IRIS[::2],
        FIVE_CLASSES,
    ),
    "adgm": OldFile(
        "SSVAEClassifier(..., hidden_sizes=(3,), model='adgm', inner_size=2, "
        "early_stopping=True, validation_fraction=0.3, n_iter_no_change=4, tol=0.5, "
        "n_threads=1)",
        _classifier(
            hidden_sizes=(3,),
            model=ADGM(inner_size=2),
            early_stopping=True,
            validation_fraction=0.3,
            options=_options(n_iter_no_change=4, tol=0.5, n_threads=1),
        ),
        polars_frame(),
        NAMES,
    ),
    "estimated_prior": OldFile(
        "SSVAEClassifier(..., class_prior='estimate', temperature=2.0, "
        "classifier_hidden_sizes=None)",
        _classifier(
            class_prior="estimate", temperature=2.0, classifier_hidden_sizes=None
        ),
        IRIS.astype(np.float32),
        FEW,
    ),
    "pool": OldFile(
        "SSVAEClassifier(..., teacher='pool', teacher_weight=0.5, "
        "adversarial_weight=0.1, adversarial_radius=0.5, "
        "class_prior=np.array([0.2, 0.3, 0.5]), alpha=np.float32(3), precision='bf16')",
        _classifier(
            teacher="pool",
            class_prior=np.array([0.2, 0.3, 0.5]),
            alpha=np.float32(3),
            options=_options(
                teacher_weight=0.5,
                adversarial_weight=0.1,
                adversarial_radius=0.5,
                precision="bf16",
            ),
        ),
        IRIS[::2],
        FEW[::2],
    ),
    "user_networks": OldFile(
        "SSVAEClassifier(..., classifier_module=nn.Linear, "
        "classifier_module__bias=False, encoder_module=nn.Linear)",
        _classifier(
            classifier_module=nn.Linear,
            classifier_module__bias=False,
            encoder_module=nn.Linear,
        ),
        IRIS,
        FEW,
        {"classifier_module": nn.Linear, "encoder_module": nn.Linear},
    ),
    "sparse_counts": OldFile(
        "SSVAEClassifier(..., likelihood='negative_binomial', bound_rows=None)",
        _classifier(likelihood="negative_binomial", options=_options(bound_rows=None)),
        COUNTS,
        NAMES,
    ),
    "autoencoder": OldFile(
        "VariationalAutoencoder(..., warm_start=True, tol=0.5)",
        VariationalAutoencoder(
            **COMMON_PARAMETERS, warm_start=True, options=TrainingOptions(tol=0.5)
        ),
        pandas_frame(),
        None,
    ),
}


def training_results(estimator, X):
    """Return the results for the first 20 rows by method."""
    methods = ["transform", "score_samples"]
    if hasattr(estimator, "predict_proba"):
        methods.append("predict_proba")
    return {method: getattr(estimator, method)(X)[:20] for method in methods}


def continue_training(estimator, X, y):
    """Fit once more with a warm start, or call `partial_fit`."""
    if not estimator.warm_start:
        estimator.partial_fit(X, y)
    elif y is None:
        estimator.fit(X)
    else:
        estimator.fit(X, y)
