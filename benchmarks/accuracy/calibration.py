r"""How good the probabilities are: calibration errors and log-loss on held-out rows.

    python benchmarks/calibration.py
    python benchmarks/calibration.py --report

Ten real sets that nothing was chosen on (`panel_data.REPORTED_ON`), 20 labels of each
class (10 where classes are small), 30 % of the rows held out. The expected calibration
error is of the most probable class, with 15 bins of equal width (Guo et al. 2017), in
%; the log-loss in nats, no probability being less than 1e-6. A result is written when
it is done, and not computed again. ``--sets chosen`` takes the sets that the constants
of `sk_ssvae.estimators.calibration` were chosen on.

Data come from the folder SK_SSVAE_DATA, or OpenML (see `panel_data.py`).
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measure import HERE, table
from panel_data import CHOSEN_ON, REPORTED_ON, split
from panel_methods import METHODS, without_nan

LABELS = 20
N_BINS = 15
SMALLEST = 1e-6
OURS = ("default", "temperature=1", "cross-fit")
OTHERS = {
    "LogisticRegression": "lr",
    "SelfTraining": "self_lr",
    "LabelSpreading": "spreading",
    "LabelSpreading, knn": "knn7",
}
SIDES = (*OURS, *OTHERS)


def calibration_error(proba, y):
    """Mean distance of how sure from how right, over bins of how sure."""
    sure, right = proba.max(axis=1), proba.argmax(axis=1) == y
    bins = np.minimum((sure * N_BINS).astype(int), N_BINS - 1)
    parts = [bins == b for b in np.unique(bins)]
    return sum(
        part.mean() * abs(sure[part].mean() - right[part].mean()) for part in parts
    )


def measure(name, seed, side):
    """Errors of one side on one split, and of what comes with it, by side."""
    from sk_ssvae import SSVAEClassifier

    parts = split(name, LABELS, seed)
    X, X_test = parts.X_train.astype(np.float32), parts.X_test.astype(np.float32)
    if side in OTHERS:
        model = METHODS[OTHERS[side]](seed).fit(X, parts.y_few)
        return {side: errors(model, X_test, parts.y_test)}
    given = {"temperature": "cross-fit"} if side == "cross-fit" else {}
    model = SSVAEClassifier(random_state=seed, **given).fit(X, parts.y_few)
    found = {side: errors(model, X_test, parts.y_test)}
    found[side]["temperature"] = round(model.temperature_, 3)
    model.temperature_ = 1.0  # the network is the same
    return found | {"temperature=1": errors(model, X_test, parts.y_test)}


def errors(model, X, y):
    """Errors of probabilities on held-out rows."""
    proba = without_nan(model.predict_proba(X))
    true = proba[np.arange(len(X)), y]
    found = {
        "ece": 100 * calibration_error(proba, y),
        "log_loss": -np.log(np.clip(true, SMALLEST, 1)).mean(),
        "accuracy": 100 * (proba.argmax(axis=1) == y).mean(),
    }
    return {k: round(float(v), 4) for k, v in found.items()}


def report(found, sets):
    """Print a table for each measure: a row a set, means over seeds."""
    for what, title in (("ece", "ECE, %"), ("log_loss", "log-loss")):
        lines = []
        means = {side: [] for side in SIDES}
        for name in sets:
            texts = []
            for side in SIDES:
                cells = [
                    cell[what]
                    for key, cell in found.items()
                    if key.startswith(f"{name} / ") and key.endswith(f" / {side}")
                ]
                if not cells:
                    texts.append("")
                    continue
                means[side].append(np.mean(cells))
                texts.append(f"{np.mean(cells):.2f} ± {np.std(cells):.2f}")
            if any(texts):
                lines.append([name, *texts])
        n = max(map(len, means.values()))
        whole = [
            f"**{np.mean(values):.2f}**" if len(values) == n else ""
            for values in means.values()
        ]
        lines.append(["mean", *whole])
        table([title, *SIDES], lines)
        print()


def main():
    """Run what is not in the file, or report it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=["reported"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "calibration.json"
    )
    parser.add_argument("--report", action="store_true")
    args = parser.parse_args()
    groups = {"reported": REPORTED_ON, "chosen": CHOSEN_ON}
    sets = [name for s in args.sets for name in groups.get(s, (s,))]
    found = json.loads(args.out.read_text()) if args.out.exists() else {}
    if args.report:
        report(found, sets)
        return
    for seed in args.seeds:
        for name in sets:
            for side in args.sides:
                key = f"{name} / {seed} / {side}"
                if key in found:
                    continue
                for one, cell in measure(name, seed, side).items():
                    found[f"{name} / {seed} / {one}"] = cell
                    print(name, seed, one, cell, flush=True)
                partial = args.out.with_suffix(".partial")
                partial.write_text(json.dumps(found, indent=1) + "\n")
                partial.replace(args.out)


if __name__ == "__main__":
    main()
