r"""Labels that are not drawn like the rows: shares of the classes, found or not.

    python benchmarks/shift.py
    python benchmarks/shift.py --report

Twenty labels of each class; of the other rows nine of ten are of one class (of three
classes or more, six of ten), 30 % of them held out. For each `class_prior`, the sum of
absolute errors of `class_prior_`, and accuracy on the held-out rows in %. Sets that
nothing was chosen on (`panel_data.REPORTED_ON`) with 2 to 8 classes. A result is
written when it is done, and not computed again.

Data come from the folder SK_SSVAE_DATA, or OpenML (see `panel_data.py`).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measure import HERE, table
from panel_data import prepared
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SETS = ("splice", "mushroom", "credit_g", "cells", "sc_pbmc4k")
LABELS = 20
PRIORS = ("uniform", "auto", "estimate")
MODELS = {"M2": {"teacher": None, "entropy_weight": 0.0}, "default": {}}


def world(name, seed):
    """Rows with few labels, and held-out rows; classes of both are shifted alike."""
    X, y = prepared(name)
    y = np.unique(y, return_inverse=True)[1]
    rng = np.random.RandomState(seed)
    n_classes = y.max() + 1
    most = 0.9 if n_classes == 2 else 0.6
    shares = np.full(n_classes, (1 - most) / (n_classes - 1))
    shares[seed % n_classes] = most
    shuffled = [rng.permutation(np.flatnonzero(y == c)) for c in range(n_classes)]
    labelled = np.concatenate([rows[:LABELS] for rows in shuffled])
    left = [rows[LABELS:] for rows in shuffled]
    n = int(min(len(rows) / share for rows, share in zip(left, shares, strict=True)))
    rows = np.concatenate(
        [r[: max(2, int(n * s))] for r, s in zip(left, shares, strict=True)]
    )
    train, test = train_test_split(
        rows, test_size=0.3, stratify=y[rows], random_state=seed
    )
    scaler = StandardScaler().fit(X[np.append(labelled, train)])
    X_train = scaler.transform(X[np.append(labelled, train)]).astype(np.float32)
    X_test = scaler.transform(X[test]).astype(np.float32)
    few = np.append(y[labelled], np.full(len(train), -1))
    truth = np.bincount(y[train], minlength=n_classes) / len(train)
    return X_train, few, X_test, y[test], truth


def measure(name, seed, model, prior):
    """Error of the prior, and accuracy."""
    from sk_ssvae import SSVAEClassifier

    X, few, X_test, y_test, truth = world(name, seed)
    clf = SSVAEClassifier(class_prior=prior, random_state=seed, **MODELS[model])
    clf.fit(X, few)
    return {
        "off": round(float(np.abs(clf.class_prior_ - truth).sum()), 3),
        "accuracy": round(100 * float(clf.score(X_test, y_test)), 2),
    }


def report(found):
    """Print a table for each model: a row a set, means over seeds."""
    for model in MODELS:
        lines, columns = [], []
        for name in SETS:
            row = []
            for what in ("off", "accuracy"):
                for prior in PRIORS:
                    cells = [
                        cell[what]
                        for key, cell in found.items()
                        if key.startswith(f"{name} / ")
                        and key.endswith(f" / {model} / {prior}")
                    ]
                    row.append(np.mean(cells) if cells else np.nan)
            columns.append(row)
            lines.append([name, *_texts(row)])
        lines.append(["mean", *_texts(np.mean(columns, axis=0))])
        header = [f"off: {p}" for p in PRIORS] + [f"accuracy: {p}" for p in PRIORS]
        table([model, *header], lines)
        print()


def _texts(row):
    n = len(PRIORS)
    return [f"{v:.2f}" for v in row[:n]] + [f"{v:.1f}" for v in row[n:]]


def main():
    """Run what is not in the file, or report it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "shift.json")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.report:
        report(found)
        return
    for seed in args.seeds:
        for name in args.sets:
            for model in args.models:
                for prior in PRIORS:
                    key = f"{name} / {seed} / {model} / {prior}"
                    if key in found:
                        continue
                    found[key] = measure(name, seed, model, prior)
                    print(key, found[key], flush=True)
                    partial = args.out.with_suffix(".partial")
                    partial.write_text(json.dumps(found, indent=1) + "\n")
                    partial.replace(args.out)


if __name__ == "__main__":
    main()
