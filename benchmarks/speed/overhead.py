"""What comes before the first step: imports and the first fit, in fresh processes.

Heavy packages are imported inside the functions, which is what is timed.
"""

import statistics
import sys
import time

from measure import Results, in_fresh_process, number, percent, table
from plain import PLAIN_M2

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
    return [name for name in HEAVY if name in sys.modules]


class _Laps:
    """Seconds from one call to the next."""

    def __init__(self):
        self.last = time.perf_counter()

    def __call__(self):
        before, self.last = self.last, time.perf_counter()
        return self.last - before


def _data():
    import numpy as np

    X = np.random.default_rng(0).standard_normal((500, 20), dtype=np.float32)
    y = np.full(500, -1)
    y[:20] = np.arange(20) % 2
    return X, y


def _fits(fit, entry):
    lap = _Laps()
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


def start_ours():
    """Phases of a process that uses the estimator."""
    lap, entry = _Laps(), {}
    import torch  # noqa: F401

    entry["import_torch"] = lap()
    import sklearn.base
    import sklearn.metrics  # noqa: F401
    import skorch  # noqa: F401

    entry["import_sklearn_skorch"] = lap()
    from sk_ssvae import SSVAEClassifier

    entry["import_sk_ssvae"] = lap()
    entry["loaded_after_import"] = _loaded()
    X, y = _data()
    return _fits(
        lambda: SSVAEClassifier(
            random_state=0, device="cpu", **PLAIN_M2 | {"max_epochs": 1}
        ).fit(X, y),
        entry,
    )


def start_floor():
    """Phases of a process that uses torch alone."""
    lap, entry = _Laps(), {}
    import torch  # noqa: F401

    entry["import_torch"] = lap()
    from hand_written import floor

    entry["import_hand_written"] = lap()
    entry["loaded_after_import"] = _loaded()
    X, y = _data()
    return _fits(lambda: floor(X, y, 2, epochs=1, likelihood="gaussian", seed=0), entry)


def run(args):
    """Start processes of both kinds in turn."""
    results = Results("overhead", quick=args.quick, resume=args.resume)
    starts = {"SSVAEClassifier": "start_ours", "hand-written": "start_floor"}
    for start in starts.values():  # files into the system's cache
        in_fresh_process(f"speed_overhead:{start}")
    summary = results.interleave(
        "start",
        {
            name: lambda r, start=start: in_fresh_process(f"speed_overhead:{start}")
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
            row.append("" if seconds is None else number(seconds))
            row.append(percent(summary[name].get(f"{key}_spread")))
        rows.append(row)
    table(header, rows)
    for name in starts:
        last = results.groups["start"]["rounds"][-1][name]
        for when in ("import", "fit"):
            loaded = ", ".join(last[f"loaded_after_{when}"]) or "none"
            print(f"{name}, of {', '.join(HEAVY)} loaded after {when}: {loaded}")
    print(f"\nWritten to {results.path.name}.")
