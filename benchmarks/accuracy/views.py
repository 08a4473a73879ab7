"""The default teacher, compared with each of its views alone and label spreading.

    python -m benchmarks accuracy.views
    python -m benchmarks accuracy.views --report

Images and digits on which neighbours are informative: digits, optdigits, usps, mnist
and coil20, at most 5,000 rows, 2, 5, 10 and 20 labels of each class, six splits with
30 % of the rows held out. `OpinionPoolClassifier` sees the columns as they are. A view
alone is the pool of this view only: calibrated, and adjusted to the estimated class
shares. It is computed from the probabilities that the view has within the pool, so
views that depend on other views ("whitened", "discriminant") are those of the pool.
`LabelSpreading(kernel="knn", n_neighbors=7)` is fitted to columns as they are and to
standardised columns; the tables have the better of the two means over splits.

Each result is written as soon as it is computed, and not computed again. Data come from
the folder ``SK_SSVAE_DATA`` or from OpenML; see ``benchmarks/common/data.py``.
"""

import copy
import warnings
from collections import defaultdict
from pathlib import Path
from unittest import mock

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.panel_data import split
from benchmarks.accuracy.panel_methods import METHODS
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

SETS = ("digits", "optdigits", "usps", "mnist", "coil20")
LABELS = (2, 5, 10, 20)
SEEDS = range(6)
SPREADING = ("spreading, raw", "spreading, standardised")
METHOD_NAMES = ("pool", *SPREADING)
SCORES = {"held_out": "Held-out rows", "unlabelled": "Unlabelled training rows"}


def score(parts, transduction, predicted):
    """Return the accuracies in %."""
    hidden = parts.y_few < 0
    right = (transduction == parts.y_train)[hidden]
    values = {"held_out": predicted == parts.y_test, "unlabelled": right}
    return {key: round(100 * float(v.mean()), 2) for key, v in values.items()}


def pool_and_views(parts, seed, views=None):
    """Fit a pool of views; return its accuracies and those of each view alone."""
    from sk_ssvae import OpinionPoolClassifier
    from sk_ssvae.teachers.pooling import OpinionPool

    # The pool keeps the probabilities of its views to itself. They are arguments of
    # these two methods; the views are fitted only once.
    calls = {}

    def recorded(name):
        original = getattr(OpinionPool, name)

        def call(self, probabilities, *shares):
            calls[name] = self, probabilities
            return original(self, probabilities, *shares)

        return mock.patch.object(OpinionPool, name, call)

    all_views = property(lambda pool: list(pool.weights))  # also without a weight
    with (
        recorded("fit_pool"),
        recorded("pool"),
        mock.patch.object(OpinionPool, "used_views", all_views),
    ):
        model = OpinionPoolClassifier(views=views, random_state=seed)
        model.fit(parts.X_train, parts.y_few)
        predicted = model.predict(parts.X_test)
    found = {"pool": score(parts, model.transduction_, predicted)}
    pool, of_train = calls["fit_pool"]
    labelled = (parts.y_few >= 0).mean()
    _, of_test = calls["pool"]
    for name in of_train:
        alone = copy.copy(pool)
        transduction = alone.fit_pool({name: of_train[name]})[0].argmax(axis=1)
        shares = labelled * alone.labelled_shares + (1 - labelled) * alone.class_shares
        predicted = alone.pool({name: of_test[name]}, shares).argmax(axis=1)
        found[name] = score(parts, transduction, predicted)
    return found


def measure(dataset, labels, seed, method):
    """Return accuracies by name: of the method, and of the views of the pool."""
    parts = split(dataset, labels, seed)
    if method == "pool":
        return pool_and_views(parts, seed)
    if method == "spreading, standardised":
        parts = parts.standardised()
    model = METHODS["knn7"](seed)
    with warnings.catch_warnings():
        # Rows that no label reaches, and the limit of iterations.
        warnings.simplefilter("ignore")
        model.fit(parts.X_train, parts.y_few)
        predicted = model.predict(parts.X_test)
    return {method: score(parts, model.transduction_, predicted)}


