"""Overhead: seconds of imports, of the first fit and of later fits.

    python -m benchmarks speed.overhead

Every measurement is in a new process. Large packages are imported inside the functions,
since their import is timed.
"""

import statistics
import sys
import time

from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.plain import plain_m2
from benchmarks.common.rounds import Results
from benchmarks.common.tables import format_number, format_percent, print_table
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args

HEAVY = (
    "torch._dynamo",
    "sympy",
    "torch.distributed.tensor",
    "torch._inductor",
    "torch.onnx",
)
PHASES = {
    "import torch": "import_torch",
    "then import sklearn, skorch": "import_sklearn_skorch",
    "then import sk_ssvae": "import_sk_ssvae",
    "then import hand_written": "import_hand_written",
    "first fit": "first_fit",
    "later fit": "later_fit",
}


def _loaded():
    """Return the large parts of torch that are loaded."""
    return [name for name in HEAVY if name in sys.modules]


class _Timer:
    """Return the seconds since the last call."""

    def __init__(self):
        self.last = time.perf_counter()

    def __call__(self):
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def _make_rows():
    """Return 500 rows with 20 labels."""
    import numpy as np

    X = np.random.default_rng(0).standard_normal((500, 20), dtype=np.float32)
    y = np.full(500, -1)
    y[:20] = np.arange(20) % 2
    return X, y


def _time_fits(fit, entry):
    """Add the seconds of the first fit and the median of later ones."""
    lap = _Timer()
    fit()
    entry["first_fit"] = lap()
    entry["loaded_after_fit"] = _loaded()
    later = []
    for _ in range(5):
        lap()
        fit()
        later.append(lap())
    entry["later_fit"] = statistics.median(later)
    return entry


def start_ssvae():
    """Time the phases of a process that uses SSVAEClassifier."""
    lap, entry = _Timer(), {}
    import torch  # noqa: F401

    entry["import_torch"] = lap()
    import sklearn.base
    import sklearn.metrics  # noqa: F401
    import skorch  # noqa: F401

    entry["import_sklearn_skorch"] = lap()
    from sk_ssvae import SSVAEClassifier

    entry["import_sk_ssvae"] = lap()
    entry["loaded_after_import"] = _loaded()
    X, y = _make_rows()
    return _time_fits(
        lambda: SSVAEClassifier(
            random_state=0, device="cpu", **plain_m2(max_epochs=1)
        ).fit(X, y),
        entry,
    )


def start_hand_written():
    """Time the phases of a process that uses torch alone."""
    lap, entry = _Timer(), {}
    import torch  # noqa: F401

    entry["import_torch"] = lap()
    from benchmarks.speed.hand_written import fit_broadcast

    entry["import_hand_written"] = lap()
    entry["loaded_after_import"] = _loaded()
    X, y = _make_rows()
    return _time_fits(
        lambda: fit_broadcast(X, y, 2, epochs=1, likelihood="gaussian", seed=0), entry
    )


def main(argv=None):
    """Start processes of both kinds in turn."""
    parser = make_speed_parser("overhead", __doc__, rounds=7)
    args = parse_speed_args(parser, argv)
    results = Results("overhead", quick=args.quick, resume=args.resume)
    starts = {"SSVAEClassifier": "start_ssvae", "hand-written": "start_hand_written"}
    for start in starts.values():  # loads files into the cache of the system
        in_fresh_process(f"benchmarks.speed.overhead:{start}")
    summary = results.interleave(
        "start",
        {
            name: lambda r, start=start: in_fresh_process(
                f"benchmarks.speed.overhead:{start}"
            )
            for name, start in starts.items()
        },
        args.rounds,
        info={"rows": 500, "features": 20, "epochs": 1},
    )
    header = ["seconds"]
    for name in starts:
        header += [name, "spread"]
    rows = []
    for phase, key in PHASES.items():
        row = [phase]
        for name in starts:
            seconds = summary[name].get(key)
            row.append("" if seconds is None else format_number(seconds))
            row.append(format_percent(summary[name].get(f"{key}_spread")))
        rows.append(row)
    print_table(header, rows)
    for name in starts:
        last = results.groups["start"]["rounds"][-1][name]
        for when in ("import", "fit"):
            loaded = ", ".join(last[f"loaded_after_{when}"]) or "none"
            print(f"{name}, of {', '.join(HEAVY)} loaded after {when}: {loaded}")
    print(f"\nWritten to {results.path.name}.")


if __name__ == "__main__":
    main()
