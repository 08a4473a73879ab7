"""Training: seconds an epoch beside hand-written loops, pyroVED and pyro."""

from functools import partial

import torch
from hand_written import floor, loop_over_classes
from measure import Results, number, percent, seconds_of, table
from peers import pyro_enumerated, pyroved_ssivae
from pyro_documented import pyro_documented
from sizes import SIZES, fit_ours, make_size, warm_up

OURS = "SSVAEClassifier"


def fit_other(function, size, **options):
    """Call one of the others."""
    return function(
        size.X,
        size.y,
        size.n_classes,
        epochs=size.epochs,
        likelihood=size.likelihood,
        seed=0,
        **options,
    )


# What pyro and pyroVED are told, the estimator's and the hand-written loops' defaults.
PEER = {
    "batch_size": 128,
    "hidden_sizes": (128,),
    "latent_size": 10,
    "learning_rate": 5e-3,
}

CONTESTANTS = {
    OURS: fit_ours,
    "hand-written, one broadcast pass": partial(fit_other, floor),
    "hand-written, loop over classes": partial(fit_other, loop_over_classes),
    "pyroVED": partial(fit_other, pyroved_ssivae, **PEER),
    "pyro, as its example": partial(fit_other, pyro_documented, **PEER),
    "pyro, tuned by hand": partial(fit_other, pyro_enumerated, jit=False, **PEER),
    "pyro, tuned by hand, jit": partial(fit_other, pyro_enumerated, jit=True, **PEER),
}
FAST = (OURS, "hand-written, one broadcast pass")
TOPK = f"{OURS}, topk"


def contestants_of(name):
    """All of them, and the estimate of the sum where there are many classes."""
    if name != "classes":
        return CONTESTANTS
    return CONTESTANTS | {TOPK: partial(fit_ours, marginalization="topk")}


def print_table(name, size, summary):
    """Ratios first."""
    print(
        f"{name}: {len(size.X):,} rows x {size.X.shape[1]}, {size.n_classes} classes, "
        f"{size.likelihood}, epochs: {size.epochs}\n"
    )
    table(
        [
            "",
            "ours / this, median of rounds",
            "spread",
            "of medians",
            "seconds an epoch",
            "spread",
            "rounds",
        ],
        (
            [
                contestant,
                f"{entry['ratio']:.2f}",
                percent(entry["ratio_spread"]),
                f"{entry['ratio_of_medians']:.2f}",
                number(entry["seconds"] / size.epochs),
                percent(entry["seconds_spread"]),
                entry["rounds"],
            ]
            for contestant, entry in summary.items()
        ),
    )


def run(args):
    """Time all contestants at all sizes."""
    torch.set_num_threads(1)
    results = Results("train", quick=args.quick, resume=args.resume)
    for name in args.sizes or SIZES:
        size = make_size(name)
        if args.quick:
            size = make_size(name, 4000 if name == "classes" else 1000, epochs=1)
        contestants = contestants_of(name)
        warm_up(size, contestants.values())
        slow = {}
        if args.slow_rounds is not None:
            slow = dict.fromkeys(set(contestants) - set(FAST), args.slow_rounds)
        summary = results.interleave(
            name,
            {
                key: lambda r, fit=fit, size=size: seconds_of(fit, size)
                for key, fit in contestants.items()
            },
            args.rounds,
            base=OURS,
            only=slow,
            info={
                "rows": len(size.X),
                "features": size.X.shape[1],
                "classes": size.n_classes,
                "labels": int((size.y >= 0).sum()),
                "likelihood": size.likelihood,
                "epochs": size.epochs,
            },
        )
        print_table(name, size, summary)
        make_size.cache_clear()
    print(f"Written to {results.path.name}.")
