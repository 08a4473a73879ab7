"""What the speed benchmarks share: interleaved rounds, memory, processes, tables.

Light to import: what takes seconds to import is a benchmark's own subject.
"""

import gc
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
GB = 1e9
PACKAGES = (
    "sk_ssvae",
    "scikit-learn",
    "skorch",
    "torch",
    "numpy",
    "pyro-ppl",
    "pyroved",
)


def seconds_of(f, *args, **kwargs):
    """Seconds that a call takes."""
    start = time.perf_counter()
    f(*args, **kwargs)
    return time.perf_counter() - start


def versions(packages=PACKAGES):
    """Say what ran."""
    return {name: metadata.version(name) for name in packages} | {
        "python": platform.python_version()
    }


class Results:
    """Rounds of a benchmark by group, written to a file after each.

    Parameters
    ----------
    name : str
        Of the benchmark: ``results/speed_NAME.json``.
    quick : bool
        Write to the folder for temporary files instead.
    resume : bool
        Keep the rounds that are in the file. Groups that are not run are kept anyway.
    threads : int or None
        As set for the measured code, for the record.
    """

    def __init__(self, name, *, quick=False, resume=False, threads=1):
        folder = Path(tempfile.gettempdir()) if quick else HERE / "results"
        self.path = folder / f"speed_{name}.json"
        self.images = folder if quick else HERE.parent / "docs" / "images"
        self.head = {
            "command": f"python benchmarks/speed.py {name}",
            "threads": threads,
            "cores": os.cpu_count(),
        }
        self.groups, self.resume = {}, resume
        if self.path.exists():
            self.groups = json.loads(self.path.read_text())["groups"]

    def interleave(self, group, contestants, rounds, *, base=None, info=None, only=()):
        """Run every contestant once a round, in an order that rotates.

        Parameters
        ----------
        group : str
            Name in the file.
        contestants : dict of str to callable
            Called with the number of the round; return seconds or a dict of values. A
            dict with "left_out" is the last of its contestant.
        rounds : int
            Number of rounds, those in the file included.
        base : str, default=None
            Contestant whose seconds are divided by the others'.
        info : dict, default=None
            What describes the group. Rounds with another description or of other
            versions are dropped.
        only : dict of str to int, default=()
            Contestants that take part in the first so many rounds only.

        Returns
        -------
        summary : dict
            By contestant; see `summarise`.
        """
        info, only = {"info": info or {}, "versions": versions()}, dict(only)
        entry = self.groups.get(group, {})
        same = {key: entry.get(key) for key in info} == json.loads(json.dumps(info))
        if not (self.resume and same):
            entry = self.groups[group] = info | {"rounds": []}
        done = entry["rounds"]
        names = list(contestants)
        for r in range(len(done), rounds):
            record = {}
            for name in names[r % len(names) :] + names[: r % len(names)]:
                if r >= only.get(name, rounds):
                    continue
                before = done[-1].get(name, {}) if done else {}
                if "left_out" in before:
                    record[name] = before
                    continue
                gc.collect()
                value = contestants[name](r)
                record[name] = value if isinstance(value, dict) else {"seconds": value}
            done.append(record)
            print(f"{group}: round {r + 1} of {rounds}", file=sys.stderr, flush=True)
            entry["summary"] = summarise(done, names, base)
            self.write()
        entry["summary"] = summarise(done, names, base)
        self.write()
        return entry["summary"]

    def write(self):
        """Write all groups."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        report = self.head | {"groups": self.groups}
        self.path.write_text(json.dumps(report, indent=1) + "\n")


def spread(values):
    """Interquartile range over the median; None of a single value."""
    if len(values) < 2:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle if middle else None


def summarise(rounds, names, base=None):
    """Medians and spreads of every contestant's numbers, and ratios to the base.

    ``ratio`` is the median over rounds of the base's seconds over the contestant's, in
    the rounds that have both; ``ratio_of_medians`` is over the same rounds.
    """
    summary = {}
    for name in names:
        having = [r for r in rounds if name in r and "left_out" not in r[name]]
        entry = summary[name] = {"rounds": len(having)}
        if not having:
            reasons = [r[name]["left_out"] for r in rounds if name in r]
            entry["left_out"] = reasons[0] if reasons else "not run"
            continue
        for key, value in having[0][name].items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                values = [r[name][key] for r in having]
                entry[key] = statistics.median(values)
                entry[f"{key}_spread"] = spread(values)
        pairs = [
            (r[base]["seconds"], r[name]["seconds"])
            for r in having
            if base in r and "left_out" not in r[base]
        ]
        if pairs:
            ratios = [a / b for a, b in pairs]
            entry["ratio"] = statistics.median(ratios)
            entry["ratio_spread"] = spread(ratios)
            a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
            entry["ratio_of_medians"] = a / b
    return summary


def peak_memory(f, *args, **kwargs):
    """Call, and say how many bytes the process grew by at most meanwhile.

    The system's high-water mark of the process is set back to what it has now before
    the call (Linux). Elsewhere the mark stays where imports and data left it.

    Returns
    -------
    result
        Of the call.
    n_bytes : int
        Growth at the highest point, the result included.
    """
    gc.collect()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    before = _high_water()
    result = f(*args, **kwargs)
    return result, _high_water() - before


def _high_water():
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss, which a new process has from its parent.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def in_fresh_process(function, *, threads=1, timeout=None, memory=None, **kwargs):
    """Call a function of a module here in a process of its own.

    Parameters
    ----------
    function : str
        "module:name"; it returns what JSON can hold.
    threads : int or None
        1 sets the number for numpy and torch; None leaves both their own choice.
    timeout : float, default=None
        Seconds.
    memory : float, default=None
        Bytes.
    **kwargs
        What the function takes.

    Returns
    -------
    result
        What it returned, or a dict with "left_out" if it took too long or too much.
    """
    environment = {k: v for k, v in os.environ.items() if k not in ONE_THREAD}
    if threads == 1:
        environment |= ONE_THREAD
    call = json.dumps({"function": function, "memory": memory, "kwargs": kwargs})
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "measure.py"), call],
            env=environment,
            stdout=subprocess.PIPE,
            timeout=timeout,
            text=True,
            check=True,
        )
    except subprocess.TimeoutExpired:
        return {"left_out": f"more than {timeout / 60:.0f} minutes"}
    return json.loads(done.stdout.splitlines()[-1])


def _answer(call):
    """In the fresh process."""
    module, name = call["function"].split(":")
    if call["memory"] is not None:
        limit = int(call["memory"])
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    function = getattr(importlib.import_module(module), name)
    try:
        return function(**call["kwargs"])
    except MemoryError:
        return {"left_out": f"more than {call['memory'] / GB:.0f} GB"}


def table(header, rows):
    """Print a markdown table."""
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def percent(share):
    """Write a spread for a table."""
    return "" if share is None else f"{100 * share:.0f} %"


def number(value, digits=3):
    """Three digits or so, without exponents."""
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - int(f"{abs(value):e}".split("e")[1]))
    return f"{value:,.{decimals}f}"


if __name__ == "__main__":
    print(json.dumps(_answer(json.loads(sys.argv[1]))))
