"""The fuzzer of the whole estimator, for thousands of cases: see reliability.py."""

import hashlib
import random
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import fields, replace
from importlib import metadata

from measure import HERE, table

sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

import fuzzing
from fuzz_calls import family

PACKAGES = ("numpy", "pandas", "polars", "scikit-learn", "scipy", "skorch", "torch")

LIMIT = 120
"""Seconds that a case may take."""

EVERY = 25
"""Cases after which what was found is written."""


def add_arguments(parser):
    """Of this command."""
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run the case of this number alone")
    parser.add_argument("--shrink", action="store_true", help="make violations small")


def chosen_cases(n, seed):
    """As many distinct cases, the same for the same seed."""
    choose, found = random.Random(seed).choice, {}
    while len(found) < n:
        case = fuzzing.make_case(choose)
        found.setdefault(repr(case), case)
    return list(found.values())


def too_long(*_):
    """For the alarm."""
    raise TimeoutError(f"took more than {LIMIT} seconds")


def outcome(case):
    """Run a case: whether it was fitted, refusals and complaints."""
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    try:
        fitted, watch = fuzzing.run(case)
        return fitted, watch.refusals, watch.complaints
    except Exception:
        last = traceback.format_exc().splitlines()[-3:]
        return False, [], ["the fuzzer itself: " + " | ".join(last)]
    finally:
        signal.alarm(0)


def smaller(case):
    """Find a case that breaks the law in the same way, with less that is odd."""

    def ways(other):
        try:
            return {family(complaint) for complaint in fuzzing.run(other)[1].complaints}
        except Exception:
            return set()

    way = ways(case)
    for f in fields(case):
        plain = replace(case, **{f.name: fuzzing.default_of(f.name)})
        if ways(plain) & way:
            case = plain
            continue
        value = getattr(case, f.name)
        for key in list(value) if isinstance(value, dict) else ():
            fewer = {k: v for k, v in getattr(case, f.name).items() if k != key}
            plain = replace(case, **{f.name: fewer})
            if ways(plain) & way:
                case = plain
    return case


def run(args, found, keep):
    """Run what the file has not."""
    cases = chosen_cases(args.cases, args.seed)
    if args.only is not None:
        cases = cases[args.only : args.only + 1]
        print(repr(cases[0]), *outcome(cases[0])[1:], sep="\n")
        return
    digest = hashlib.sha256("\n".join(map(repr, cases)).encode()).hexdigest()
    if found.get("cases_digest") != digest:
        found = {
            "command": f"python benchmarks/reliability.py fuzz --cases {args.cases} "
            f"--seed {args.seed}",
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "cases_digest": digest,
            "done": 0,
            "seconds": 0.0,
            "fitted": 0,
            "refused": 0,
            "calls_refused": 0,
            "refusals": {},
            "violations": [],
        }
    seen = set()
    for i, case in enumerate(cases[found["done"] :], start=found["done"]):
        start = time.perf_counter()
        fitted, refusals, complaints = outcome(case)
        found["seconds"] += time.perf_counter() - start
        found["done"] = i + 1
        found["fitted" if fitted else "refused"] += 1
        found["calls_refused"] += len(refusals)
        counts = Counter(found["refusals"])
        counts.update(f"{name}: {family}" for _, name, family in refusals)
        found["refusals"] = dict(counts.most_common())
        if complaints:
            ways = {family(complaint) for complaint in complaints}
            anew = args.shrink and ways - seen and "itself" not in complaints[0]
            small = smaller(case) if anew else case
            seen |= ways
            found["violations"].append(
                {"case": i, "what": complaints, "snippet": fuzzing.snippet(small)}
            )
            print(f"case {i}: {small!r}", *complaints, sep="\n    ", flush=True)
        if (i + 1) % EVERY == 0 or i + 1 == len(cases):
            keep(found)
            print(f"{i + 1} of {len(cases)} cases", file=sys.stderr, flush=True)


def totals(found):
    """Count what was tried, and what broke the law."""
    yield "odd uses", found["done"], len(found["violations"])


def report(found):
    """Print what was found."""
    print(
        f"{found['done']} cases in {found['seconds']:.0f} s: {found['fitted']} were "
        f"fitted, {found['refused']} refused, {len(found['violations'])} broke the law."
        f" {found['calls_refused']} calls were refused:\n"
    )
    rows = sorted(found["refusals"].items(), key=lambda pair: -pair[1])
    table(["calls", "exception and message"], [[n, kind] for kind, n in rows])
    for violation in found["violations"]:
        print(violation["snippet"], *violation["what"], sep="\n    ", end="\n\n")
