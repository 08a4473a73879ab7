"""Fuzzing: thousands of unusual uses of the classifier.

    python -m benchmarks reliability.fuzz --cases 2000 --seed 0

Draws random rows, labels, weights, parameters and calls (``tests/helpers/fuzzing.py``).
Each case must end in valid output, or in an error that names its cause, and must not
change arguments, parameters or global state. The result is written every 25 cases, and
a run that was interrupted continues from there.
"""

import hashlib
import random
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import fields, replace

import fuzzing
from fuzz_calls import message_kind

from benchmarks.common.result_files import read_json
from benchmarks.common.versions import package_versions
from benchmarks.reliability.report import (
    make_reliability_parser,
    print_result,
    save_result,
)

PACKAGES = ("numpy", "pandas", "polars", "scikit-learn", "scipy", "skorch", "torch")

TIME_LIMIT = 120
"""Seconds that a case may take."""

SAVE_EVERY = 25
"""Number of cases after which the result is written."""


def draw_cases(n, seed):
    """Return `n` distinct cases, the same for the same seed."""
    choose, cases = random.Random(seed).choice, {}
    while len(cases) < n:
        case = fuzzing.make_case(choose)
        cases.setdefault(repr(case), case)
    return list(cases.values())


def raise_timeout(*_):
    """Handle the alarm signal."""
    raise TimeoutError(f"took more than {TIME_LIMIT} seconds")


def run_case(case):
    """Run a case; return whether it was fitted, refused calls, and violations."""
    signal.signal(signal.SIGALRM, raise_timeout)
    signal.alarm(TIME_LIMIT)
    try:
        fitted, monitor = fuzzing.run(case)
        return fitted, monitor.errors, monitor.violations
    except Exception:
        last = traceback.format_exc().splitlines()[-3:]
        return False, [], ["the fuzzer itself: " + " | ".join(last)]
    finally:
        signal.alarm(0)


def kinds_of(violations):
    """Return the kinds of violations, without values."""
    return {message_kind(violation) for violation in violations}


def shrink(case):
    """Return a simpler case with a violation of the same kind."""

    def kinds(other):
        try:
            return kinds_of(fuzzing.run(other)[1].violations)
        except Exception:
            return set()

    expected = kinds(case)
    for f in fields(case):
        simpler = replace(case, **{f.name: fuzzing.default_of(f.name)})
        if kinds(simpler) & expected:
            case = simpler
            continue
        value = getattr(case, f.name)
        for key in list(value) if isinstance(value, dict) else ():
            fewer = {k: v for k, v in getattr(case, f.name).items() if k != key}
            simpler = replace(case, **{f.name: fewer})
            if kinds(simpler) & expected:
                case = simpler
    return case


def empty_result(args, digest):
    """Return a result without cases."""
    return {
        "command": f"python -m benchmarks reliability.fuzz --cases {args.cases} "
        f"--seed {args.seed}",
        "versions": package_versions(PACKAGES),
        "cases_digest": digest,
        "done": 0,
        "seconds": 0.0,
        "fitted": 0,
        "refused": 0,
        "calls_refused": 0,
        "refusals": {},
        "violations": [],
    }


def run_cases(cases, result, args):
    """Run the cases that the result lacks, and add them to it."""
    seen = set()
    for i, case in enumerate(cases[result["done"] :], start=result["done"]):
        start = time.perf_counter()
        fitted, refusals, violations = run_case(case)
        result["seconds"] += time.perf_counter() - start
        result["done"] = i + 1
        result["fitted" if fitted else "refused"] += 1
        result["calls_refused"] += len(refusals)
        counts = Counter(result["refusals"])
        counts.update(f"{name}: {kind}" for _, name, kind in refusals)
        result["refusals"] = dict(counts.most_common())
        if violations:
            kinds = kinds_of(violations)
            is_new = args.shrink and kinds - seen and "itself" not in violations[0]
            small = shrink(case) if is_new else case
            seen |= kinds
            result["violations"].append(
                {"case": i, "what": violations, "snippet": fuzzing.snippet(small)}
            )
            print(f"case {i}: {small!r}", *violations, sep="\n    ", flush=True)
        if (i + 1) % SAVE_EVERY == 0 or i + 1 == len(cases):
            save_result(args.out, "fuzz", result)
            print(f"{i + 1} of {len(cases)} cases", file=sys.stderr, flush=True)


def main(argv=None):
    """Run the cases that are not in the file, and print the result."""
    parser = make_reliability_parser("fuzz", __doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run only the case of this number")
    parser.add_argument(
        "--shrink", action="store_true", help="simplify cases with violations"
    )
    args = parser.parse_args(argv)
    cases = draw_cases(args.cases, args.seed)
    if args.only is not None:
        case = cases[args.only]
        print(repr(case), *run_case(case)[1:], sep="\n")
        return
    digest = hashlib.sha256("\n".join(map(repr, cases)).encode()).hexdigest()
    result = read_json(args.out).get("fuzz", {})
    if result.get("cases_digest") != digest:
        result = empty_result(args, digest)
    run_cases(cases, result, args)
    print_result("fuzz", result)


if __name__ == "__main__":
    main()
