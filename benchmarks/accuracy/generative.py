"""Whether the default's generative part is as good as that of the plain model.

    python benchmarks/generative.py --seeds 0 1 2 3

The default (with its teacher) and the plain model M2 are fitted to the same rows, five
labels a class, for the same epochs; and the plain model with the settings it has in the
other benchmarks. Printed are, on held-out rows: the bound (one draw of z for each
class) and the importance-weighted estimate of log p(x) with 50 draws, in nats a row in
standardised units; and how well the latent means tell the classes apart, as accuracy of
logistic regression that is fitted to the latent means and all labels of the training
rows. And, on scikit-learn's digits, the share of conditional samples that an SVC,
fitted to all labels of the same training rows, takes for the class they were drawn for:
of means, p(x | y, z)'s with z from its prior, which is what is shown as samples of VAEs
of grey pixels; and of draws, whose pixels are black or white. Test rows drawn to black
or white in the same way are classified as in the line "the digits themselves".
"""

import argparse
import sys

import numpy as np
from measure import number, table
from panel_data import split
from plain import PLAIN_M2
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from sk_ssvae import SSVAEClassifier

PURE = {
    "teacher": None,
    "entropy_weight": 0.0,
    "class_prior": "uniform",
    "classifier_hidden_sizes": None,
    "alpha": 0.1,
    "bound_rows": None,
}
MODELS = {
    "default": {},
    "default, all bounds, 100 epochs": {"bound_rows": None, "max_epochs": 100},
    "pure M2, same epochs": PURE,
    "pure M2, 100 epochs": PLAIN_M2,
}
SETS = ("digits", "pendigits", "satimage", "segment", "letter", "usps", "spambase")
N_SAMPLES = 1000


def rows(name, seed):
    """Training rows, few labels, all labels, and held-out rows and labels."""
    if name != "digits":
        parts = split(name, 5, seed)
        return parts.X_train, parts.y_few, parts.y_train, parts.X_test, parts.y_test
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X / 16, y, test_size=0.3, stratify=y, random_state=seed
    )
    few = np.full_like(y, -1)
    rng = np.random.RandomState(1000 + seed)
    for c in range(10):
        which = rng.choice(np.flatnonzero(y == c), 5, replace=False)
        few[which] = c
    return X, few, y, X_test, y_test


def measure(name, seed, parameters):
    """Fit and score; a dict of numbers."""
    X, few, y, X_test, y_test = rows(name, seed)
    model = SSVAEClassifier(random_state=seed, **parameters).fit(X, few)
    probe = LogisticRegression(max_iter=2000).fit(model.transform(X), y)
    values = {
        "accuracy": model.score(X_test, y_test),
        "bound": model.score_samples(X_test, n_draws=1).mean(),
        "log p": model.score_samples(X_test).mean(),
        "latent": probe.score(model.transform(X_test), y_test),
    }
    if name == "digits":
        judge = SVC(C=10).fit(X, y)
        drawn, classes = model.sample(N_SAMPLES, y=np.resize(np.arange(10), N_SAMPLES))
        values["draws"] = (judge.predict(drawn) == classes).mean()
        Z = np.random.RandomState(seed).randn(N_SAMPLES, model.latent_size)
        means = model.inverse_transform(Z, y=classes)
        values["means"] = (judge.predict(means) == classes).mean()
    return values


def real(seed):
    """Accuracy of the judge on test rows, and on black and white draws of them."""
    X, _, y, X_test, y_test = rows("digits", seed)
    judge = SVC(C=10).fit(X, y)
    drawn = np.random.RandomState(seed).random_sample(X_test.shape) < X_test
    return {
        "means": judge.score(X_test, y_test),
        "draws": judge.score(drawn.astype(float), y_test),
    }


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args()
    lines = []

    def line(name, label, found):
        means = {key: np.mean([f[key] for f in found]) for key in found[0]}
        cells = [
            number(float(means[key])) if key in means else ""
            for key in ("bound", "log p")
        ]
        shares = [
            f"{100 * means[key]:.1f}" if key in means else ""
            for key in ("accuracy", "latent", "means", "draws")
        ]
        lines.append([name, label, *cells, *shares])
        print(lines[-1], file=sys.stderr, flush=True)

    if "digits" in args.sets:
        found = [real(seed) for seed in args.seeds]
        line("digits", "the digits themselves", found)
    for name in args.sets:
        for label in args.models:
            found = [measure(name, seed, MODELS[label]) for seed in args.seeds]
            line(name, label, found)
    head = ["set", "model", "bound", "log p(x)", "accuracy", "latent means"]
    table([*head, "samples: means", "samples: draws"], lines)


if __name__ == "__main__":
    main()
