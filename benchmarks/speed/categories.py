"""Encoding categories: CPU seconds to read the columns of a data frame.

    python -m benchmarks speed.categories

Five columns of strings, with 2 to 1000 categories. "fit" infers the categories and
encodes the rows, "predict" encodes them with the categories of fit. The networks are
not involved.
"""

import time

import numpy as np
from sklearn.base import BaseEstimator

from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

N_CATEGORIES = (2, 5, 20, 100, 1000)


def make_frames(n_rows):
    """Return the same rows in data frames of several libraries and types."""
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    rng = np.random.default_rng(0)
    columns = {}
    for n in N_CATEGORIES:
        texts = np.array([f"category {i}" for i in range(n)])
        columns[f"of {n}"] = texts[rng.integers(0, n, n_rows)]
    frame = pd.DataFrame(columns)
    return {
        "pandas, str": frame,
        "pandas, object": frame.astype(object),
        "pandas, category": frame.astype("category"),
        "polars, String": pl.from_pandas(frame),
        "polars, Categorical": pl.from_pandas(frame).cast(pl.Categorical),
        "pyarrow, string": pa.Table.from_pandas(frame),
        "pyarrow, dictionary": pa.Table.from_pandas(frame.astype("category")),
    }


def cpu_seconds_of(f, *args, **kwargs):
    """Return the CPU seconds of a call, in all threads of the process."""
    start = time.process_time()
    f(*args, **kwargs)
    return time.process_time() - start


def read_seconds(X):
    """Return the CPU seconds of reading rows in `fit` and in `predict`."""
    from sk_ssvae.data.preprocessor import Preprocessor

    preprocessor, estimator = Preprocessor(), BaseEstimator()
    return {
        "fit": cpu_seconds_of(preprocessor.read, estimator, X, reset=True),
        "predict": cpu_seconds_of(preprocessor.read, estimator, X),
    }


def main(argv=None):
    """Run the benchmark and print the medians."""
    parser = make_speed_parser("categories", __doc__, rounds=5)
    args = parse_speed_args(parser, argv)
    n_rows = 5_000 if args.quick else 500_000
    results = Results("categories", quick=args.quick, resume=args.resume)
    candidates = {
        name: lambda r, X=X: read_seconds(X) for name, X in make_frames(n_rows).items()
    }
    summary = results.interleave(
        "five columns", candidates, args.rounds, info={"rows": n_rows}
    )
    print(f"{n_rows:,} rows, columns of {N_CATEGORIES} categories\n")
    print_table(
        ["", "fit, CPU seconds", "spread", "predict, CPU seconds", "spread"],
        (
            [
                name,
                format_number(entry["fit"]),
                format_percent(entry["fit_spread"]),
                format_number(entry["predict"]),
                format_percent(entry["predict_spread"]),
            ]
            for name, entry in summary.items()
        ),
    )
