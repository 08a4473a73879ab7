"""Training: seconds an epoch, compared with PyTorch loops, pyroVED and pyro.

    python -m benchmarks speed.train

The four data sets are those of ``sizes.py``. "ours / this" is the time of
SSVAEClassifier over the time of the candidate; below 1 SSVAEClassifier is faster. Needs
pyro and pyroVED, which the extra ``bench`` installs.
"""

from functools import partial

import torch

from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from benchmarks.speed.hand_written import fit_broadcast, fit_loop_over_classes
from benchmarks.speed.sizes import SIZES, fit_ssvae, make_size, warm_up

SSVAE = "SSVAEClassifier"


def fit_other(function, size, **options):
    """Call the training function of another implementation."""
    return function(
        size.X,
        size.y,
        size.n_classes,
        epochs=size.epochs,
        likelihood=size.likelihood,
        seed=0,
        **options,
    )


PEER = {
    "batch_size": 128,
    "hidden_sizes": (128,),
    "latent_size": 10,
    "learning_rate": 5e-3,
}
"""Settings of pyro and pyroVED, those of SSVAEClassifier and the PyTorch loops."""

FAST = (SSVAE, "hand-written, one broadcast pass")


def make_candidates(name):
    """Return the candidates; with many classes also the sampled marginalization."""
    from benchmarks.speed.peers import pyro_enumerated, pyroved_ssivae
    from benchmarks.speed.pyro_documented import pyro_documented

    enumerated = partial(fit_other, pyro_enumerated, **PEER)
    candidates = {
        SSVAE: fit_ssvae,
        "hand-written, one broadcast pass": partial(fit_other, fit_broadcast),
        "hand-written, loop over classes": partial(fit_other, fit_loop_over_classes),
        "pyroVED": partial(fit_other, pyroved_ssivae, **PEER),
        "pyro, as its example": partial(fit_other, pyro_documented, **PEER),
        "pyro, tuned by hand": partial(enumerated, jit=False),
        "pyro, tuned by hand, jit": partial(enumerated, jit=True),
    }
    if name == "classes":
        candidates[f"{SSVAE}, topk"] = partial(fit_ssvae, marginalization=8)
    return candidates


def print_summary(name, size, summary):
    """Print the table of one size."""
    print(
        f"{name}: {len(size.X):,} rows x {size.X.shape[1]}, {size.n_classes} classes, "
        f"{size.likelihood}, epochs: {size.epochs}\n"
    )
    print_table(
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
                candidate,
                f"{entry['ratio']:.2f}",
                format_percent(entry["ratio_spread"]),
                f"{entry['ratio_of_medians']:.2f}",
                format_number(entry["seconds"] / size.epochs),
                format_percent(entry["seconds_spread"]),
                entry["rounds"],
            ]
            for candidate, entry in summary.items()
        ),
    )


def main(argv=None):
    """Time all candidates at all sizes."""
    parser = make_speed_parser("train", __doc__, rounds=7)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument(
        "--slow-rounds",
        type=int,
        help="rounds of the candidates other than SSVAEClassifier and the fastest "
        "PyTorch loop; default: all rounds",
    )
    args = parse_speed_args(parser, argv)
    torch.set_num_threads(1)
    results = Results("train", quick=args.quick, resume=args.resume)
    for name in args.sizes:
        size = make_size(name)
        if args.quick:
            size = make_size(name, 4000 if name == "classes" else 1000, epochs=1)
        candidates = make_candidates(name)
        warm_up(size, candidates.values())
        slow = {}
        if args.slow_rounds is not None:
            slow = dict.fromkeys(set(candidates) - set(FAST), args.slow_rounds)
        summary = results.interleave(
            name,
            {
                key: lambda r, fit=fit, size=size: seconds_of(fit, size)
                for key, fit in candidates.items()
            },
            args.rounds,
            base=SSVAE,
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
        print_summary(name, size, summary)
        make_size.cache_clear()
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
