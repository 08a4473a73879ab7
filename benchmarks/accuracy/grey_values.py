"""Likelihoods of grey images: accuracy, draws, and detection of odd images.

    python -m benchmarks accuracy.grey_values

Fits to 70 % of a data set, with ten labels of each class, and measures on the others:
accuracy; the areas under the ROC curve of `score_samples` for black-and-white and for
upside-down versions of 300 images; and, of 400 draws of `sample`, the share that a
random forest fitted to all images assigns to the right class, the share of pixels that
are neither 0 nor 1, and the area under the ROC curve of a forest that tells draws from
images (50 if it cannot).
"""

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split

from benchmarks.common.command_line import make_parser
from benchmarks.common.data import hide_labels, load
from benchmarks.common.tables import print_table

DATASETS = {"digits": None, "usps": 3000, "mnist": 4000}
LIKELIHOODS = ("bernoulli", "gaussian", "censored_logistic")
TEACHERS = {"none": None, "pool": "pool"}
HEADER = [
    *("", "teacher", "likelihood", "accuracy", "black and white", "upside down"),
    *("right class", "drawn or real", "grey"),
]


def is_grey(X):
    """Return the share of values that are neither 0 nor 1."""
    return ((X > 0) & (X < 1)).mean()


def measure(name, teacher, likelihood, seed):
    """Fit once; return the measures in the order of the table, from 0 to 1."""
    from sk_ssvae import SSVAEClassifier

    X, y = load(name, max_rows=DATASETS[name])
    X = (X - X.min()) / (X.max() - X.min())
    parts = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    train, test, y_train, y_test = parts
    clf = SSVAEClassifier(
        likelihood=likelihood, teacher=teacher, device="cpu", random_state=seed
    ).fit(train, hide_labels(y_train, 10, seed))
    some = test[:300]
    side = int(X.shape[1] ** 0.5)
    upside_down = some.reshape(-1, side, side)[:, ::-1].reshape(some.shape)
    scores = clf.score_samples(some)
    areas = [
        roc_auc_score(
            np.repeat([1, 0], len(some)),
            np.concatenate([scores, clf.score_samples(odd)]),
        )
        for odd in (np.round(some), upside_down)
    ]
    draws, classes = clf.sample(400)
    forest = RandomForestClassifier(100, random_state=0)
    right = (forest.fit(X, y).predict(draws) == classes).mean()
    both = np.concatenate([test[:400], draws])
    is_drawn = np.arange(len(both)) >= len(both) - 400
    told = cross_val_predict(forest, both, is_drawn, cv=5, method="predict_proba")
    told_apart = roc_auc_score(is_drawn, told[:, 1])
    return [clf.score(test, y_test), *areas, right, told_apart, is_grey(draws)]


def main(argv=None):
    """Measure, and print the table in per cent."""
    parser = make_parser("accuracy.grey_values", __doc__)
    parser.add_argument("--datasets", nargs="+", choices=DATASETS, default=[*DATASETS])
    parser.add_argument("--teachers", nargs="+", choices=TEACHERS, default=[*TEACHERS])
    parser.add_argument("--likelihoods", nargs="+", default=LIKELIHOODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    args = parser.parse_args(argv)
    lines = []
    for name in args.datasets:
        for teacher in args.teachers:
            for likelihood in args.likelihoods:
                results = [
                    measure(name, TEACHERS[teacher], likelihood, seed)
                    for seed in args.seeds
                ]
                shares = [f"{100 * v:.1f}" for v in np.mean(results, axis=0)]
                lines.append([name, teacher, likelihood, *shares])
    print_table(HEADER, lines)


if __name__ == "__main__":
    main()
