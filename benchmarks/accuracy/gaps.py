r"""Log-loss against the share of cells that are missing in held-out rows.

    python -m benchmarks accuracy.gaps --measure
    python -m benchmarks accuracy.gaps

Every method is fitted to rows without missing cells, ten labels of each class; 40 % of
the rows, at most 400, are held out, and their cells are hidden at random. Imputers are
fitted to all rows, LogisticRegression, on standardised columns, and
HistGradientBoosting, with ``min_samples_leaf=5``, to the labelled ones. The prior is
that of the labels, `DummyClassifier(strategy="prior")`, which is uniform. Log-losses
are in nats, with probabilities clipped at 1e-6. ``--measure`` computes the results that
are not in the file; without it tables are printed and the curves are drawn.

Iris, wine, breast cancer and digits are from scikit-learn; phoneme comes from the
folder ``SK_SSVAE_DATA`` or from OpenML (``benchmarks/common/data.py``).
"""

from pathlib import Path

import numpy as np
from sklearn import datasets
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common.command_line import make_parser
from benchmarks.common.data import few_labels, load
from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

SETS = ("iris", "wine", "breast_cancer", "digits", "phoneme")
SHARES = (0, 10, 25, 50, 75, 90, 100)
"""Shares of hidden cells, in %."""

LABELS = 10
MAX_ROWS, MAX_TEST = 2500, 400
SMALLEST_PROBABILITY = 1e-6
TOLERANCE = 0.02


def default(seed):
    """Return the default SSVAEClassifier."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(random_state=seed)


def no_teacher(seed):
    """Return SSVAEClassifier without a teacher."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(teacher=None, random_state=seed)


class LabelledRows:
    """Impute by all rows, then fit a classifier to the labelled ones."""

    def __init__(self, imputer, classifier):
        self.imputer, self.classifier = imputer, classifier

    def fit(self, X, y):
        """Fit both."""
        X = X if self.imputer is None else self.imputer.fit_transform(X)
        self.classifier.fit(X[y >= 0], y[y >= 0])
        return self

    def predict_proba(self, X):
        """Return class probabilities."""
        return self.classifier.predict_proba(
            X if self.imputer is None else self.imputer.transform(X)
        )


def logistic():
    """Return logistic regression on standardised columns."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


METHODS = {
    "SSVAEClassifier": default,
    "SSVAEClassifier(teacher=None)": no_teacher,
    "SimpleImputer, LogisticRegression": lambda seed: LabelledRows(
        SimpleImputer(), logistic()
    ),
    "IterativeImputer, LogisticRegression": lambda seed: LabelledRows(
        IterativeImputer(random_state=seed), logistic()
    ),
    "HistGradientBoosting": lambda seed: LabelledRows(
        None, HistGradientBoostingClassifier(min_samples_leaf=5, random_state=seed)
    ),
    "prior": lambda seed: LabelledRows(None, DummyClassifier(strategy="prior")),
}
OURS = tuple(METHODS)[:2]


def rows(dataset, seed):
    """Return training rows, few labels, held-out rows and their classes."""
    if dataset in ("iris", "wine", "breast_cancer"):
        X, y = getattr(datasets, f"load_{dataset}")(return_X_y=True)
    else:
        X, y = load(dataset, MAX_ROWS)
    X, y_few, _, X_test, y_test = few_labels(X, y, LABELS, seed, test_size=0.4)
    return X, y_few, X_test[:MAX_TEST], y_test[:MAX_TEST]


def hide(X, share, seed):
    """Hide a share of the cells, in %, at random."""
    hidden = np.random.RandomState(seed).rand(*X.shape) < share / 100
    return np.where(hidden, np.nan, X)


def measure(dataset, method, seed):
    """Return log-losses and accuracies by share of hidden cells."""
    X, y_few, X_test, y_test = rows(dataset, seed)
    model = METHODS[method](seed).fit(X, y_few)
    curves = {"log_loss": [], "accuracy": []}
    for share in SHARES:
        proba = model.predict_proba(hide(X_test, share, seed))
        true = proba[np.arange(len(y_test)), y_test]
        loss = -np.log(np.clip(true, SMALLEST_PROBABILITY, 1)).mean()
        curves["log_loss"].append(round(float(loss), 4))
        right = proba.argmax(axis=1) == y_test
        curves["accuracy"].append(round(100 * float(right.mean()), 2))
    return curves


def mean_curves(results, score):
    """Return means over seeds, by set and method."""
    values = {}
    for key, result in results.items():
        dataset, _, method = key.split(" / ")
        curve = values.setdefault(dataset, {}).setdefault(method, [])
        curve.append(result[score])
    return {
        dataset: {m: np.mean(values[dataset][m], axis=0) for m in METHODS}
        for dataset in SETS
    }


def report(results):
    """Print a table for each score and set, and what exceeds the prior."""
    for score, title, digits in (("log_loss", "log-loss", 2), ("accuracy", "%", 1)):
        for dataset, curves in mean_curves(results, score).items():
            lines = [
                [method, *(f"{value:.{digits}f}" for value in curve)]
                for method, curve in curves.items()
            ]
            header = [f"{dataset}, {title}", *(f"{share} %" for share in SHARES)]
            print_table(header, lines)
    lines = []
    for method in tuple(METHODS)[:-1]:
        excess = {
            dataset: curves[method] - curves["prior"]
            for dataset, curves in mean_curves(results, "log_loss").items()
        }
        above = sum(int((values > TOLERANCE).sum()) for values in excess.values())
        largest = max(excess, key=lambda name: excess[name].max())
        where = SHARES[int(excess[largest].argmax())]
        lines.append(
            [
                method,
                f"{above} of {len(excess) * len(SHARES)}",
                f"{excess[largest].max():.2f}",
                f"{largest}, {where} %",
            ]
        )
    print_table(
        ["log-loss minus the prior's", f"above {TOLERANCE}", "largest", "where"], lines
    )


def plot(results, path):
    """Plot the log-losses, one panel for each set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curves = mean_curves(results, "log_loss")
    figure, every = plt.subplots(
        1, len(curves), figsize=(2.3 * len(curves), 2.9), layout="constrained"
    )
    for axes, (dataset, methods) in zip(every, curves.items(), strict=True):
        for i, (method, curve) in enumerate(methods.items()):
            style = {"color": f"C{i}", "lw": 1.2}
            if method == OURS[0]:
                style = {"color": "black", "lw": 2.2}
            if method == "prior":
                style = {"color": "0.4", "lw": 1.0, "ls": "--"}
            axes.plot(SHARES, curve, label=method, **style)
        axes.set_ylim(0, 2 * methods["prior"].max())
        axes.set_title(dataset, fontsize=10)
        axes.set_xlabel("hidden cells, %")
    every[0].set_ylabel("log-loss")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main(argv=None):
    """Compute the results that are not in the file, or print and plot them."""
    parser = make_parser("accuracy.gaps", __doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--out", type=Path, default=RESULTS / "gaps.json")
    parser.add_argument("--images", type=Path, default=IMAGES, help="folder")
    args = parser.parse_args(argv)
    results = read_json(args.out)
    if not args.measure:
        report(results)
        plot(results, args.images / "gaps.png")
        return
    for seed in args.seeds:
        for dataset in args.sets:
            for method in METHODS:
                key = f"{dataset} / {seed} / {method}"
                if key not in results:
                    results[key] = measure(dataset, method, seed)
                    print(key, results[key], flush=True)
                    write_json(args.out, results)


if __name__ == "__main__":
    main()
