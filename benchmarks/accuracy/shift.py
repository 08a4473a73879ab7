r"""Class priors when class shares differ between labelled and unlabelled rows.

    python -m benchmarks accuracy.shift
    python -m benchmarks accuracy.shift --report

Twenty labels of each class. Of the other rows nine tenths belong to one class (six
tenths if there are three or more classes), and 30 % are held out. For each value of
`class_prior` the table has the sum of the absolute errors of `class_prior_` ("off"),
and the accuracy on the held-out rows in %. Data sets on which nothing was chosen
(`panel_data.REPORTED_ON`) with 2 to 8 classes. Each result is written as soon as it is
computed, and not computed again.

Data come from the folder ``SK_SSVAE_DATA`` or from OpenML; see
``benchmarks/common/data.py``.
"""

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy.panel_data import prepared
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

SETS = ("splice", "mushroom", "credit_g", "cells", "sc_pbmc4k")
LABELS = 20
PRIORS = ("uniform", "auto", "estimate")
MODELS = ("M2", "default")


def shifted_rows(name, seed):
    """Draw rows with shifted class shares.

    Returns
    -------
    X : ndarray of float32
        Training rows, standardised.
    few : ndarray of int64
        Their classes, -1 where hidden.
    X_test, y_test : ndarray
        Held-out rows, with the class shares of the unlabelled rows.
    shares : ndarray of float64 of shape (n_classes,)
        True class shares of the unlabelled rows.
    """
    X, y = prepared(name)
    y = np.unique(y, return_inverse=True)[1]
    rng = np.random.RandomState(seed)
    n_classes = y.max() + 1
    largest = 0.9 if n_classes == 2 else 0.6
    shares = np.full(n_classes, (1 - largest) / (n_classes - 1))
    shares[seed % n_classes] = largest
    shuffled = [rng.permutation(np.flatnonzero(y == c)) for c in range(n_classes)]
    labelled = np.concatenate([rows[:LABELS] for rows in shuffled])
    others = [rows[LABELS:] for rows in shuffled]
    n = int(min(len(rows) / share for rows, share in zip(others, shares, strict=True)))
    rows = np.concatenate(
        [r[: max(2, int(n * s))] for r, s in zip(others, shares, strict=True)]
    )
    train, test = train_test_split(
        rows, test_size=0.3, stratify=y[rows], random_state=seed
    )
    scaler = StandardScaler().fit(X[np.append(labelled, train)])
    X_train = scaler.transform(X[np.append(labelled, train)]).astype(np.float32)
    X_test = scaler.transform(X[test]).astype(np.float32)
    few = np.append(y[labelled], np.full(len(train), -1))
    true_shares = np.bincount(y[train], minlength=n_classes) / len(train)
    return X_train, few, X_test, y[test], true_shares


def measure(name, seed, model, prior):
    """Return the error of the class prior, and the accuracy."""
    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.training import ClassifierOptions

    X, few, X_test, y_test, true_shares = shifted_rows(name, seed)
    clf = SSVAEClassifier(class_prior=prior, random_state=seed)
    if model == "M2":
        clf.set_params(teacher=None, options=ClassifierOptions(entropy_weight=0.0))
    clf.fit(X, few)
    return {
        "off": round(float(np.abs(clf.class_prior_ - true_shares).sum()), 3),
        "accuracy": round(100 * float(clf.score(X_test, y_test)), 2),
    }


def report(results):
    """Print a table for each model, with a row for each set; means over seeds."""
    for model in MODELS:
        lines, columns = [], []
        for name in SETS:
            row = []
            for score in ("off", "accuracy"):
                for prior in PRIORS:
                    values = [
                        result[score]
                        for key, result in results.items()
                        if key.startswith(f"{name} / ")
                        and key.endswith(f" / {model} / {prior}")
                    ]
                    row.append(np.mean(values) if values else np.nan)
            columns.append(row)
            lines.append([name, *_format(row)])
        lines.append(["mean", *_format(np.mean(columns, axis=0))])
        header = [f"off: {p}" for p in PRIORS] + [f"accuracy: {p}" for p in PRIORS]
        print_table([model, *header], lines)
        print()


def _format(row):
    """Format errors of priors and accuracies."""
    n = len(PRIORS)
    return [f"{v:.2f}" for v in row[:n]] + [f"{v:.1f}" for v in row[n:]]


def main(argv=None):
    """Compute the results that are not in the file, or print the tables."""
    parser = make_parser("accuracy.shift", __doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=RESULTS / "shift.json")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    args = parser.parse_args(argv)
    results = read_json(args.out)
    if args.report:
        report(results)
        return
    for seed in args.seeds:
        for name in args.sets:
            for model in args.models:
                for prior in PRIORS:
                    key = f"{name} / {seed} / {model} / {prior}"
                    if key in results:
                        continue
                    results[key] = measure(name, seed, model, prior)
                    print(key, results[key], flush=True)
                    write_json(args.out, results)


if __name__ == "__main__":
    main()