def means(results, key):
    """Return mean accuracies over splits, by set and labels and by name.

    Only splits that have results of all methods count.
    """
    complete = defaultdict(dict)
    for name, values in results.items():
        *where, method = name.split(" / ")
        complete[tuple(where)][method] = values
    settings = defaultdict(lambda: defaultdict(list))
    for (dataset, labels, _), found in complete.items():
        if set(found) == set(METHOD_NAMES):
            for values in found.values():
                for name, scores in values.items():
                    settings[dataset, int(labels)][name].append(scores[key])
    return {
        setting: {name: np.mean(v) for name, v in values.items()}
        for setting, values in sorted(settings.items(), key=lambda item: order(item[0]))
    }


def order(setting):
    """Return the position of a setting in the tables."""
    dataset, labels = setting
    return SETS.index(dataset) if dataset in SETS else len(SETS), dataset, labels


def compare(values):
    """Return the best view, and what the pool has more than it and label spreading.

    Returns
    -------
    view : str
        View with the highest accuracy.
    above_view, above_spreading : float
        Accuracy of the pool minus that of this view, and minus that of the better label
        spreading.
    """
    views = {k: v for k, v in values.items() if k not in METHOD_NAMES}
    view = max(views, key=views.get)
    spreading = max(values[name] for name in SPREADING)
    return view, values["pool"] - views[view], values["pool"] - spreading


def report(results):
    """Print the tables."""
    tables = {key: means(results, key) for key in SCORES}
    settings = next(iter(tables.values()))
    if not settings:
        print(
            "There are no splits with results of all methods. Run them by\n"
            "python -m benchmarks accuracy.views"
        )
        return
    for key, title in SCORES.items():
        print_settings(title, tables[key])
    names = set.intersection(*map(set, settings.values()))
    overall = {
        name: [
            np.mean([values[name] for values in table.values()])
            for table in tables.values()
        ]
        for name in names
    }
    print("Means over all settings; views that all of them have\n")
    ranked = sorted(overall.items(), key=lambda item: -item[1][0])
    rows = [[name, *(f"{v:.1f}" for v in values)] for name, values in ranked]
    print_table(["", *SCORES.values()], rows)


def print_settings(title, settings):
    """Print a row for each set and number of labels."""
    rows, points = [], []
    for (dataset, labels), values in settings.items():
        view, *differences = compare(values)
        points.append(differences)
        accuracies = [f"{values[name]:.1f}" for name in ("pool", view, *SPREADING)]
        pool, best, *spreading = accuracies
        differences = [f"{d:+.1f}" for d in differences]
        rows.append([dataset, labels, pool, best, view, *spreading, *differences])
    for name, statistic in (("mean", np.mean), ("worst", np.min)):
        values = [f"{d:+.1f}" for d in statistic(points, axis=0)]
        rows.append([name, *[""] * 6, *values])
    print(f"{title}, means over splits\n")
    header = ["", "labels", "pool", "best view", "which", *SPREADING]
    header += ["pool minus best view", "pool minus better spreading"]
    print_table(header, rows)


def main(argv=None):
    """Compute the results that are not in the file, and print the tables."""
    parser = make_parser("accuracy.views", __doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--labels", nargs="+", type=int, default=list(LABELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--methods", nargs="+", choices=METHOD_NAMES)
    parser.add_argument(
        "--redo", action="store_true", help="compute the requested results again"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "views.json")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    args = parser.parse_args(argv)
    results = read_json(args.out)
    wanted = [
        (dataset, labels, seed, method)
        for seed in args.seeds
        for dataset in args.sets
        for labels in args.labels
        for method in args.methods or METHOD_NAMES
    ]
    if args.report:
        wanted = []
    with threadpool_limits(1):
        for cell in wanted:
            key = " / ".join(map(str, cell))
            if args.redo or key not in results:
                results[key] = measure(*cell)
                print(key, results[key][cell[-1]], flush=True)
                write_json(args.out, results)
    report(results)


if __name__ == "__main__":
    main()
