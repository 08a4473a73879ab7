"""Generative quality: bound, log-likelihood, latent means and samples.

    python -m benchmarks accuracy.generative --seeds 0 1 2 3

The default, which has a teacher, and the plain model M2 are fitted to the same rows,
with five labels of each class, for the same number of epochs; and the plain model with
its settings in the other benchmarks. On held-out rows the table has

- the bound, with one draw of z for each class, and the importance-weighted estimate of
  log p(x) with 50 draws, in nats a row, in standardised units;
- the accuracy of the classifier;
- the accuracy of a logistic regression that is fitted to the latent means and all
  labels of the training rows.

On scikit-learn's digits it also has the share of conditional samples that an SVC,
fitted to all labels of the same training rows, assigns to the class they were drawn
for. "means" are the means of p(x | y, z) with z drawn from its prior, which is what is
usually shown as samples of a VAE; "draws" are draws from p(x | y, z), whose pixels are
black or white. The line "the digits themselves" has the accuracy of the SVC on the test
rows, and on test rows drawn to black or white in the same way.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from benchmarks.accuracy.panel_data import split
from benchmarks.common.command_line import make_parser
from benchmarks.common.plain import plain_m2
from benchmarks.common.tables import format_number, print_table
from sk_ssvae import SSVAEClassifier
from sk_ssvae.training import ClassifierOptions
from sk_ssvae.training.batches import resolve_max_epochs


def plain_with_epochs_of_default(seed, n_rows):
    """Return the plain model, trained for as many epochs as the default."""
    plain = SSVAEClassifier.plain(random_state=seed)
    n_epochs = resolve_max_epochs(
        "auto", n_rows, plain.batch_size, taught=True, large_steps=True
    )
    return plain.set_params(max_epochs=n_epochs)


MODELS = {
    "default": lambda seed, n_rows: SSVAEClassifier(random_state=seed),
    "default, all bounds, 100 epochs": lambda seed, n_rows: SSVAEClassifier(
        options=ClassifierOptions(bound_rows=None), max_epochs=100, random_state=seed
    ),
    "pure M2, same epochs": plain_with_epochs_of_default,
    "pure M2, 100 epochs": lambda seed, n_rows: SSVAEClassifier(
        random_state=seed, **plain_m2()
    ),
}
"""Functions from a seed and a number of rows to an estimator, by name."""

SETS = ("digits", "pendigits", "satimage", "segment", "letter", "usps", "spambase")
N_SAMPLES = 1000


def load_split(name, seed):
    """Return training rows, few labels, all labels, held-out rows and labels."""
    if name != "digits":
        parts = split(name, 5, seed).standardised()
        return parts.X_train, parts.y_few, parts.y_train, parts.X_test, parts.y_test
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        X / 16, y, test_size=0.3, stratify=y, random_state=seed
    )
    few = np.full_like(y, -1)
    rng = np.random.RandomState(1000 + seed)
    for c in range(10):
        rows = rng.choice(np.flatnonzero(y == c), 5, replace=False)
        few[rows] = c
    return X, few, y, X_test, y_test


def measure(name, seed, model_name):
    """Fit a model to a set; return its scores."""
    X, few, y, X_test, y_test = load_split(name, seed)
    model = MODELS[model_name](seed, len(X)).fit(X, few)
    probe = LogisticRegression(max_iter=2000).fit(model.transform(X), y)
    values = {
        "accuracy": model.score(X_test, y_test),
        "bound": model.score_samples(X_test, n_draws=1).mean(),
        "log p": model.score_samples(X_test).mean(),
        "latent": probe.score(model.transform(X_test), y_test),
    }
    if name == "digits":
        svc = SVC(C=10).fit(X, y)
        drawn, classes = model.sample(N_SAMPLES, y=np.resize(np.arange(10), N_SAMPLES))
        values["draws"] = (svc.predict(drawn) == classes).mean()
        Z = np.random.RandomState(seed).randn(N_SAMPLES, model.latent_size)
        means = model.inverse_transform(Z, y=classes)
        values["means"] = (svc.predict(means) == classes).mean()
    return values


def score_real_digits(seed):
    """Return the accuracy of the SVC on test rows and on black and white draws."""
    X, _, y, X_test, y_test = load_split("digits", seed)
    svc = SVC(C=10).fit(X, y)
    drawn = np.random.RandomState(seed).random_sample(X_test.shape) < X_test
    return {
        "means": svc.score(X_test, y_test),
        "draws": svc.score(drawn.astype(float), y_test),
    }


def format_line(name, label, values):
    """Return a row of the table: means over seeds."""
    means = {key: np.mean([v[key] for v in values]) for key in values[0]}
    nats = [
        format_number(float(means[key])) if key in means else ""
        for key in ("bound", "log p")
    ]
    shares = [
        f"{100 * means[key]:.1f}" if key in means else ""
        for key in ("accuracy", "latent", "means", "draws")
    ]
    return [name, label, *nats, *shares]


def main(argv=None):
    """Measure, and print the table."""
    parser = make_parser("accuracy.generative", __doc__)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    args = parser.parse_args(argv)
    lines = []

    def add(name, label, values):
        lines.append(format_line(name, label, values))
        print(lines[-1], file=sys.stderr, flush=True)

    if "digits" in args.sets:
        values = [score_real_digits(seed) for seed in args.seeds]
        add("digits", "the digits themselves", values)
    for name in args.sets:
        for label in args.models:
            add(name, label, [measure(name, seed, label) for seed in args.seeds])
    head = ["set", "model", "bound", "log p(x)", "accuracy", "latent means"]
    print_table([*head, "samples: means", "samples: draws"], lines)


if __name__ == "__main__":
    main()
