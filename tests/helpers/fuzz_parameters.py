"""Parameters for the fuzzer: valid and invalid values."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import nn

from sk_ssvae import OpinionPoolClassifier
from sk_ssvae.models import ADGM, M1M2, M2, SDGM
from sk_ssvae.training import ClassifierOptions, TrainingOptions

OBJECTS = {
    "@M2": lambda folder: M2(),
    "@M1M2": lambda folder: M1M2(inner_size=3, pretrain_epochs=1),
    "@M1M2 fine-tuned": lambda folder: M1M2(
        inner_size=np.int16(1), pretrain_epochs=2, finetune_epochs=1
    ),
    "@SDGM": lambda folder: SDGM(inner_size=2),
    "@ADGM": lambda folder: ADGM(inner_size=10),
    "@M1M2 inner_size=0": lambda folder: M1M2(inner_size=0),
    "@M1M2 pretrain_epochs=0": lambda folder: M1M2(pretrain_epochs=0),
    "@M1M2 finetune_epochs=-1": lambda folder: M1M2(finetune_epochs=-1),
    "@SDGM inner_size=1.5": lambda folder: SDGM(inner_size=1.5),
    "@ADGM inner_size='many'": lambda folder: ADGM(inner_size="many"),
    "@model class": lambda folder: SDGM,
    "@ClassifierOptions": lambda folder: ClassifierOptions(),
    "@TrainingOptions": lambda folder: TrainingOptions(),
    "@options class": lambda folder: ClassifierOptions,
    "@LabelSpreading": lambda folder: LabelSpreading(kernel="knn", n_neighbors=3),
    "@LabelSpreading rbf": lambda folder: LabelSpreading(),
    "@SelfTraining": lambda folder: SelfTrainingClassifier(LogisticRegression()),
    "@LogisticRegression": lambda folder: LogisticRegression(),
    "@OpinionPool": lambda folder: OpinionPoolClassifier(views=["logistic"]),
    "@Ridge": lambda folder: Ridge(),
    "@teacher class": lambda folder: LabelSpreading,
    "@checkpoint": lambda folder: folder / "checkpoint",
    "@missing folder": lambda folder: str(folder / "nowhere" / "checkpoint"),
    "@folder": lambda folder: folder,
    "@Linear": lambda folder: nn.Linear,
    "@MLP": lambda folder: _mlp,
    "@wrong size": lambda folder: lambda n_in, n_out: nn.Linear(n_in, n_out + 1),
    "@no module": lambda folder: lambda n_in, n_out: None,
    "@cpu": lambda folder: torch.device("cpu"),
    "@all columns": lambda folder: _all_columns,
    "@generator": lambda folder: np.random.default_rng(0),
    "@object": lambda folder: object(),
}
"""Functions that create objects for each case, by the names that stand for them."""


def _all_columns(X: Any) -> list[int]:
    return list(range(X.shape[1]))


def _mlp(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, 4), nn.Dropout(0.5), nn.Linear(4, n_out))


PARAMETERS: dict[str, tuple[Any, ...]] = {
    "latent_size": (1, 2, 5, 40, np.int8(3)),
    "hidden_sizes": ((), (1,), (8, 4), [5], np.array([3, 3]), (300,)),
    "classifier_hidden_sizes": (None, (), (1,), (8, 4), [5]),
    "model": (
        "m2",
        "sdgm",
        "adgm",
        "@M2",
        "@M1M2",
        "@M1M2 fine-tuned",
        "@SDGM",
        "@ADGM",
    ),
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
        [("gaussian", "@all columns")],
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
        "@OpinionPool",
    ),
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
    "alpha": ("auto", 0, 0.1, 1e6, 30.0),
    "max_epochs": (1, 2, 3, np.uint8(2)),
    "batch_size": (1, 2, 7, 1000, np.uint8(9), 2**40),
    "marginalization": ("auto", "exact", 1, 2, 100),
    "early_stopping": (False, True, np.True_),
    "validation_fraction": ("auto", 0, 0.0, 0.1, 0.5, 0.99, 1e-9),
    "learning_rate": (1e-3, 1e-30, 1.0, 10, 1e2, 1e4, 1e12),
    "device": ("auto", "cpu", "@cpu"),
    "callbacks": (None, []),
    "checkpoint": (None, "@checkpoint"),
    "random_state": (0, None, 2**32 - 1, np.int64(3)),
    "verbose": (0, 1, True),
    "warm_start": (False, True),
    "classifier_module": (None, "@Linear", "@MLP"),
    "encoder_module": (None, "@Linear", "@MLP"),
    "decoder_module": (None, "@Linear", "@MLP"),
    "options": (None, "@ClassifierOptions"),
    "options__teacher_weight": (0, 0.5, 1e6, np.float32(1)),
    "options__entropy_weight": (0, 0.3, 1e6),
    "options__adversarial_weight": ("auto", 0.0, 1.0, 1e6),
    "options__adversarial_radius": ("auto", 1e-30, 1.0, 1e6),
    "options__bound_rows": ("auto", None, 1, 2, 1000),
    "options__n_iter_no_change": (1, 10),
    "options__tol": (0, 1e-4, 1e9),
    "options__max_grad_norm": (None, 1.0, 1e-6, 1e30),
    "options__precision": ("float32", "bf16"),
    "options__n_threads": (None, 1, 2),
}
"""Valid values by name of the parameter."""

_NOT_NUMBERS = (None, "many", [1], "@object")

INVALID: dict[str, tuple[Any, ...]] = {
    "latent_size": (0, -1, 2.5, *_NOT_NUMBERS),
    "hidden_sizes": (5, None, (0,), (-1,), (2.5,), "ab", ((1, 2),), (True,), {"a": 1}),
    "classifier_hidden_sizes": (5, (0,), "ab", (None,), [[1]]),
    "model": (
        "M2",
        "",
        None,
        3,
        [],
        "@model class",
        "@M1M2 inner_size=0",
        "@M1M2 pretrain_epochs=0",
        "@M1M2 finetune_epochs=-1",
        "@SDGM inner_size=1.5",
        "@ADGM inner_size='many'",
    ),
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
    "teacher": ("Pool", 3, "@Ridge", "@teacher class", "@object", []),
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
    "alpha": (-1, float("nan"), float("inf"), 1e308, *_NOT_NUMBERS),
    "max_epochs": (0, -1, 1.5, float("inf"), *_NOT_NUMBERS),
    "batch_size": (0, -1, 1.5, *_NOT_NUMBERS),
    "marginalization": ("all", "topk", 0, -1, 1.5, *_NOT_NUMBERS),
    "early_stopping": ("yes", None, 1, []),
    "validation_fraction": (1, -0.1, float("nan"), "some", None, [0.1], True),
    "learning_rate": (0, -1, float("nan"), float("inf"), 1e308, *_NOT_NUMBERS),
    "device": ("gpu", "cuda", "cuda:99", "meta", "", None, 3, "cpu:7", "mps"),
    "callbacks": ("print", [3], [None], ("a", "b"), ["early"], {}, "@object"),
    "checkpoint": ("@missing folder", "@folder", 3, b"path", "", "\0"),
    "random_state": (-1, 2**32, 1.5, "seed", "@generator", float("nan")),
    "verbose": (-1, "yes", None, 1.5),
    "warm_start": ("yes", None, 3),
    "classifier_module": (3, "Linear", "@wrong size", "@no module", "@LabelSpreading"),
    "encoder_module": (3, "@wrong size", "@no module"),
    "decoder_module": (3, "@wrong size", "@no module"),
    "options": ("fast", 3, {}, "@TrainingOptions", "@options class", "@object"),
    "options__teacher_weight": (-1, float("nan"), float("inf"), *_NOT_NUMBERS),
    "options__entropy_weight": (-1, float("nan"), float("inf"), *_NOT_NUMBERS),
    "options__adversarial_weight": (-1, float("nan"), float("inf"), *_NOT_NUMBERS),
    "options__adversarial_radius": (0, -1, float("nan"), float("inf"), *_NOT_NUMBERS),
    "options__bound_rows": (0, -1, 1.5, "all", [1]),
    "options__n_iter_no_change": (0, 1.5, *_NOT_NUMBERS),
    "options__tol": (-1, float("nan"), float("inf"), *_NOT_NUMBERS),
    "options__max_grad_norm": (0, -1, float("nan"), float("inf"), "big", [1]),
    "options__precision": ("float64", None, 16, []),
    "options__n_threads": (0, -1, 1.5, 2**40, "all", True),
    "options__compile": ("yes", None, 3),
}
"""Invalid values by name of the parameter."""


def resolve_names(params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Replace names of objects by new objects.

    Parameters
    ----------
    params : dict
        Parameters of the estimator.
    folder : Path
        Folder for checkpoints.

    Returns
    -------
    params : dict
    """

    def resolve(value: Any) -> Any:
        if isinstance(value, str):
            return OBJECTS[value](folder) if value in OBJECTS else value
        if isinstance(value, list | tuple):
            return type(value)(map(resolve, value))
        return value

    return {name: resolve(value) for name, value in params.items()}
