"""Inference: predict_proba and transform, compared with the networks alone.

    python -m benchmarks speed.inference

Both methods are compared with passes of the same fitted networks over the same array,
in chunks of the fastest size, and their memory is measured.
"""

from functools import partial

import numpy as np
import torch

from benchmarks.common.data import blobs, hide_labels, load
from benchmarks.common.fresh_process import in_fresh_process, peak_memory
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results, seconds_of
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from sk_ssvae import SSVAEClassifier

CHUNK_SIZES = [2**k for k in range(9, 17)]
ROWS_TO_FIT = 5000
ARRAYS = ("tabular", "digits-like", "image")
METHODS = ("predict_proba", "transform")


def make_array(name, quick):
    """Return rows in single precision and their classes."""
    if name == "digits-like":
        return blobs(2000 if quick else 100_000, 64, 10)
    if name == "image":
        X, y = load("mnist")
        n = 2000 if quick else 60_000
        return (X[:n] / 255).astype(np.float32), y[:n]
    return blobs(5000 if quick else 1_000_000, 30, 2)


def fit_model(X, y):
    """Fit a model of the default size; one epoch is enough to time it."""
    X, y = X[:ROWS_TO_FIT], y[:ROWS_TO_FIT]
    plain = plain_m2(max_epochs=1, n_threads=1)
    model = SSVAEClassifier(random_state=0, device="cpu", **plain)
    return model.fit(X, hide_labels(y, 10, 0))


@torch.inference_mode()
def in_chunks(f, x, n_columns, size):
    """Apply a function to chunks of rows, and return one tensor."""
    out = torch.empty(len(x), n_columns)
    for start in range(0, len(x), size):
        out[start : start + size] = f(x[start : start + size])
    return out


def bare_means(module, x):
    """Return latent means averaged over classes, from the model's distributions."""
    q = module.classifier(x).softmax(-1)
    means = module.posterior_z(x[:, None], module.classes).mean
    return (q[..., None] * means).sum(1)


def fastest_chunk_size(f):
    """Return the chunk size with the fastest call, of two calls each."""
    seconds = {size: min(seconds_of(f, size) for _ in range(2)) for size in CHUNK_SIZES}
    return min(seconds, key=seconds.get)


def memory_of(method, n):
    """Return the bytes that a call takes besides X and the returned array."""
    torch.set_num_threads(1)
    X, y = blobs(n, 30, 2)
    call = getattr(fit_model(X, y), method)
    call(X[:100])
    out, n_bytes = peak_memory(call, X)
    return {"bytes": n_bytes - out.nbytes}


def time_arrays(results, args):
    """Time both methods, and the networks alone in chunks of the fastest size."""
    rows = []
    for name in ARRAYS:
        X, y = make_array(name, args.quick)
        model = fit_model(X, y)
        # The networks exclude constant columns. They are removed here, which is not
        # timed.
        varies = np.ptp(X[:ROWS_TO_FIT], axis=0) > 0
        module, x = model.module_, torch.from_numpy(X[:, varies])
        forward = partial(in_chunks, module, x, len(model.classes_))
        means = partial(in_chunks, partial(bare_means, module), x, module.latent_size)
        sizes = fastest_chunk_size(forward), fastest_chunk_size(means)
        calls = {
            "predict_proba": partial(model.predict_proba, X),
            "bare forward": partial(forward, sizes[0]),
            "transform": partial(model.transform, X),
            "bare means": partial(means, sizes[1]),
        }
        summary = results.interleave(
            name,
            {key: lambda r, f=f: seconds_of(f) for key, f in calls.items()},
            args.rounds,
            info={"rows": len(X), "features": X.shape[1], "classes": int(y.max()) + 1},
        )
        results.groups[name]["chunks"] = sizes
        rounds = results.groups[name]["rounds"]
        for method, bare in (
            ("predict_proba", "bare forward"),
            ("transform", "bare means"),
            ("transform", "bare forward"),
        ):
            ratios = [r[method]["seconds"] / r[bare]["seconds"] for r in rounds]
            label = f"{len(X):,} x {X.shape[1]}, {int(y.max()) + 1} classes"
            rows.append(
                [
                    label,
                    f"{method} / {bare}",
                    f"{np.median(ratios):.2f}",
                    format_number(summary[method]["seconds"]),
                    format_number(summary[bare]["seconds"]),
                    format_percent(summary[method]["seconds_spread"]),
                    format_percent(summary[bare]["seconds_spread"]),
                    sizes[bare == "bare means"],
                ]
            )
    results.write()
    print_table(
        ["array", "", "ratio", "seconds", "bare", "spread", "spread", "bare chunk"],
        rows,
    )


def memory(results, args):
    """Measure the memory of both methods for few and for many rows."""
    sizes = (2000, 5000) if args.quick else (100_000, 1_000_000)
    names = {f"{m}, {n:,} rows": (m, n) for n in sizes for m in METHODS}
    summary = results.interleave(
        "memory",
        {
            name: lambda r, m=m, n=n: in_fresh_process(
                "benchmarks.speed.inference:memory_of", method=m, n=n
            )
            for name, (m, n) in names.items()
        },
        min(args.rounds, 3),
        info={"sizes": sizes, "features": 30},
    )
    print_table(
        ["memory beyond X and the answer", "MB", "of X"],
        (
            [
                name,
                f"{summary[name]['bytes'] / 1e6:.1f}",
                format_percent(summary[name]["bytes"] / (names[name][1] * 30 * 4)),
            ]
            for name in names
        ),
    )


def main(argv=None):
    """Measure time, then memory."""
    parser = make_speed_parser("inference", __doc__, rounds=9)
    args = parse_speed_args(parser, argv)
    torch.set_num_threads(1)
    results = Results("inference", quick=args.quick, resume=args.resume)
    time_arrays(results, args)
    memory(results, args)
    print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
