"""Bits: hashes of predictions, to check that a change of the code keeps every bit.

    python -m benchmarks reliability.bits

Prints a line for each configuration of the estimators, with hashes of `predict_proba`,
`transform`, `sample` and `score_samples`. Two revisions of the package agree if they
print the same lines on the same machine.
"""

import hashlib

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.datasets import load_digits, load_iris
from sklearn.semi_supervised import LabelSpreading

from benchmarks.common.command_line import make_parser
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.model_selection import mask_labels
from sk_ssvae.models import ADGM, M1M2, SDGM
from sk_ssvae.training import ClassifierOptions

VIEWS_WITHOUT_NETWORKS = [
    *("columns", "min-max", "ranks", "logistic", "svm", "forest"),
    *("linear-generative", "whitened", "discriminant"),
]
"""Views of the opinion pool that train no network."""

MODELS = {
    "m2": "m2",
    "m1+m2": M1M2(inner_size=5, pretrain_epochs=2, finetune_epochs=1),
    "sdgm": SDGM(inner_size=5),
    "adgm": ADGM(inner_size=5),
}


def make_rows(kind):
    """Return X and few labels for a likelihood."""
    if kind == "bernoulli":
        X, y = load_digits(return_X_y=True)
        X, y = X[:300] / 16, y[:300]
    else:
        X, y = load_iris(return_X_y=True)
        if kind in ("poisson", "negative_binomial"):
            X = np.floor(X * 3)
    if kind == "mixed":
        X = pd.DataFrame(X, columns=["a", "b", "c", "d"])
        X["e"] = pd.Categorical(np.where(np.arange(150) % 3 == 0, "u", "v"))
        X["f"] = np.floor(X["a"])
        X.loc[::7, "b"] = np.nan
        X.loc[::11, "e"] = np.nan
    return X, mask_labels(y, n_per_class=4, random_state=0)


def configurations():
    """Yield a name, a classifier, X and y for each configuration."""
    small = {"latent_size": 3, "hidden_sizes": (16,), "max_epochs": 3}
    small |= {"random_state": 0, "device": "cpu"}
    plain = small | {"teacher": None}
    for model, value in MODELS.items():
        for kind in ("gaussian", "bernoulli", "poisson", "negative_binomial", "mixed"):
            likelihood = kind
            if kind == "mixed":
                likelihood = [("negative_binomial", ["f"])]
            params = plain | {"model": value, "likelihood": likelihood}
            yield f"{model}, {kind}", SSVAEClassifier(**params), *make_rows(kind)
    X, y = make_rows("gaussian")
    variants = {
        "label spreading as teacher": {"teacher": LabelSpreading("knn")},
        "pool without latent views": {
            "teacher": OpinionPoolClassifier(views=VIEWS_WITHOUT_NETWORKS)
        },
        "default pool": {"teacher": "pool"},
        "top classes": {"marginalization": 1},
        "early stopping": {"early_stopping": True, "max_epochs": 30},
        "estimated prior": {"class_prior": "estimate"},
        "cross-fitted temperature": {"temperature": "cross-fit"},
        "adversarial": {
            "options": ClassifierOptions(adversarial_weight=1.0, adversarial_radius=0.5)
        },
        "other weights": {
            "options": ClassifierOptions(
                entropy_weight=0.0, bound_rows=None, max_grad_norm=1.0
            )
        },
        "bfloat16": {"options": ClassifierOptions(precision="bf16")},
        "float32 rows": {"X": X.astype(np.float32)},
        "sparse rows": {"X": sparse.csr_array(np.floor(X)), "likelihood": "auto"},
        "string labels": {
            "y": np.array([f"c{c}" if c >= 0 else -1 for c in y], dtype=object)
        },
        "own network": {"classifier_module": UserNetwork},
    }
    for name, changed in variants.items():
        params = plain | changed
        data = params.pop("X", X), params.pop("y", y)
        yield name, SSVAEClassifier(**params), *data
    digits, labels = load_digits(return_X_y=True)
    few = mask_labels(labels, n_per_class=5, random_state=0)
    yield "default, digits", SSVAEClassifier(random_state=0), digits / 16, few


class UserNetwork(torch.nn.Sequential):
    """A user-supplied network with dropout, which uses torch's global generator."""

    def __init__(self, n_in, n_out):
        super().__init__(
            torch.nn.Linear(n_in, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, n_out)
        )


def digest(*values):
    """Return the hash of arrays, sparse arrays and data frames."""
    sha256 = hashlib.sha256()
    for value in values:
        if isinstance(value, pd.DataFrame):
            value = value.to_csv().encode()
        elif sparse.issparse(value):
            value = value.toarray()
        if isinstance(value, np.ndarray) and value.dtype == object:
            value = repr(value.tolist()).encode()
        sha256.update(value if isinstance(value, bytes) else value.tobytes())
    return sha256.hexdigest()[:12]


def print_line(name, *hashes):
    """Print the hashes of a configuration."""
    print(f"{name:28s}", *hashes, flush=True)


def main(argv=None):
    """Print the table."""
    make_parser("reliability.bits", __doc__).parse_args(argv)
    torch.set_num_threads(1)
    print_line(
        "", *(f"{m:12s}" for m in ("predict_proba", "transform", "sample", "score"))
    )
    for name, clf, X, y in configurations():
        clf.fit(X, y)
        print_line(
            name,
            digest(clf.predict_proba(X)),
            digest(clf.transform(X)),
            digest(*clf.sample(9)),
            digest(clf.score_samples(X)),
        )
        if name == "m2, mixed":
            print_line("m2, mixed, imputed", digest(clf.impute(X)))
    X, y = make_rows("gaussian")
    streamed = SSVAEClassifier(latent_size=3, random_state=0, device="cpu")
    for part in np.array_split(np.arange(len(X)), 3):
        streamed.partial_fit(X[part], y[part], classes=[0, 1, 2])
    print_line("partial_fit", digest(streamed.predict_proba(X)))
    weights = np.linspace(0.0, 1.0, len(X))
    clf = SSVAEClassifier(
        teacher=None, max_epochs=2, warm_start=True, random_state=0, device="cpu"
    )
    clf.fit(X, y, sample_weight=weights).fit(X, y, sample_weight=weights)
    print_line("weights, warm start", digest(clf.predict_proba(X)))
    for kind in ("gaussian", "bernoulli", "poisson", "negative_binomial", "mixed"):
        X, _ = make_rows(kind)
        likelihood = [("negative_binomial", ["f"])] if kind == "mixed" else kind
        vae = VariationalAutoencoder(
            latent_size=3, max_epochs=3, likelihood=likelihood, random_state=0
        ).fit(X)
        print_line(
            f"autoencoder, {kind}",
            "-" * 12,
            digest(vae.transform(X)),
            digest(vae.sample(9)),
            digest(vae.score_samples(X)),
        )


if __name__ == "__main__":
    main()
