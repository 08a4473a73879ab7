"""Few labels on the digits, compared with scikit-learn's semi-supervised methods.

    python -m benchmarks accuracy.label_spreading

The digits of `sklearn.datasets.load_digits` (1,797 images of 8 x 8), with 2, 5 and 10
labels of each class, five random splits with 30 % of the rows held out. All methods are
fitted to the same rows and labels. Prints the accuracy on the held-out rows and on the
unlabelled training rows, means over splits and their standard deviations, and writes
all records to JSON. No setting was chosen on these rows: the defaults come from
``choose_defaults.py``.
"""

import platform
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

import sk_ssvae
from benchmarks.common.command_line import make_parser
from benchmarks.common.data import few_labels, load
from benchmarks.common.paths import RESULTS
from benchmarks.common.plain import plain_m2
from benchmarks.common.result_files import write_json
from sk_ssvae import SSVAEClassifier

PER_CLASS = (2, 5, 10)
SEEDS = range(5)


class LabelledOnly:
    """A supervised classifier that is fitted to the labelled rows only."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit the classifier to the labelled rows."""
        self.estimator.fit(X[y >= 0], y[y >= 0])
        return self

    def predict(self, X):
        """Predict classes."""
        return self.estimator.predict(X)


def knn():
    """Return label spreading on a graph of nearest neighbours."""
    return LabelSpreading(kernel="knn", n_neighbors=7, max_iter=200)


METHODS = {
    "LogisticRegression, labelled rows": lambda seed: LabelledOnly(
        LogisticRegression(max_iter=1000)
    ),
    "SVC, labelled rows": lambda seed: LabelledOnly(SVC(C=10)),
    "SelfTraining(LogisticRegression)": lambda seed: SelfTrainingClassifier(
        LogisticRegression(max_iter=1000)
    ),
    "LabelSpreading (rbf, as shipped)": lambda seed: LabelSpreading(),
    "LabelSpreading (knn, 7)": lambda seed: knn(),
    "SSVAE": lambda seed: SSVAEClassifier(random_state=seed),
    "SSVAE, plain M2": lambda seed: SSVAEClassifier(random_state=seed, **plain_m2()),
    "SSVAE, taught by LabelSpreading (knn, 7)": lambda seed: SSVAEClassifier(
        teacher=knn(), random_state=seed
    ),
}
"""Functions from a seed to an estimator, by name."""


def measure(make, per_class, seed):
    """Fit a method to one split; return accuracies in % and the seconds."""
    X, y = load("digits")
    X = X / 16  # intensities in [0, 1]
    X_train, y_few, y_train, X_test, y_test = few_labels(X, y, per_class, seed)
    model = make(seed)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 with the rbf kernel
        model.fit(X_train, y_few)
        hidden = y_few < 0
        predicted = model.predict(np.concatenate([X_train, X_test]))
    right = predicted == np.concatenate([y_train, y_test])
    return {
        "held_out": 100 * right[len(y_train) :].mean(),
        "unlabelled": 100 * right[: len(y_train)][hidden].mean(),
        "seconds": time.perf_counter() - start,
    }


def run():
    """Return one record for each method and split."""
    return [
        {"method": name, "per_class": per_class, "seed": seed}
        | measure(make, per_class, seed)
        for per_class in PER_CLASS
        for seed in SEEDS
        for name, make in METHODS.items()
    ]


def format_table(records, key):
    """Yield the lines of a table: methods by numbers of labels."""
    yield f"{key:<42}" + "".join(f"{k:>4} a class   " for k in PER_CLASS) + " seconds"
    for name in METHODS:
        cells, seconds = [], []
        for per_class in PER_CLASS:
            chosen = [
                r
                for r in records
                if r["method"] == name and r["per_class"] == per_class
            ]
            values = [r[key] for r in chosen]
            seconds += [r["seconds"] for r in chosen]
            cells.append(f"{np.mean(values):5.1f} +- {np.std(values, ddof=1):4.1f}  ")
        yield f"{name:<42}" + "".join(cells) + f"{np.median(seconds):8.2f}"


def main(argv=None):
    """Run all methods, print the tables and write the records."""
    parser = make_parser("accuracy.label_spreading", __doc__)
    parser.add_argument("--out", type=Path, default=RESULTS / "label_spreading.json")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    records = run()
    for key in ("held_out", "unlabelled"):
        print(*format_table(records, key), "", sep="\n")
    versions = {m.__name__: m.__version__ for m in (sk_ssvae, sklearn, torch, np)}
    versions["python"] = platform.python_version()
    write_json(args.out, {"versions": versions, "records": records})
    print(f"Written to {args.out.name}.")


if __name__ == "__main__":
    main()
