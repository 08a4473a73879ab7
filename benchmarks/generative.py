"""Whether the default's generative part is as good as that of the plain model.

    python benchmarks/generative.py --seeds 0 1 2 3

The default (with its teacher) and the plain model M2 are fitted to the same rows, five
labels a class, for the same epochs; and the plain model with the settings it has in the
other benchmarks. Printed are, on held-out rows: the bound (one draw of z for each
class) and the importance-weighted estimate of log p(x) with 50 draws, in nats a row in
standardised units; and how well the latent means tell the classes apart, as accuracy of
logistic regression that is fitted to the latent means and all labels of the training
rows. And, on scikit-learn's digits, the share of conditional samples that an SVC,
fitted to all labels of the same training rows, takes for the class they were drawn for.
"""

import argparse

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
        values["samples"] = (judge.predict(drawn) == classes).mean()
    return values


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3])
    args = parser.parse_args()
    lines = []
    for name in args.sets:
        for label, parameters in MODELS.items():
            found = [measure(name, seed, parameters) for seed in args.seeds]
            means = {key: np.mean([f[key] for f in found]) for key in found[0]}
            lines.append(
                [
                    name,
                    label,
                    f"{100 * means['accuracy']:.1f}",
                    number(float(means["bound"])),
                    number(float(means["log p"])),
                    f"{100 * means['latent']:.1f}",
                    f"{100 * means['samples']:.1f}" if "samples" in means else "",
                ]
            )
            print(lines[-1], flush=True)
    head = ["set", "model", "accuracy", "bound", "log p(x)", "latent means", "samples"]
    print(table(head, lines))


if __name__ == "__main__":
    main()
