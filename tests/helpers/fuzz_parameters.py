"""What the fuzzer gives for parameters: values that may be, and that may not."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import nn

from sk_ssvae import OpinionPoolClassifier

NAMED = {
    "@LabelSpreading": lambda folder: LabelSpreading(kernel="knn", n_neighbors=3),
    "@LabelSpreading rbf": lambda folder: LabelSpreading(),
    "@SelfTraining": lambda folder: SelfTrainingClassifier(LogisticRegression()),
    "@LogisticRegression": lambda folder: LogisticRegression(),
    "@Pool": lambda folder: OpinionPoolClassifier(views=["logistic"]),
    "@Ridge": lambda folder: Ridge(),
    "@a class": lambda folder: LabelSpreading,
    "@path": lambda folder: folder / "checkpoint",
    "@no folder": lambda folder: str(folder / "nowhere" / "checkpoint"),
    "@folder": lambda folder: folder,
    "@Linear": lambda folder: nn.Linear,
    "@Flat": lambda folder: _flat,
    "@Wrong": lambda folder: lambda n_in, n_out: nn.Linear(n_in, n_out + 1),
    "@No module": lambda folder: lambda n_in, n_out: None,
    "@cpu": lambda folder: torch.device("cpu"),
    "@all": lambda folder: _all_columns,
    "@generator": lambda folder: np.random.default_rng(0),
    "@object": lambda folder: object(),
}
"""Values that have no spelling; made anew for each case."""


def _all_columns(X: Any) -> list[int]:
    return list(range(X.shape[1]))


def _flat(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, 4), nn.Dropout(0.5), nn.Linear(4, n_out))


PARAMETERS: dict[str, tuple[Any, ...]] = {
    "latent_size": (1, 2, 5, 40, np.int8(3)),
    "hidden_sizes": ((), (1,), (8, 4), [5], np.array([3, 3]), (300,)),
    "classifier_hidden_sizes": (None, (), (1,), (8, 4), [5]),
    "model": ("m2", "m1+m2", "sdgm", "adgm"),
    "inner_size": (1, 2, 10, np.int16(3)),
    "likelihood": (
        "auto",
        "gaussian",
        "bernoulli",
        "categorical",
        "poisson",
        "negative_binomial",
        [],
        [("gaussian", [0])],
        [("bernoulli", slice(0, 1)), ("gaussian", [1])],
        [("gaussian", ["c0"])],
        (("poisson", [True, False, False]),),
        [("gaussian", "@all")],
        [("categorical", [0]), ("negative_binomial", [-1])],
    ),
    "categorical_features": (
        "from_dtype",
        None,
        [0],
        [True, False, False],
        ["c0"],
        np.array([0, 1]),
        [-1],
        [],
    ),
    "teacher": (
        None,
        "pool",
        "@LabelSpreading",
        "@LabelSpreading rbf",
        "@SelfTraining",
        "@LogisticRegression",
        "@Pool",
    ),
    "teacher_weight": (0, 0.5, 1e6, np.float32(1)),
    "entropy_weight": (0, 0.3, 1e6),
    "balance_weight": (0, 0.3, 1e6),
    "adversarial_weight": (0.0, 1.0, 1e6),
    "adversarial_radius": (1e-30, 1.0, 1e6),
    "class_prior": (
        "auto",
        "uniform",
        "empirical",
        "estimate",
        [0.2, 0.3, 0.5],
        np.array([0.5, 0.5]),
        (1 / 3, 1 / 3, 1 / 3),
        [1e-300, 0.5, 0.5],
    ),
    "temperature": ("auto", "cross-fit", 0.01, 1, 100.0),
    "unlabeled": (-1, 0, 1, None, float("nan"), "cat", "?", 7, 2.0, np.int8(-1)),
    "alpha": (0, 0.1, 1e6, 30.0),
    "max_epochs": (1, 2, 3, np.uint8(2)),
    "pretrain_epochs": (1, 2),
    "finetune_epochs": (0, 1),
    "batch_size": (1, 2, 7, 1000, np.uint8(9), 2**40),
    "marginalization": ("auto", "exact", "topk"),
    "top_k": (1, 2, 100),
    "bound_rows": ("auto", None, 1, 2, 1000),
    "early_stopping": (False, True, np.True_),
    "validation_fraction": ("auto", 0, 0.0, 0.1, 0.5, 0.99, 1e-9),
    "n_iter_no_change": (1, 10),
    "tol": (0, 1e-4, 1e9),
    "learning_rate": (1e-3, 1e-30, 1.0, 10, 1e2, 1e4, 1e12),
    "device": ("auto", "cpu", "@cpu"),
    "n_threads": (None, 1, 2),
    "precision": ("float32", "bf16"),
    "max_grad_norm": (None, 1.0, 1e-6, 1e30),
    "callbacks": (None, []),
    "checkpoint": (None, "@path"),
    "random_state": (0, None, 2**32 - 1, np.int64(3)),
    "verbose": (0, 1, True),
    "warm_start": (False, True),
    "classifier_module": (None, "@Linear", "@Flat"),
    "encoder_module": (None, "@Linear", "@Flat"),
    "decoder_module": (None, "@Linear", "@Flat"),
}

_NO_NUMBERS = (None, "many", [1], "@object")

INVALID: dict[str, tuple[Any, ...]] = {
    "latent_size": (0, -1, 2.5, *_NO_NUMBERS),
    "hidden_sizes": (5, None, (0,), (-1,), (2.5,), "ab", ((1, 2),), (True,), {"a": 1}),
    "classifier_hidden_sizes": (5, (0,), "ab", (None,), [[1]]),
    "model": ("M2", "", None, 3, []),
    "inner_size": (0, 1.5, *_NO_NUMBERS),
    "likelihood": (
        "normal",
        None,
        3,
        [("gaussian", [99])],
        [("normal", [0])],
        [("gaussian", [0]), ("poisson", [0])],
        ["gaussian"],
        [("gaussian", None)],
        [("gaussian", ["no such"])],
        [("gaussian", [0.5])],
        [("gaussian", [True])],
        [(3, [0])],
        {"gaussian": [0]},
    ),
    "categorical_features": (
        [99],
        ["no such"],
        [True],
        [0.5],
        "c0",
        3,
        [[0]],
        [None],
        {"c0"},
        [0, "c0"],
        [float("nan")],
    ),
    "teacher": ("Pool", 3, "@Ridge", "@a class", "@object", []),
    "teacher_weight": (-1, float("nan"), float("inf"), *_NO_NUMBERS),
    "entropy_weight": (-1, float("nan"), float("inf"), *_NO_NUMBERS),
    "balance_weight": (-1, float("nan"), float("inf"), *_NO_NUMBERS),
    "adversarial_weight": (-1, float("nan"), float("inf"), *_NO_NUMBERS),
    "adversarial_radius": (0, -1, float("nan"), float("inf"), *_NO_NUMBERS),
    "class_prior": (
        "flat",
        None,
        [1, 0, 0],
        [0.5],
        [float("nan")] * 3,
        [[0.2, 0.3, 0.5]],
        ["a", "b", "c"],
        0.5,
        {0: 1.0},
        [-1, 1, 1],
        [2**60] * 3,
    ),
    "temperature": (0, -1, 101, float("nan"), None, "warm", "@object", True),
    "unlabeled": (True, [-1], (), "@object", b"-1", np.array([-1])),
    "alpha": (-1, float("nan"), float("inf"), 1e308, *_NO_NUMBERS),
    "max_epochs": (0, -1, 1.5, float("inf"), *_NO_NUMBERS),
    "pretrain_epochs": (0, -1, 1.5, *_NO_NUMBERS),
    "finetune_epochs": (-1, 1.5, *_NO_NUMBERS),
    "batch_size": (0, -1, 1.5, *_NO_NUMBERS),
    "marginalization": ("all", None, 3, []),
    "top_k": (0, -1, 1.5, *_NO_NUMBERS),
    "bound_rows": (0, -1, 1.5, "all", [1]),
    "early_stopping": ("yes", None, 1, []),
    "validation_fraction": (1, -0.1, float("nan"), "some", None, [0.1], True),
    "n_iter_no_change": (0, 1.5, *_NO_NUMBERS),
    "tol": (-1, float("nan"), float("inf"), *_NO_NUMBERS),
    "learning_rate": (0, -1, float("nan"), float("inf"), 1e308, *_NO_NUMBERS),
    "device": ("gpu", "cuda", "cuda:99", "meta", "", None, 3, "cpu:7", "mps"),
    "n_threads": (0, -1, 1.5, 2**40, "all", True),
    "precision": ("float64", None, 16, []),
    "compile": ("yes", None, 3),
    "max_grad_norm": (0, -1, float("nan"), float("inf"), "big", [1]),
    "callbacks": ("print", [3], [None], ("a", "b"), ["early"], {}, "@object"),
    "checkpoint": ("@no folder", "@folder", 3, b"path", "", "\0"),
    "random_state": (-1, 2**32, 1.5, "seed", "@generator", float("nan")),
    "verbose": (-1, "yes", None, 1.5),
    "warm_start": ("yes", None, 3),
    "classifier_module": (3, "Linear", "@Wrong", "@No module", "@LabelSpreading"),
    "encoder_module": (3, "@Wrong", "@No module"),
    "decoder_module": (3, "@Wrong", "@No module"),
}


def resolved(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Parameters with objects in the place of their names."""

    def value(given: Any) -> Any:
        if isinstance(given, str):
            return NAMED[given](folder) if given in NAMED else given
        if isinstance(given, list | tuple):
            return type(given)(map(value, given))
        return given

    return {name: value(given) for name, given in params.items()}
