"""The sum over classes, exact or from the top_k most probable: time and accuracy."""

import statistics
import time
from functools import cache, partial

import numpy as np
import torch
from data import blobs, few_labels, standardised
from measure import Results, number, percent, seconds_of, table
from plain import PLAIN_M2

from sk_ssvae import SSVAEClassifier

TOP_K = 8
LABELS = 400  # in all, so that the share of unlabelled rows is that of any other K
DISTANCE = 0.35  # of the centres: the nearest one is the right one in 78 % of the rows


def fit(X, y, max_epochs, seed=0, **parameters):
    """Fit with one thread."""
    model = SSVAEClassifier(
        likelihood="gaussian",
        device="cpu",
        n_threads=1,
        random_state=seed,
        **PLAIN_M2 | {"max_epochs": max_epochs} | parameters,
    )
    return model.fit(X, y)


def time_classes(results, args):
    """Seconds of an epoch against the number of classes."""
    n, classes = 10_000, [2, 5, 10, 20, 30, 50, 100, 200]
    if args.quick:
        n, classes = 1000, [2, 5, 20]
    contestants = {}
    for k in classes:
        X, y = blobs(n, 50, k)
        X, few = standardised(X), np.full_like(y, -1)
        n_labels = min(LABELS, n // 4)
        few[:n_labels] = y[:n_labels]
        few[:k] = np.arange(k)  # a label of every class, whatever was drawn
        fit(X[:500], np.where(np.arange(500) < 200, y[:500], -1), 1)
        for marginalization in ("exact", "topk"):
            if marginalization == "exact" or k > TOP_K + 1:  # else they are the same
                call = partial(
                    fit, X, few, 1, marginalization=marginalization, top_k=TOP_K
                )
                contestants[f"{k}, {marginalization}"] = call
    summary = results.interleave(
        "time",
        {
            name: lambda r, call=call: seconds_of(call)
            for name, call in contestants.items()
        },
        args.rounds,
        info={"rows": n, "features": 50, "labels": n_labels, "top_k": TOP_K},
    )
    rounds = results.groups["time"]["rounds"]
    rows, seconds = [], {"exact": {}, "topk": {}}
    for k in classes:
        exact, topk = f"{k}, exact", f"{k}, topk"
        seconds["exact"][k] = summary[exact]["seconds"]
        row = [k, number(summary[exact]["seconds"])]
        row.append(percent(summary[exact]["seconds_spread"]))
        if topk in summary:
            seconds["topk"][k] = summary[topk]["seconds"]
            ratio = statistics.median(
                r[exact]["seconds"] / r[topk]["seconds"] for r in rounds
            )
            row.append(number(summary[topk]["seconds"]))
            row += [percent(summary[topk]["seconds_spread"]), f"{ratio:.2f}"]
        else:
            row += ["the same", "", ""]
        rows.append(row)
    print(f"An epoch of {n:,} rows x 50, {n_labels} labels, top_k={TOP_K}\n")
    table(["classes", "exact, s", "spread", "topk, s", "spread", "exact / topk"], rows)
    plot(results, seconds)


def plot(results, seconds):
    """Time against classes."""
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
    results.images.mkdir(parents=True, exist_ok=True)
    figure.savefig(results.images / "cost_classes.png", dpi=120)


@cache
def overlapping(seed, quick):
    """100 classes that overlap, ten labels each, a fifth of the rows held out."""
    n, k = (1000, 20) if quick else (25_000, 100)
    X, y = blobs(n, 100, k, distance=DISTANCE, seed=seed)
    return few_labels(standardised(X), y, 10, seed, test_size=0.2)


def fit_and_score(quick, epochs, seed, **parameters):
    """Seconds of an epoch, and accuracy on held-out and on unlabelled rows."""
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
    """Accuracy of the exact sum and of the estimate, a round for every seed."""
    epochs = 2 if args.quick else 20
    few_seeds, all_seeds = (1, 2) if args.quick else (3, 5)
    parameters = {"exact": {"marginalization": "exact"}}
    for top_k in (1, 2, 4, TOP_K, 16):
        name = f"topk, top_k={top_k}"
        parameters[name] = {"marginalization": "topk", "top_k": top_k}
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

    def cell(name, what):
        values = [r[name][what] for r in rounds if name in r]
        sd = np.std(values, ddof=1) if len(values) > 1 else np.nan
        return f"{np.mean(values):.1f} ± {sd:.1f}"

    def less(name):
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
    table(
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
                less(name),
                cell(name, "unlabelled"),
                number(entry["seconds"]),
                f"{entry['ratio']:.2f}",
                entry["rounds"],
            ]
            for name, entry in summary.items()
        ),
    )


def run(args):
    """Time, accuracy, or both."""
    torch.set_num_threads(1)
    results = Results("classes", quick=args.quick, resume=args.resume)
    if not args.accuracy_only:
        time_classes(results, args)
    if not args.time_only:
        accuracy(results, args)
    print(f"Written to {results.path.name}.")
