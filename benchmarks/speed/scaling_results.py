"""Stored results of `speed.scaling`, and the model that is fitted to them."""

from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json
from benchmarks.speed.scaling_model import (
    FitModel,
    Network,
    Teacher,
    fit_network,
    fit_steps,
)
from benchmarks.speed.step_times import make_step

__all__ = [
    "all_reduce_seconds",
    "make_model",
    "measured_steps",
    "median",
    "names_of",
    "stored_fits",
]


def names_of(results, group):
    """Return the names of the measured candidates of a group."""
    return [*results.groups.get(group, {"summary": {}})["summary"]]


def median(results, group, name):
    """Return a measured candidate of a group: medians over rounds, by value."""
    entry = results.groups[group]["summary"][name]
    return {k: v for k, v in entry.items() if k != "rounds" and "_spread" not in k}


def measured_steps(results):
    """Return the settings of the steps, the left out ones, and the seconds of all."""
    settings, left_out, seconds = {}, [], {}
    for group in ("steps", "large steps"):
        info = results.groups[group]["info"]
        settings |= info["settings"]
        left_out += info["left out"]
        seconds |= results.groups[group]["summary"]["steps"]
    return settings, left_out, seconds


def make_model(results, latency=None, bandwidth=None):
    """Fit the model to stored results.

    Parameters
    ----------
    results : Results
        Of `speed.scaling`.
    latency, bandwidth : float, default=None
        Seconds of a message and bytes a second; by default those of the measured
        all-reduce.

    Returns
    -------
    model : FitModel
    """
    settings, left_out, seconds = measured_steps(results)
    fitted = [name for name in settings if name not in left_out]
    steps = fit_steps(
        [make_step(settings[name]) for name in fitted],
        [seconds[name] for name in fitted],
        median(results, "draws", "draws")["seconds"],
    )
    network = fit_network(all_reduce_seconds(results))
    network = Network(latency or network.latency, bandwidth or network.bandwidth)
    info = results.groups["rows"]["info"]
    row = median(results, "rows", f"{info['rows'][-1]}")
    return FitModel(
        steps,
        network,
        _teacher(results),
        row["preparation"],
        row["prediction"],
        row["shuffle"],
        columns=info["columns"],
    )


def all_reduce_seconds(results, suffix=""):
    """Return the seconds of an all-reduce, by bytes; `suffix` " CPU" for CPU time."""
    found = median(results, "all-reduce", "bytes")
    sizes = sorted(int(name) for name in found if name.isdigit())
    return {n: found[f"{n}{suffix}"] for n in sizes}


def _teacher(results):
    """Return the measured seconds of the teacher, in memory and of a memory map."""
    points = {
        int(name): median(results, "fits", name)["teacher"]
        for name in names_of(results, "fits")
    }
    (name,) = names_of(results, "maps")
    one = median(results, "maps", name)
    sample, further = int(one["sample"]), one["teacher's rows"]
    points[sample] = one["teacher"] - further
    n_further = max(1, int(name) - sample)
    rows = sorted(points)
    seconds = tuple(points[n] for n in rows)
    return Teacher(
        tuple(rows), seconds, further / n_further, _most_per_row(points[sample], sample)
    )


def _most_per_row(seconds, sample):
    """Return the seconds of a row beyond the sample in the largest fit in memory.

    Parameters
    ----------
    seconds : float
        Seconds of the teacher of the sample.
    sample : int
        Its rows.
    """
    rows, fit = max(stored_fits().items())
    return (fit["teacher"] - seconds) / (rows - sample)


def stored_fits():
    """Return the fits of `speed.whole_fit`, by their rows."""
    stored = read_json(RESULTS / "speed_whole_fit.json")
    fits = {int(name.split(" x ")[0]): fit for name, fit in stored.items()}
    return dict(sorted(fits.items()))
