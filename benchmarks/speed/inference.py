"""Answers beside bare passes of the same networks over the same array."""

from functools import partial

import numpy as np
import torch
from data import blobs, hide_labels, load
from measure import (
    Results,
    in_fresh_process,
    number,
    peak_memory,
    percent,
    seconds_of,
    table,
)
from plain import PLAIN_M2

from sk_ssvae import SSVAEClassifier

CHUNKS = [2**k for k in range(9, 17)]
ROWS_TO_FIT = 5000


def make_array(name, quick):
    """Rows in single precision and their classes."""
    if name == "digits-like":
        return blobs(2000 if quick else 100_000, 64, 10)
    if name == "image":
        X, y = load("mnist")
        n = 2000 if quick else 60_000
        return (X[:n] / 255).astype(np.float32), y[:n]
    return blobs(5000 if quick else 1_000_000, 30, 2)


ARRAYS = ("tabular", "digits-like", "image")


def fitted(X, y):
    """Return a model of the default size, trained a little: its speed is the same."""
    X, y = X[:ROWS_TO_FIT], y[:ROWS_TO_FIT]
    plain = PLAIN_M2 | {"max_epochs": 1}
    model = SSVAEClassifier(random_state=0, device="cpu", n_threads=1, **plain)
    return model.fit(X, hide_labels(y, 10, 0))


@torch.inference_mode()
def by_chunks(f, x, n_columns, size):
    """Fill an array with what `f` makes of chunks of rows."""
    out = torch.empty(len(x), n_columns)
    for start in range(0, len(x), size):
        out[start : start + size] = f(x[start : start + size])
    return out


def bare_means(module, x):
    """Average latent means by the model's own distributions, as `transform` does."""
    q = module.classifier(x).softmax(-1)
    means = module.posterior_z(x[:, None], module.classes).mean
    return (q[..., None] * means).sum(1)


def best_chunk(pass_):
    """Size of the fastest of two passes each."""
    seconds = {size: min(seconds_of(pass_, size) for _ in range(2)) for size in CHUNKS}
    return min(seconds, key=seconds.get)


def memory_of(method, n):
    """Bytes that a call takes beyond X and its answer; in a fresh process."""
    torch.set_num_threads(1)
    X, y = blobs(n, 30, 2)
    answer = getattr(fitted(X, y), method)
    answer(X[:100])
    out, n_bytes = peak_memory(answer, X)
    return {"bytes": n_bytes - out.nbytes}


def time_arrays(results, args):
    """Time both methods, and bare passes by chunks of the best size."""
    rows = []
    for name in ARRAYS:
        X, y = make_array(name, args.quick)
        model = fitted(X, y)
        # Columns without information are left out of the networks: a copy without
        # them is made here, outside of what is timed.
        varies = np.ptp(X[:ROWS_TO_FIT], axis=0) > 0
        module, x = model.module_, torch.from_numpy(X[:, varies])
        forward = partial(by_chunks, module, x, len(model.classes_))
        means = partial(by_chunks, partial(bare_means, module), x, module.latent_size)
        sizes = best_chunk(forward), best_chunk(means)
        passes = {
            "predict_proba": partial(model.predict_proba, X),
            "bare forward": partial(forward, sizes[0]),
            "transform": partial(model.transform, X),
            "bare means": partial(means, sizes[1]),
        }
        summary = results.interleave(
            name,
            {key: lambda r, f=f: seconds_of(f) for key, f in passes.items()},
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
                    number(summary[method]["seconds"]),
                    number(summary[bare]["seconds"]),
                    percent(summary[method]["seconds_spread"]),
                    percent(summary[bare]["seconds_spread"]),
                    sizes[bare == "bare means"],
                ]
            )
    results.write()
    table(
        ["array", "", "ratio", "seconds", "bare", "spread", "spread", "bare chunk"],
        rows,
    )


def memory(results, args):
    """Memory of both methods for few and for many rows."""
    sizes = (2000, 5000) if args.quick else (100_000, 1_000_000)
    names = {f"{m}, {n:,} rows": (m, n) for n in sizes for m in METHODS}
    summary = results.interleave(
        "memory",
        {
            name: lambda r, m=m, n=n: in_fresh_process(
                "speed_inference:memory_of", method=m, n=n
            )
            for name, (m, n) in names.items()
        },
        min(args.rounds, 3),
        info={"sizes": sizes, "features": 30},
    )
    table(
        ["memory beyond X and the answer", "MB", "of X"],
        (
            [
                name,
                f"{summary[name]['bytes'] / 1e6:.1f}",
                percent(summary[name]["bytes"] / (names[name][1] * 30 * 4)),
            ]
            for name in names
        ),
    )


METHODS = ("predict_proba", "transform")


def run(args):
    """Measure times, then memory."""
    torch.set_num_threads(1)
    results = Results("inference", quick=args.quick, resume=args.resume)
    time_arrays(results, args)
    memory(results, args)
    print(f"Written to {results.path.name}.")
