"""Few labels on the digits: SSVAEClassifier beside scikit-learn's own answers.

    python benchmarks/label_spreading.py

Digits of `sklearn.datasets.load_digits` (1,797 images of 8 x 8), 2, 5 and 10 labels a
class, five random splits with 30 % of the rows held out. Every method gets the same
rows and labels. Prints accuracy on the held-out rows and on the unlabelled training
rows, means over the splits with their standard deviation, and writes all of it to JSON.
Nothing was tuned on these rows: the defaults come from `choose_defaults.py`.
"""

import argparse
import json
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import sklearn
import torch
from data import few_labels, load
from plain import PLAIN_M2
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

import sk_ssvae
from sk_ssvae import SSVAEClassifier

HERE = Path(__file__).parent
PER_CLASS = (2, 5, 10)
SEEDS = range(5)


class LabelledOnly:
    """Fit a supervised classifier to the labelled rows alone."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y):
        """Fit to the rows that have a label."""
        self.estimator.fit(X[y >= 0], y[y >= 0])
        return self

    def predict(self, X):
        """Predict."""
        return self.estimator.predict(X)


def knn():
    """Label spreading on a graph of nearest neighbours."""
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
    "SSVAE, plain M2": lambda seed: SSVAEClassifier(random_state=seed, **PLAIN_M2),
    "SSVAE, taught by LabelSpreading (knn, 7)": lambda seed: SSVAEClassifier(
        teacher=knn(), random_state=seed
    ),
}


def run():
    """Accuracy in per cent and seconds, one record for each method and split."""
    X, y = load("digits")
    X = X / 16  # intensities in [0, 1], for every method
    records = []
    for per_class in PER_CLASS:
        for seed in SEEDS:
            split = few_labels(X, y, per_class, seed)
            X_train, y_few, y_train, X_test, y_test = split
            for name, make in METHODS.items():
                model = make(seed)
                start = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    warnings.simplefilter("ignore", RuntimeWarning)  # 0 / 0 in rbf
                    model.fit(X_train, y_few)
                    hidden = y_few < 0
                    predicted = model.predict(np.concatenate([X_train, X_test]))
                right = predicted == np.concatenate([y_train, y_test])
                records.append(
                    {
                        "method": name,
                        "per_class": per_class,
                        "seed": seed,
                        "held_out": 100 * right[len(y_train) :].mean(),
                        "unlabelled": 100 * right[: len(y_train)][hidden].mean(),
                        "seconds": time.perf_counter() - start,
                    }
                )
    return records


def table(records, what):
    """Lines of a table: a row for each method, a column for each number of labels."""
    yield f"{what:<42}" + "".join(f"{k:>4} a class   " for k in PER_CLASS) + " seconds"
    for name in METHODS:
        cells, seconds = [], []
        for per_class in PER_CLASS:
            chosen = [
                r
                for r in records
                if r["method"] == name and r["per_class"] == per_class
            ]
            values = [r[what] for r in chosen]
            seconds += [r["seconds"] for r in chosen]
            cells.append(f"{np.mean(values):5.1f} +- {np.std(values, ddof=1):4.1f}  ")
        yield f"{name:<42}" + "".join(cells) + f"{np.median(seconds):8.2f}"


def main():
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "label_spreading.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    records = run()
    for what in ("held_out", "unlabelled"):
        print(*table(records, what), "", sep="\n")
    versions = {m.__name__: m.__version__ for m in (sk_ssvae, sklearn, torch, np)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "versions": versions | {"python": platform.python_version()},
        "records": records,
    }
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"Written to {args.out.name}.")


if __name__ == "__main__":
    main()
