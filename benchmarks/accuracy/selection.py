r"""Choosing a setting with few labels: by the bound, by labelled folds, by the truth.

    python benchmarks/selection.py
    python benchmarks/selection.py --report

Sets that nothing was chosen on (`panel_data.REPORTED_ON`), 1,500 rows at most, 30 % of
them held out, 5 labels of each class. For a grid of one parameter at a time, a model
for each value is fitted with a tenth of the unlabelled rows held out; what is reported
is its accuracy on the held-out rows of the value chosen

- by the mean bound of these unlabelled rows (`validation_bound_`);
- by accuracy in five labelled folds (`LabeledStratifiedKFold`), five more fits a value;
- by nothing: the default's value;
- by the truth: the best of the grid, which nobody knows.

"M2" is the plain model (no teacher, no entropy term); "default" has the teacher, and
no folds, which would take hours. `early` is `early_stopping=True` beside all epochs. A
result is written when it is done, and not computed again.

Data come from the folder SK_SSVAE_DATA, or OpenML (see `panel_data.py`).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measure import HERE, table
from panel_data import REPORTED_ON, split
from sklearn.model_selection import cross_val_score

ROWS = 1500
LABELS = 5
SETS = tuple(s for s in REPORTED_ON if s not in ("isolet1560", "mnist"))
"""Without the two slowest."""

PLAIN = {"teacher": None, "entropy_weight": 0.0}
MODELS = {"M2": PLAIN, "default": {}}
GRIDS = {"latent_size": (2, 5, 10, 20, 50), "alpha": (0.1, 1.0, 30.0)}
DEFAULTS = {"latent_size": 10, "alpha": 30.0}
WAYS = ("bound", "folds", "nothing", "truth")


def estimator(model, seed, **parameters):
    """Return an estimator with a tenth of the unlabelled rows held out."""
    from sk_ssvae import SSVAEClassifier

    given = {"validation_fraction": 0.1, "random_state": seed}
    return SSVAEClassifier(**(given | MODELS[model] | parameters))


def measure(name, seed, model):
    """Bounds, accuracies in folds and on held-out rows, for each value of a grid."""
    from sk_ssvae.model_selection import LabeledStratifiedKFold

    parts = split(name, LABELS, seed, rows=ROWS)
    X, y = parts.X_train.astype(np.float32), parts.y_few
    X_test = parts.X_test.astype(np.float32)
    cv = LabeledStratifiedKFold(LABELS, shuffle=True, random_state=seed)
    found = {}

    def accuracy(clf):
        return round(100 * float(clf.score(X_test, parts.y_test)), 2)

    for parameter, values in GRIDS.items():
        for value in values:
            clf = estimator(model, seed, **{parameter: value}).fit(X, y)
            cell = {"bound": round(clf.validation_bound_, 3), "truth": accuracy(clf)}
            if model == "M2":
                folds = cross_val_score(clf, X, y, cv=cv)
                cell["folds"] = round(100 * float(folds.mean()), 2)
            found[f"{parameter}={value}"] = cell
    early = estimator(model, seed, early_stopping=True, max_epochs=400).fit(X, y)
    found["early"] = {"truth": accuracy(early), "epochs": early.n_iter_}
    return found


def chosen(cell, parameter, way):
    """Accuracy of the value that a way of choosing takes."""
    values = {v: cell[f"{parameter}={v}"] for v in GRIDS[parameter]}
    if way == "nothing":
        return values[DEFAULTS[parameter]]["truth"]
    if way not in next(iter(values.values())):
        return None
    # among equals the one nearest to the default
    near = sorted(values, key=lambda v: abs(np.log(v / DEFAULTS[parameter])))
    return values[max(near, key=lambda v: values[v][way])]["truth"]


def report(found):
    """Print a table for each model: a row a set."""
    for model in MODELS:
        lines, numbers = [], []
        for name in SETS:
            cells = [c for k, c in found.items() if k in _keys(found, name, model)]
            if not cells:
                continue
            row = [
                [chosen(cell, parameter, way) for cell in cells]
                for parameter in GRIDS
                for way in WAYS
            ] + [[cell["early"]["truth"] for cell in cells]]
            means = [np.nan if None in values else np.mean(values) for values in row]
            numbers.append(means)
            lines.append([name, *("" if np.isnan(m) else f"{m:.1f}" for m in means)])
        if not lines:
            continue
        whole = np.mean(numbers, axis=0)
        lines.append(["mean", *("" if np.isnan(m) else f"**{m:.1f}**" for m in whole)])
        header = [f"{parameter}: {way}" for parameter in GRIDS for way in WAYS]
        table([model, *header, "early stopping"], lines)
        print()


def _keys(found, name, model):
    return [
        key
        for key in found
        if key.startswith(f"{name} / ") and key.endswith(f" / {model}")
    ]


def main():
    """Run what is not in the file, or report it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "selection.json")
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.report:
        report(found)
        return
    for seed in args.seeds:
        for model in args.models:
            for name in args.sets:
                key = f"{name} / {seed} / {model}"
                if key in found:
                    continue
                found[key] = measure(name, seed, model)
                print(key, found[key], flush=True)
                partial = args.out.with_suffix(".partial")
                partial.write_text(json.dumps(found, indent=1) + "\n")
                partial.replace(args.out)


if __name__ == "__main__":
    main()
