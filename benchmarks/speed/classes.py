"""Classes: time and accuracy of exact and sampled marginalization over classes.

    python -m benchmarks speed.classes

With ``marginalization=k`` the k most probable classes are summed exactly and one
sampled class stands for the rest. The tables call this "topk" with top_k=k.
"""

import statistics
import time
from functools import cache, partial

import numpy as np
import torch

from benchmarks.common.data import blobs, few_labels, standardise
from benchmarks.common.figures import save_figure
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from sk_ssvae import SSVAEClassifier

TOP_K = 8
LABELS = 400
"""Total number of labels, for any number of classes."""

DISTANCE = 0.35
"""For `blobs`: in 78 % of the rows the nearest class mean is that of the class."""


def fit(X, y, max_epochs, seed=0, **parameters):
    """Fit with one thread."""
    model = SSVAEClassifier(
        likelihood="gaussian",
        device="cpu",
        random_state=seed,
        **plain_m2(max_epochs=max_epochs, n_threads=1, **parameters),
    )
    return model.fit(X, y)


def time_classes(results, args):
    """Time an epoch for several numbers of classes."""
    n, classes = 10_000, [2, 5, 10, 20, 30, 50, 100, 200]
    if args.quick:
        n, classes = 1000, [2, 5, 20]
    candidates = {}
    for k in classes:
        X, y = blobs(n, 50, k)
        X, few = standardise(X), np.full_like(y, -1)
        n_labels = min(LABELS, n // 4)
        few[:n_labels] = y[:n_labels]
        few[:k] = np.arange(k)  # a label of every class
        fit(X[:500], np.where(np.arange(500) < 200, y[:500], -1), 1)
        for name, marginalization in (("exact", "exact"), ("topk", TOP_K)):
            if name == "exact" or k > TOP_K + 1:  # else they are the same
                call = partial(fit, X, few, 1, marginalization=marginalization)
                candidates[f"{k}, {name}"] = call
    summary = results.interleave(
        "time",
        {
            name: lambda r, call=call: seconds_of(call)
            for name, call in candidates.items()
        },
        args.rounds,
        info={"rows": n, "features": 50, "labels": n_labels, "top_k": TOP_K},
    )
    rounds = results.groups["time"]["rounds"]
    rows, seconds = [], {"exact": {}, "topk": {}}
    for k in classes:
        exact, topk = f"{k}, exact", f"{k}, topk"
        seconds["exact"][k] = summary[exact]["seconds"]
        row = [k, format_number(summary[exact]["seconds"])]
        row.append(format_percent(summary[exact]["seconds_spread"]))
        if topk in summary:
            seconds["topk"][k] = summary[topk]["seconds"]
            ratio = statistics.median(
                r[exact]["seconds"] / r[topk]["seconds"] for r in rounds
            )
            row.append(format_number(summary[topk]["seconds"]))
            row += [format_percent(summary[topk]["seconds_spread"]), f"{ratio:.2f}"]
        else:
            row += ["the same", "", ""]
        rows.append(row)
    print(f"An epoch of {n:,} rows x 50, {n_labels} labels, top_k={TOP_K}\n")
    print_table(
        ["classes", "exact, s", "spread", "topk, s", "spread", "exact / topk"], rows
    )
    plot(results, seconds)


def plot(results, seconds):
    """Plot time against the number of classes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for name, values in seconds.items():
        axes.loglog(list(values), list(values.values()), "o-", label=name)
    axes.set(xlabel="classes", ylabel="seconds an epoch", title="Time of fit")
    axes.set_xticks(list(seconds["exact"]), list(seconds["exact"]))
    axes.set_xticks([], minor=True)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    save_figure(figure, results.images / "cost_classes.png")


@cache
def overlapping(seed, quick):
    """Split rows of 100 overlapping classes: ten labels of each, a fifth held out."""
    n, k = (1000, 20) if quick else (25_000, 100)
    X, y = blobs(n, 100, k, distance=DISTANCE, seed=seed)
    return few_labels(standardise(X), y, 10, seed, test_size=0.2)


def fit_and_score(quick, epochs, seed, **parameters):
    """Return seconds an epoch, and accuracy on held-out and on unlabelled rows."""
    X, few, y, X_test, y_test = overlapping(seed, quick)
    start = time.perf_counter()
    model = fit(X, few, epochs, seed, **parameters)
    seconds = (time.perf_counter() - start) / epochs
    hidden = few < 0
    return {
        "seconds": seconds,
        "held_out": 100 * float((model.predict(X_test) == y_test).mean()),
        "unlabelled": 100 * float((model.transduction_ == y)[hidden].mean()),
    }


def accuracy(results, args):
    """Measure the accuracy of exact and sampled sums, with a round for each seed."""
    epochs = 2 if args.quick else 20
    few_seeds, all_seeds = (1, 2) if args.quick else (3, 5)
    parameters = {"exact": {"marginalization": "exact"}}
    for top_k in (1, 2, 4, TOP_K, 16):
        name = f"topk, top_k={top_k}"
        parameters[name] = {"marginalization": top_k}
    both = ("exact", f"topk, top_k={TOP_K}")
    summary = results.interleave(
        "accuracy",
        {
            name: lambda r, values=values: fit_and_score(
                args.quick, epochs, r, **values
            )
            for name, values in parameters.items()
        },
        all_seeds,
        base="exact",
        only={name: few_seeds for name in parameters if name not in both},
        info={
            "rows": 800 if args.quick else 20_000,
            "features": 100,
            "classes": 20 if args.quick else 100,
            "per_class": 10,
            "distance": DISTANCE,
            "epochs": epochs,
        },
    )
    rounds = results.groups["accuracy"]["rounds"]

    def cell(name, key):
        values = [r[name][key] for r in rounds if name in r]
        sd = np.std(values, ddof=1) if len(values) > 1 else np.nan
        return f"{np.mean(values):.1f} ± {sd:.1f}"

    def difference(name):
        pairs = [
            r[name]["held_out"] - r["exact"]["held_out"] for r in rounds if name in r
        ]
        sd = np.std(pairs, ddof=1) if len(pairs) > 1 else np.nan
        return f"{np.mean(pairs):+.1f} ± {sd:.1f}"

    info = results.groups["accuracy"]["info"]
    print(
        f"{info['rows']:,} rows x 100, {info['classes']} classes, 10 labels each, "
        f"{epochs} epochs\n"
    )
    print_table(
        [
            "",
            "held-out accuracy",
            "beside exact, same seeds",
            "on unlabelled rows",
            "seconds an epoch",
            "exact / this",
            "seeds",
        ],
        (
            [
                name,
                cell(name, "held_out"),
                difference(name),
                cell(name, "unlabelled"),
                format_number(entry["seconds"]),
                f"{entry['ratio']:.2f}",
                entry["rounds"],
            ]
            for name, entry in summary.items()
        ),
    )


def main(argv=None):
    """Measure time, accuracy, or both."""
    parser = make_speed_parser("classes", __doc__, rounds=7)
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--time-only", action="store_true")
    only.add_argument("--accuracy-only", action="store_true")
    args = parse_speed_args(parser, argv)
    torch.set_num_threads(1)
    results = Results("classes", quick=args.quick, resume=args.resume)
    if not args.accuracy_only:
        time_classes(results, args)
    if not args.time_only:
        accuracy(results, args)
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
