r"""Calibration: calibration error and log-loss on held-out rows.

    python -m benchmarks accuracy.calibration
    python -m benchmarks accuracy.calibration --report
    python -m benchmarks accuracy.calibration --sets chosen --seeds 0 1 --choose

Ten real data sets on which nothing was chosen (`panel_data.REPORTED_ON`), 20 labels of
each class (10 where classes are small), 30 % of the rows held out. The expected
calibration error is that of the most probable class, in %, with 15 bins of equal width
(Guo et al. 2017); the log-loss is in nats, with probabilities clipped at 1e-6. Each
result is written as soon as it is computed, and not computed again. ``--sets chosen``
takes the sets on which the constants of `sk_ssvae.estimators.calibration` were chosen.
``--choose`` prints the means of both scores for several temperatures of the default.

Data come from the folder ``SK_SSVAE_DATA`` or from OpenML; see
``benchmarks/common/data.py``.
"""

from pathlib import Path

import numpy as np

from benchmarks.accuracy.panel_data import CHOSEN_ON, REPORTED_ON, split
from benchmarks.accuracy.panel_methods import METHODS
from benchmarks.accuracy.panel_references import without_nan
from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

LABELS = 20
N_BINS = 15
SMALLEST_PROBABILITY = 1e-6
SSVAE = ("default", "temperature=1", "cross-fit")
OTHERS = {
    "LogisticRegression": "lr",
    "SelfTraining": "self_lr",
    "LabelSpreading": "spreading",
    "LabelSpreading, knn": "knn7",
}
NAMES = (*SSVAE, *OTHERS)
TEMPERATURES = (1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 2.0, 2.3)


def calibration_error(proba, y):
    """Return the expected calibration error of the most probable class.

    Parameters
    ----------
    proba : ndarray of shape (n_rows, n_classes)
        Probabilities.
    y : ndarray of int64 of shape (n_rows,)
        True classes.

    Returns
    -------
    float
        Mean distance between confidence and accuracy over bins of the confidence.
    """
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == y
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    parts = [bins == b for b in np.unique(bins)]
    return sum(
        part.mean() * abs(confidence[part].mean() - right[part].mean())
        for part in parts
    )


def measure(dataset, seed, name):
    """Fit a method to one split; return scores by name.

    A fitted SSVAEClassifier also provides the scores of "temperature=1".
    """
    from sk_ssvae import SSVAEClassifier

    parts = split(dataset, LABELS, seed).standardised()
    X, X_test = parts.X_train.astype(np.float32), parts.X_test.astype(np.float32)
    if name in OTHERS:
        model = METHODS[OTHERS[name]](seed).fit(X, parts.y_few)
        return {name: scores(model, X_test, parts.y_test)}
    temperature = {"temperature": "cross-fit"} if name == "cross-fit" else {}
    model = SSVAEClassifier(random_state=seed, **temperature).fit(X, parts.y_few)
    found = {name: scores(model, X_test, parts.y_test)}
    found[name]["temperature"] = round(model.temperature_, 3)
    model.temperature_ = 1.0  # does not affect the network
    return found | {"temperature=1": scores(model, X_test, parts.y_test)}


def scores(model, X, y):
    """Return calibration error, log-loss and accuracy on held-out rows."""
    proba = without_nan(model.predict_proba(X))
    true = proba[np.arange(len(X)), y]
    values = {
        "ece": 100 * calibration_error(proba, y),
        "log_loss": -np.log(np.clip(true, SMALLEST_PROBABILITY, 1)).mean(),
        "accuracy": 100 * (proba.argmax(axis=1) == y).mean(),
    }
    return {k: round(float(v), 4) for k, v in values.items()}


def report(results, sets):
    """Print a table for each score, with a row for each set; means over seeds."""
    for score, title in (("ece", "ECE, %"), ("log_loss", "log-loss")):
        lines = []
        means = {name: [] for name in NAMES}
        for dataset in sets:
            texts = []
            for name in NAMES:
                values = [
                    result[score]
                    for key, result in results.items()
                    if key.startswith(f"{dataset} / ") and key.endswith(f" / {name}")
                ]
                if not values:
                    texts.append("")
                    continue
                means[name].append(np.mean(values))
                texts.append(f"{np.mean(values):.2f} ± {np.std(values):.2f}")
            if any(texts):
                lines.append([dataset, *texts])
        n = max(map(len, means.values()))
        overall = [
            f"**{np.mean(values):.2f}**" if len(values) == n else ""
            for values in means.values()
        ]
        lines.append(["mean", *overall])
        print_table([title, *NAMES], lines)
        print()


def compare_temperatures(sets, seeds):
    """Print means over sets and seeds for several temperatures of the default."""
    from sk_ssvae import SSVAEClassifier

    found = []
    for dataset in sets:
        for seed in seeds:
            parts = split(dataset, LABELS, seed).standardised()
            model = SSVAEClassifier(random_state=seed).fit(parts.X_train, parts.y_few)
            found.append([])
            for temperature in TEMPERATURES:
                model.temperature_ = temperature  # does not affect the network
                one = scores(model, parts.X_test, parts.y_test)
                found[-1].append((one["ece"], one["log_loss"]))
            print(dataset, seed, found[-1], flush=True)
    means = np.mean(found, axis=0)
    lines = [
        [f"{temperature:g}", f"{ece:.2f}", f"{log_loss:.3f}"]
        for temperature, (ece, log_loss) in zip(TEMPERATURES, means, strict=True)
    ]
    print_table(["temperature", "ECE, %", "log-loss"], lines)


def main(argv=None):
    """Compute the results that are not in the file, or print the tables."""
    parser = make_parser("accuracy.calibration", __doc__)
    parser.add_argument("--sets", nargs="+", default=["reported"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--out", type=Path, default=RESULTS / "calibration.json")
    parser.add_argument("--report", action="store_true", help="only print the tables")
    parser.add_argument(
        "--choose", action="store_true", help="compare temperatures of the default"
    )
    args = parser.parse_args(argv)
    groups = {"reported": REPORTED_ON, "chosen": CHOSEN_ON}
    sets = [dataset for s in args.sets for dataset in groups.get(s, (s,))]
    if args.choose:
        compare_temperatures(sets, args.seeds)
        return
    results = read_json(args.out)
    if args.report:
        report(results, sets)
        return
    for seed in args.seeds:
        for dataset in sets:
            for name in args.methods:
                if f"{dataset} / {seed} / {name}" in results:
                    continue
                for one, result in measure(dataset, seed, name).items():
                    results[f"{dataset} / {seed} / {one}"] = result
                    print(dataset, seed, one, result, flush=True)
                write_json(args.out, results)


if __name__ == "__main__":
    main()
