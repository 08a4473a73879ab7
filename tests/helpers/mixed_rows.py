"""Data frames with columns of several types, and a small classifier for them."""

import numpy as np
import pandas as pd
import polars as pl
from model_objects import make_spec

from sk_ssvae import SSVAEClassifier

N_SURVEY = 160
SURVEY_LIKELIHOODS = [
    ("gaussian", ["height", "visits", "rank"]),
    ("categorical", ["colour", "town"]),
    ("bernoulli", ["member"]),
]

N_TOWNS = 40
TOWN_LABELS = np.where(np.arange(N_TOWNS) % 3 == 0, np.arange(N_TOWNS) % 2, -1)


def small_classifier(model="m2", *, pretrain_epochs=3, **params):
    """Return a classifier with small networks and few epochs."""
    defaults = {
        "latent_size": 2,
        "hidden_sizes": (16,),
        "classifier_hidden_sizes": (16,),
        "max_epochs": 4,
        "teacher": None,
        "random_state": 0,
    }
    spec = make_spec(model, inner_size=3, pretrain_epochs=pretrain_epochs)
    return SSVAEClassifier(**defaults | params, model=spec)


def survey(gaps=True):
    """Return a pandas frame with a column of every type, all labels, and few labels."""
    rng = np.random.RandomState(0)
    n = N_SURVEY
    y = rng.randint(0, 2, n)
    X = pd.DataFrame(
        {
            "height": rng.randn(n) + 2 * y,
            "colour": pd.Categorical(
                np.where(rng.rand(n) < 0.7, np.array(["red", "blue"])[y], "green"),
                categories=["red", "green", "blue", "never"],
            ),
            "town": np.array(["Oslo", "Rome", "Lima"])[rng.randint(0, 3, n)],
            "visits": rng.poisson(2 + 3 * y),
            "member": rng.rand(n) < 0.3 + 0.4 * y,
            "rank": pd.array(rng.randint(0, 9, n), dtype="Int64"),
        }
    )
    if gaps:
        X.loc[::7, "height"] = np.nan
        X.loc[::5, "colour"] = None
        X.loc[::11, "town"] = None
        X.loc[::13, "rank"] = pd.NA
    return X, y, np.where(np.arange(n) % 3 == 0, y, -1)


def survey_in(library):
    """Return the survey with missing values in a frame of pandas or polars."""
    X, y, few = survey()
    return X if library == "pandas" else pl.from_pandas(X), y, few


def towns():
    """Return a pandas frame of two columns of numbers and one of strings."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"height": rng.randn(N_TOWNS), "weight": rng.randn(N_TOWNS)})
    X["town"] = np.array(["Oslo", "Rome"])[rng.randint(0, 2, N_TOWNS)]
    X.loc[::5, "height"] = np.nan
    return X
