"""Print what the reliability benchmarks found, and the totals.

python -m benchmarks reliability.report
"""

from pathlib import Path

from benchmarks.common.command_line import make_parser
from benchmarks.common.paths import RESULTS
from benchmarks.common.result_files import read_json, write_json
from benchmarks.common.tables import print_table

RELIABILITY = RESULTS / "reliability.json"
MB = 1e6

SURVIVED = ("clear error", "as before", "whole", "error, ", "no error, new file")
"""Beginnings of the outcomes of files in which nothing is lost."""

COUNTERS = ("parts ", "files that stay")
"""Beginnings of counts that are not outcomes."""


def make_reliability_parser(name, description):
    """Return an argument parser with the file of results."""
    parser = make_parser(f"reliability.{name}", description)
    parser.add_argument("--out", type=Path, default=RELIABILITY)
    return parser


def save_result(path, name, result):
    """Write the result of one benchmark; the others in the file are kept."""
    write_json(path, read_json(path) | {name: result})


def print_fuzz(result):
    """Print how many cases of the fuzzer ended how, and its violations."""
    print(
        f"{result['done']} cases in {result['seconds']:.0f} s: {result['fitted']} were "
        f"fitted, {result['refused']} refused, {len(result['violations'])} broke the "
        f"law. {result['calls_refused']} calls were refused:\n"
    )
    rows = sorted(result["refusals"].items(), key=lambda pair: -pair[1])
    print_table(["calls", "exception and message"], [[n, kind] for kind, n in rows])
    for violation in result["violations"]:
        print(violation["snippet"], *violation["what"], sep="\n    ", end="\n\n")


def fuzz_totals(result):
    """Yield what was tried, how often, and how often it failed."""
    yield "odd uses", result["done"], len(result["violations"])


def print_training(result):
    """Print the outcomes of faults in training."""
    rows = [
        [part, outcome, n]
        for part in ("once", "always")
        for outcome, n in result[part].items()
    ]
    outcome = "same bits" if result["same bits"] else "LOST: other answers"
    print_table(
        ["fault", "what came of it", "times"],
        [*rows, ["killed", outcome, result["kills"]]],
    )


def training_totals(result):
    """Yield what was tried, how often, and how often it failed."""
    for part, name in (("once", "one step spoilt"), ("always", "all steps spoilt")):
        lost = sum(n for outcome, n in result[part].items() if "LOST" in outcome)
        yield f"fits, {name}", sum(result[part].values()), lost
    yield "processes killed in training", result["kills"], int(not result["same bits"])


def _parts_by_file(result):
    return {name: parts for name, parts in result.items() if name != "versions"}


def print_files(result):
    """Print the outcomes of damaged files and failed writes, most frequent first."""
    for name, parts in _parts_by_file(result).items():
        rows = [
            [part, outcome, n]
            for part, outcomes in parts.items()
            for outcome, n in sorted(outcomes.items(), key=lambda pair: -pair[1])
        ]
        print_table([name, "what came of it", "times"], rows)


def files_totals(result):
    """Yield what was tried, how often, and how often a file was lost."""
    for name, parts in _parts_by_file(result).items():
        for part, outcomes in parts.items():
            faults = {k: n for k, n in outcomes.items() if not k.startswith(COUNTERS)}
            lost = sum(n for k, n in faults.items() if not k.startswith(SURVIVED))
            yield f"{name}: {part}", sum(faults.values()), lost


def print_concurrency(result):
    """Print the totals, and the resources that the process holds."""
    totals = [*map(list, concurrency_totals(result))]
    print_table(["", "tried", "not those of one thread"], totals)
    if "rounds" in result:
        rounds = result["rounds"]
        before, after = rounds["before"], rounds["after"]
        rows = [
            ["memory, MB", *(f"{one['bytes'] / MB:.1f}" for one in (before, after))],
            *([k, before[k], after[k]] for k in ("threads", "files", "children")),
        ]
        header = ["held by the process", "before", f"after {rounds['n']} rounds"]
        print_table(header, rows)


def concurrency_totals(result):
    """Yield what was tried, and how often it differed from a single thread."""
    answers, fits = result["answers"], result["fits"]
    calls = sum(one["calls"] for one in answers)
    wrong = sum(sum(one["wrong"].values()) for one in answers)
    yield f"calls from {result['threads']} threads, of one classifier", calls, wrong
    beside = sum(one["fits beside"] for one in answers)
    yield "fits beside them", beside, sum(one["wrong fits"] for one in answers)
    for backend, n_wrong in fits["wrong"].items():
        yield f"fits at once, {backend}", fits["fits"], n_wrong


REPORTS = {
    "fuzz": (print_fuzz, fuzz_totals),
    "training": (print_training, training_totals),
    "files": (print_files, files_totals),
    "concurrency": (print_concurrency, concurrency_totals),
}
"""By benchmark, functions that print the result and yield its totals."""


def print_result(name, result):
    """Print the result of one benchmark."""
    REPORTS[name][0](result)
    print()


def main(argv=None):
    """Print all results in the file, and the totals."""
    parser = make_reliability_parser("report", __doc__)
    results = read_json(parser.parse_args(argv).out)
    results = {name: results[name] for name in REPORTS if name in results}
    for name, result in results.items():
        print_result(name, result)
    rows = [
        total for name, result in results.items() for total in REPORTS[name][1](result)
    ]
    print_table(["", "tried", "lost"], rows)


if __name__ == "__main__":
    main()
