"""Scaling: a model of the time of a step and of a fit, fitted to measurements.

    python -m benchmarks speed.scaling
    python -m benchmarks speed.scaling --report
    python -m benchmarks speed.scaling --report --latency 20e-6 --bandwidth 1e9

Steps of M2 with a Gaussian likelihood (`scaling_settings`), on one thread: the seconds
are those of CPU time, medians over steps and rounds. The model of a step is fitted to
most of them, and compared with those that are left out. Further parts of a fit are
measured with 50 columns and 5 classes. Times of more rows and processes than were
measured are extrapolated. `--latency` (seconds of a message) and `--bandwidth` (bytes a
second) replace those of an all-reduce between two processes of this machine.
"""

from benchmarks.common.fresh_process import in_fresh_process
from benchmarks.common.rounds import Results
from benchmarks.speed import scaling_report
from benchmarks.speed.command_line import make_speed_parser, parse_speed_args
from benchmarks.speed.distributed import SIZES
from benchmarks.speed.scaling_fits import fit_by_processes, fit_rows, measure_map
from benchmarks.speed.scaling_settings import LARGE, LEFT_OUT, SETTINGS
from benchmarks.speed.step_times import measure_all_reduce

MODULE = "benchmarks.speed.scaling"
COLUMNS = 50
N_STEPS, N_LARGE_STEPS = 30, 12
ROWS = [50_000, 200_000]
VIEWS = [
    "unscaled",
    "min-max",
    "ranks",
    "pca-4",
    "pca-8",
    "svm",
    "forest",
    "linear-generative",
]
VIEW_ROWS, NEW_ROWS = 10_000, 4000
FITS = [2500, 5000, 10_000]
MAPS = [200_000]


def step_seconds(names, n_steps):
    """Return the seconds of a step in settings, by their names."""
    from benchmarks.speed import step_times

    settings = SETTINGS | LEFT_OUT | LARGE
    seconds = step_times.step_seconds([settings[name] for name in names], n_steps)
    return dict(zip(names, seconds, strict=True))


def draw_seconds():
    """Return the seconds of a normal draw."""
    from benchmarks.speed import step_times

    return {"seconds": step_times.draw_seconds()}


def measure(results, args):
    """Measure the groups that are asked for."""
    names, large, n_large = [*SETTINGS, *LEFT_OUT], [*LARGE], N_LARGE_STEPS
    n_steps, rows, views = N_STEPS, ROWS, VIEWS
    view_rows, new_rows, fits, maps = VIEW_ROWS, NEW_ROWS, FITS, MAPS
    distributed = SIZES
    if args.quick:
        n_steps, large, rows = 3, large[2:3], [2000, 4000]
        views, view_rows, new_rows = VIEWS[:2], 400, 100
        fits, maps = [500, 1000], [2000]
        distributed = {"small batches": SIZES["small batches"]}
    times = "benchmarks.speed.step_times"
    groups = {
        "steps": (
            {
                "steps": lambda r: in_fresh_process(
                    f"{MODULE}:step_seconds", names=names, n_steps=n_steps
                )
            },
            args.rounds,
            {"settings": SETTINGS | LEFT_OUT, "left out": [*LEFT_OUT]},
        ),
        "large steps": (
            {
                "steps": lambda r: in_fresh_process(
                    f"{MODULE}:step_seconds", names=large, n_steps=n_large
                )
            },
            2,
            {
                "settings": {name: LARGE[name] for name in large},
                "left out": large[2:],
            },
        ),
        "draws": (
            {"draws": lambda r: in_fresh_process(f"{MODULE}:draw_seconds")},
            args.rounds,
            {},
        ),
        "all-reduce": ({"bytes": lambda r: measure_all_reduce()}, args.rounds, {}),
        "rows": (
            {
                f"{n}": lambda r, n=n: in_fresh_process(
                    f"{times}:row_seconds", n_rows=n, columns=COLUMNS, batch_size=1024
                )
                for n in rows
            },
            args.rounds,
            {"rows": rows, "columns": COLUMNS},
        ),
        "views": (
            {
                name: lambda r, name=name: in_fresh_process(
                    f"{times}:view_seconds",
                    name=name,
                    n_rows=view_rows,
                    columns=COLUMNS,
                    n_new=new_rows,
                )
                for name in views
            },
            1,
            {"rows": view_rows, "new rows": new_rows, "columns": COLUMNS},
        ),
        "fits": (
            {f"{n}": lambda r, n=n: fit_rows(n, COLUMNS) for n in fits},
            1,
            {"rows": fits, "columns": COLUMNS},
        ),
        "processes": (
            {
                f"{name}, {w}": lambda r, name=name, w=w: fit_by_processes(name, w)
                for name in distributed
                for w in (1, 2)
            },
            args.rounds,
            {"settings": distributed},
        ),
        "maps": (
            {f"{n}": lambda r, n=n: measure_map(n, COLUMNS) for n in maps},
            1,
            {"rows": maps, "columns": COLUMNS},
        ),
    }
    for group, (candidates, rounds, info) in groups.items():
        if args.only is None or group in args.only:
            results.interleave(group, candidates, rounds, info=info)


def main(argv=None):
    """Measure, fit the model, and print tables and figures."""
    parser = make_speed_parser("scaling", __doc__, rounds=3)
    parser.add_argument("--report", action="store_true", help="print stored results")
    parser.add_argument("--only", nargs="+", metavar="GROUP", help="groups to measure")
    parser.add_argument("--latency", type=float, help="seconds of a message")
    parser.add_argument("--bandwidth", type=float, help="bytes a second")
    args = parse_speed_args(parser, argv)
    results = Results("scaling", quick=args.quick, resume=args.resume)
    if not args.report:
        measure(results, args)
    scaling_report.report(results, args.latency, args.bandwidth)
    if not args.report:
        print(f"Written to {results.path.name}.")


if __name__ == "__main__":
    main()
