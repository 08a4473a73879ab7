r"""Model selection with few labels: by the bound or by labelled folds.

    python -m benchmarks accuracy.selection
    python -m benchmarks accuracy.selection --report

Data sets on which nothing was chosen (`panel_data.REPORTED_ON`), at most 1,500 rows,
30 % of them held out, 5 labels of each class. For a grid of one parameter at a time, a
model for each value is fitted with a tenth of the unlabelled rows held out as
validation rows. The table has the accuracy on the held-out rows of the value selected
by

- bound: the mean bound of the validation rows (`validation_bound_`);
- folds: the accuracy in five labelled folds (`LabeledStratifiedKFold`), with five more
  fits for each value;
- nothing: the default value;
- truth: the accuracy on the held-out rows, which is the best of the grid and is not
  available in practice.

"M2" is the plain model, without teacher and entropy term. "default" has the teacher,
and no folds, which would take hours. The column "early stopping" has
``early_stopping=True`` with the default values. Each result is written as soon as it is
computed, and not computed again.

Data come from the folder ``SK_SSVAE_DATA`` or from OpenML; see
``benchmarks/common/data.py``.
"""

from pathlib import Path

import numpy as np
from sklearn.model_selection import cross_val_score

from benchmarks.accuracy.panel_data import REPORTED_ON, split
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

ROWS = 1500
LABELS = 5
SETS = tuple(s for s in REPORTED_ON if s not in ("isolet1560", "mnist"))
"""Without the two slowest."""

MODELS = ("M2", "default")
GRIDS = {"latent_size": (2, 5, 10, 20, 50), "alpha": (0.1, 1.0, 30.0)}
DEFAULTS = {"latent_size": 10, "alpha": 30.0}
CRITERIA = ("bound", "folds", "nothing", "truth")


def make_estimator(model, seed, **parameters):
    """Return an estimator that holds out a tenth of the unlabelled rows."""
    from sk_ssvae import SSVAEClassifier
    from sk_ssvae.training import ClassifierOptions

    clf = SSVAEClassifier(validation_fraction=0.1, random_state=seed, **parameters)
    if model == "M2":
        clf.set_params(teacher=None, options=ClassifierOptions(entropy_weight=0.0))
    return clf


def measure(dataset, seed, model):
    """Return bounds and accuracies for each value of the grids."""
    from sk_ssvae.model_selection import LabeledStratifiedKFold

    parts = split(dataset, LABELS, seed, rows=ROWS).standardised()
    X, y = parts.X_train.astype(np.float32), parts.y_few
    X_test = parts.X_test.astype(np.float32)
    cv = LabeledStratifiedKFold(LABELS, shuffle=True, random_state=seed)
    results = {}

    def accuracy(clf):
        return round(100 * float(clf.score(X_test, parts.y_test)), 2)

    for parameter, values in GRIDS.items():
        for value in values:
            clf = make_estimator(model, seed, **{parameter: value}).fit(X, y)
            result = {"bound": round(clf.validation_bound_, 3), "truth": accuracy(clf)}
            if model == "M2":
                folds = cross_val_score(clf, X, y, cv=cv)
                result["folds"] = round(100 * float(folds.mean()), 2)
            results[f"{parameter}={value}"] = result
    early = make_estimator(model, seed, early_stopping=True, max_epochs=400).fit(X, y)
    results["early"] = {"truth": accuracy(early), "epochs": early.n_iter_}
    return results


def selected_accuracy(result, parameter, criterion):
    """Return the accuracy of the value that a criterion selects, None if not run."""
    values = {v: result[f"{parameter}={v}"] for v in GRIDS[parameter]}
    if criterion == "nothing":
        return values[DEFAULTS[parameter]]["truth"]
    if criterion not in next(iter(values.values())):
        return None
    # Of equally good values the one nearest to the default is selected.
    near = sorted(values, key=lambda v: abs(np.log(v / DEFAULTS[parameter])))
    return values[max(near, key=lambda v: values[v][criterion])]["truth"]


def report(results):
    """Print a table for each model, with a row for each set."""
    for model in MODELS:
        lines, numbers = [], []
        for dataset in SETS:
            of_seeds = [
                result
                for key, result in results.items()
                if key.startswith(f"{dataset} / ") and key.endswith(f" / {model}")
            ]
            if not of_seeds:
                continue
            row = [
                [selected_accuracy(result, parameter, c) for result in of_seeds]
                for parameter in GRIDS
                for c in CRITERIA
            ] + [[result["early"]["truth"] for result in of_seeds]]
            means = [np.nan if None in values else np.mean(values) for values in row]
            numbers.append(means)
            lines.append([dataset, *("" if np.isnan(m) else f"{m:.1f}" for m in means)])
        if not lines:
            continue
        overall = np.mean(numbers, axis=0)
        texts = ["" if np.isnan(m) else f"**{m:.1f}**" for m in overall]
        lines.append(["mean", *texts])
        header = [f"{parameter}: {c}" for parameter in GRIDS for c in CRITERIA]
        print_table([model, *header, "early stopping"], lines)
        print()


def main(argv=None):
    """Compute the results that are not in the file, or print the tables."""
    parser = make_parser("accuracy.selection", __doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--out", type=Path, default=RESULTS / "selection.json")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    args = parser.parse_args(argv)
    results = read_json(args.out)
    if args.report:
        report(results)
        return
    for seed in args.seeds:
        for model in args.models:
            for dataset in args.sets:
                key = f"{dataset} / {seed} / {model}"
                if key in results:
                    continue
                results[key] = measure(dataset, seed, model)
                print(key, results[key], flush=True)
                write_json(args.out, results)


if __name__ == "__main__":
    main()
