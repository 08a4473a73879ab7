r"""Data as people have it: mixed columns, gaps, categories, counts.

    python benchmarks/mixed_types.py accuracy
    python benchmarks/mixed_types.py imputation
    python benchmarks/mixed_types.py memory
    python benchmarks/mixed_types.py --report

The estimator is given the rows as they are: a data frame with categories and gaps, or a
sparse array of counts. The others get them through the usual pipeline. ``accuracy`` is
on held-out rows, with 5 and 20 labels of each class; ``imputation`` hides a tenth of
the cells that are there, at random; ``memory`` fits 11,314 x 16,158 word counts in a
process of its own. A result is written when it is done, and not computed again.

Data come from the folder SK_SSVAE_DATA (see `panel_data.py`).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from data import hide_labels
from measure import HERE, table
from panel_data import raw
from scipy import sparse
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

CHOSEN_ON = ("sc_mouse_bladder", "webkb4", "newsgroups20")
"""Sets on which it was chosen how teacher and networks see counts."""

REPORTED_ON = ("adult", "sc_pbmc4k", "reuters_r8", "mushroom")
WITH_NUMBERS = ("adult", "credit_g", "bank_additional", "cells")
"""Reported on for imputation: sets with columns of numbers."""

MAX_ROWS = 5000
FEWEST = 30
HIDDEN = 0.1


def rows_of(name):
    """Rows as a user has them, and classes; at most MAX_ROWS, drawn by class."""
    X, y, categorical = raw(name)
    y = np.unique(y, return_inverse=True)[1]
    keep = np.flatnonzero(np.bincount(y)[y] >= FEWEST)
    if len(keep) > MAX_ROWS:
        keep, _ = train_test_split(
            keep, train_size=MAX_ROWS, stratify=y[keep], random_state=0
        )
    y = np.unique(y[keep], return_inverse=True)[1]
    if sparse.issparse(X):
        return sparse.csr_array(X[keep]).astype(np.float32), y
    return frame(np.asarray(X[keep], dtype=float), categorical), y


def frame(X, categorical):
    """Make a data frame, codes of levels as categories named by letters."""
    import pandas as pd

    columns = {}
    for j, column in enumerate(X.T):
        if categorical[j]:
            names = [None if np.isnan(v) else f"level {v:.0f}" for v in column]
            columns[f"c{j}"] = pd.Categorical(names)
        else:
            columns[f"n{j}"] = column
    return pd.DataFrame(columns)


def usual(X, *, dense=False):
    """Return the usual preparation of such rows, fresh."""
    if sparse.issparse(X):
        if X.max() > 255 or X.shape[1] <= 2500:  # counts of molecules
            steps = [
                Normalizer("l1"),
                FunctionTransformer(_log, feature_names_out=None),
                MaxAbsScaler(),
            ]
        else:
            steps = [TfidfTransformer(sublinear_tf=True)]
        if dense:
            steps += [TruncatedSVD(100, random_state=0), Normalizer()]
        return steps
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    categories = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    select = make_column_selector
    return [
        make_column_transformer(
            (numbers, select(dtype_include=np.number)),
            (categories, select(dtype_exclude=np.number)),
        )
    ]


def _log(X):
    """Log(1 + 10,000 x) of shares."""
    X = X.copy()
    X.data = np.log1p(1e4 * X.data)
    return X


def logistic_regression(X, y, seed):
    """Labelled rows alone."""
    known = np.flatnonzero(y >= 0)
    few = X[known] if sparse.issparse(X) else X.iloc[known]
    return make_pipeline(*usual(X), LogisticRegression(max_iter=2000)).fit(
        few, y[known]
    )


def self_training(X, y, seed):
    """Logistic regression that labels what it is sure of."""
    base = LogisticRegression(max_iter=2000)
    return make_pipeline(*usual(X), SelfTrainingClassifier(base)).fit(X, y)


def label_spreading(X, y, seed):
    """Label spreading among 7 neighbours."""
    graph = LabelSpreading(kernel="knn", n_neighbors=7, max_iter=500)
    return make_pipeline(*usual(X, dense=True), graph).fit(X, y)


def default(X, y, seed):
    """Fit the estimator, with nothing chosen."""
    from sk_ssvae import SSVAEClassifier

    return SSVAEClassifier(random_state=seed).fit(X, y)


METHODS = {
    "default": default,
    "LogisticRegression": logistic_regression,
    "SelfTraining": self_training,
    "LabelSpreading": label_spreading,
}


def accuracy(name, per_class, seed, method):
    """Accuracy in % on held-out rows, and seconds."""
    X, y = rows_of(name)
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed
    )
    few = hide_labels(y[train], per_class, seed)
    take = (lambda i: X[i]) if sparse.issparse(X) else (lambda i: X.iloc[i])
    start = time.perf_counter()
    model = METHODS[method](take(train), few, seed)
    predicted = model.predict(take(test))
    return {
        "accuracy": round(100 * float((predicted == y[test]).mean()), 2),
        "seconds": round(time.perf_counter() - start, 1),
    }


def imputation(name, seed):
    """Errors of filled cells: RMSE in deviations of the column, and shares wrong."""
    from sk_ssvae import SSVAEClassifier

    X, y = rows_of(name)
    rng = np.random.RandomState(seed)
    hide = (rng.rand(*X.shape) < HIDDEN) & X.notna().to_numpy()
    holed = X.mask(hide)
    numbers = [c for c in X if c.startswith("n")]
    categories = [c for c in X if c.startswith("c")]
    few = hide_labels(y, 20, seed)
    start = time.perf_counter()
    model = SSVAEClassifier(random_state=seed).fit(holed, few)
    filled = {"default": model.impute(holed)}
    seconds = round(time.perf_counter() - start, 1)
    means = holed.copy()
    means[numbers] = holed[numbers].fillna(holed[numbers].mean())
    for c in categories:
        means[c] = holed[c].fillna(holed[c].mode()[0])
    filled["SimpleImputer"] = means
    codes = holed.copy()
    for c in categories:
        codes[c] = np.where(holed[c].isna(), np.nan, holed[c].cat.codes)
    chained = holed.copy()
    chained[numbers] = IterativeImputer(random_state=0).fit_transform(
        codes.astype(float)
    )[:, [list(X).index(c) for c in numbers]]
    filled["IterativeImputer"] = chained
    found = {"seconds": seconds}
    for method, F in filled.items():
        errors = []
        for c in numbers:
            at = hide[:, list(X).index(c)]
            deviation = X[c].std()
            errors.append(((F[c] - X[c])[at] / deviation) ** 2)
        found[method] = {
            "rmse": round(float(np.sqrt(np.mean(np.concatenate(errors)))), 4),
            "columns": [round(float(np.sqrt(e.mean())), 4) for e in errors],
        }
        if categories and method != "IterativeImputer":
            wrong = [
                (F[c].astype(str) != X[c].astype(str))[hide[:, list(X).index(c)]]
                for c in categories
            ]
            found[method]["wrong"] = round(100 * float(np.concatenate(wrong).mean()), 2)
    return found


def memory():
    """Fit word counts in this process, and say what it took."""
    import resource

    from sk_ssvae import SSVAEClassifier

    X, y, _ = raw("newsgroups20")
    with np.load(Path(os.environ["SK_SSVAE_DATA"]) / "newsgroups20.npz") as arrays:
        train, test = arrays["train_idx"], arrays["test_idx"]
    X = sparse.csr_array(X).astype(np.float32)
    y = np.unique(y, return_inverse=True)[1]
    few = hide_labels(y[train], 20, 0)
    start = time.perf_counter()
    model = SSVAEClassifier(max_epochs=10, random_state=0).fit(X[train], few)
    seconds = round(time.perf_counter() - start)
    score = 100 * model.score(X[test], y[test])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "peak_GiB": round(peak, 2),
        "seconds": seconds,
        "accuracy": round(score, 1),
        "shape": list(X[train].shape),
    }


def report(found):
    """Print the tables."""
    for per_class in (5, 20):
        lines = []
        for name in (*CHOSEN_ON, *REPORTED_ON):
            cells = [
                [
                    cell["accuracy"]
                    for key, cell in found.items()
                    if key.startswith(f"accuracy / {name} / {per_class} / ")
                    and key.endswith(f" / {method}")
                ]
                for method in METHODS
            ]
            if all(cells):
                best = max(np.mean(c) for c in cells)
                texts = [f"{np.mean(c):.1f} ± {np.std(c):.1f}" for c in cells]
                lines.append(
                    [
                        name,
                        *(
                            f"**{text}**" if np.mean(c) == best else text
                            for text, c in zip(texts, cells, strict=True)
                        ),
                    ]
                )
        table([f"{per_class} labels a class", *METHODS], lines)
        print()
    lines = []
    for name in WITH_NUMBERS:
        cells = [c for k, c in found.items() if k.startswith(f"imputation / {name} /")]
        if cells:
            ways = ("default", "SimpleImputer", "IterativeImputer")
            rmse = {w: np.mean([c[w]["columns"] for c in cells], axis=0) for w in ways}
            below = int((rmse["default"] < rmse["SimpleImputer"]).sum())
            wrong = [
                f"{np.mean([c[w]['wrong'] for c in cells]):.1f}"
                if "wrong" in cells[0][w]
                else ""
                for w in ways[:2]
            ]
            lines.append(
                [
                    name,
                    *(f"{np.mean([c[w]['rmse'] for c in cells]):.3f}" for w in ways),
                    f"{below} of {len(rmse['default'])}",
                    *wrong,
                ]
            )
    table(
        ["", *ways, "columns below SimpleImputer", "default, % wrong", "mode, % wrong"],
        lines,
    )
    if "memory" in found:
        print("\n", found["memory"])


def main():
    """Run what is not in the file, or report it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("accuracy", "imputation", "memory"))
    parser.add_argument("--sets", nargs="+", default=list(REPORTED_ON))
    parser.add_argument("--seeds", nargs="+", type=int, help="of splits and draws")
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "mixed_types.json"
    )
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.report:
        report(found)
    elif args.what == "memory" and args.here:
        print(json.dumps(memory()))
    else:
        for key, work in jobs(args):
            if key not in found:
                found[key] = work()
                print(key, found[key], flush=True)
                partial = args.out.with_suffix(".partial")
                partial.write_text(json.dumps(found, indent=1) + "\n")
                partial.replace(args.out)


def jobs(args):
    """Names of results and what computes them."""
    if args.what == "memory":
        command = [sys.executable, __file__, "memory", "--here"]
        yield "memory", lambda: json.loads(subprocess.check_output(command))
        return
    seeds = args.seeds or range(10 if args.what == "accuracy" else 3)
    for name in args.sets:
        for seed in seeds:
            if args.what == "imputation":
                key = f"imputation / {name} / {seed}"
                yield key, lambda n=name, s=seed: imputation(n, s)
                continue
            for n in args.labels:
                for method in args.methods:
                    key = f"accuracy / {name} / {n} / {seed} / {method}"
                    yield key, lambda a=(name, n, seed, method): accuracy(*a)


if __name__ == "__main__":
    main()
