"""Interleaved rounds of timings, and their summary.

This module imports no large package: their import time is the subject of one of the
benchmarks.
"""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common.paths import IMAGES, RESULTS
from benchmarks.common.versions import package_versions

__all__ = ["Results", "seconds_of", "summarise"]


def seconds_of(f, *args, **kwargs):
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    f(*args, **kwargs)
    return time.perf_counter() - start


class Results:
    """Rounds of a speed benchmark by group, written to a file after each round.

    Parameters
    ----------
    name : str
        Name of the benchmark. The file is ``results/speed_NAME.json``.
    quick : bool
        Write to the folder for temporary files instead.
    resume : bool
        Keep the rounds in the file. Groups that are not run are always kept.
    threads : int or None
        Number of threads of the measured code, for the record.
    """

    def __init__(self, name, *, quick=False, resume=False, threads=1):
        folder = Path(tempfile.gettempdir()) if quick else RESULTS
        self.path = folder / f"speed_{name}.json"
        self.images = folder if quick else IMAGES
        self.head = {
            "command": f"python -m benchmarks speed.{name}",
            "threads": threads,
            "cores": os.cpu_count(),
        }
        self.groups, self.resume = {}, resume
        if self.path.exists():
            self.groups = json.loads(self.path.read_text())["groups"]

    def interleave(self, group, candidates, rounds, *, base=None, info=None, only=()):
        """Run every candidate once a round, in an order that rotates.

        Parameters
        ----------
        group : str
            Name of the group in the file.
        candidates : dict of str to callable
            Called with the number of the round; each returns seconds or a dict of
            values. A candidate that returns a dict with the key "left_out" is not run
            in later rounds.
        rounds : int
            Number of rounds, including those in the file.
        base : str, default=None
            Candidate whose seconds are divided by those of the others.
        info : dict, default=None
            Description of the group. Rounds with a different description, or of
            different package versions, are discarded.
        only : dict of str to int, default=()
            Number of rounds of candidates that are not run in all rounds.

        Returns
        -------
        summary : dict
            Summary by candidate; see `summarise`.
        """
        info = {"info": info or {}, "versions": package_versions()}
        only = dict(only)
        entry = self.groups.get(group, {})
        same = {key: entry.get(key) for key in info} == json.loads(json.dumps(info))
        if not (self.resume and same):
            entry = self.groups[group] = info | {"rounds": []}
        done = entry["rounds"]
        names = list(candidates)
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
                value = candidates[name](r)
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


def _relative_iqr(values):
    """Return the interquartile range over the median; None for a single value."""
    if len(values) < 2:
        return None
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / middle if middle else None


def summarise(rounds, names, base=None):
    """Summarise rounds by medians, relative interquartile ranges and ratios.

    Parameters
    ----------
    rounds : list of dict
        Values by candidate, of each round.
    names : list of str
        Candidates.
    base : str, default=None
        Candidate that the ratios refer to.

    Returns
    -------
    summary : dict
        For each candidate the median of every value and, as ``VALUE_spread``, its
        interquartile range over the median. ``ratio`` is the median over rounds of the
        seconds of the base over those of the candidate, in the rounds that have both;
        ``ratio_of_medians`` is the ratio of the medians over the same rounds.
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
                entry[f"{key}_spread"] = _relative_iqr(values)
        pairs = [
            (r[base]["seconds"], r[name]["seconds"])
            for r in having
            if base in r and "left_out" not in r[base]
        ]
        if pairs:
            ratios = [a / b for a, b in pairs]
            entry["ratio"] = statistics.median(ratios)
            entry["ratio_spread"] = _relative_iqr(ratios)
            a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
            entry["ratio_of_medians"] = a / b
    return summary
