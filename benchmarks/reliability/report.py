"""What goes wrong, looked for at length: a command for each kind of trouble.

    python benchmarks/reliability.py fuzz --cases 2000 --seed 0
    python benchmarks/reliability.py training
    python benchmarks/reliability.py files
    python benchmarks/reliability.py concurrency
    python benchmarks/reliability.py --report

fuzz: random rows, labels, weights, parameters and calls (tests/fuzzing.py). Each case
must end in valid output or in a refusal that names its cause, and leave no trace.
training: steps that diverge, processes that are killed. files: damage, and writing that
goes wrong. concurrency: many threads, many fits.

A command is a module ``reliability_NAME.py`` here, listed in `COMMANDS`, with four
functions: ``add_arguments(parser)``, ``run(args, found, keep)``, where `found` is what
the file has of the command (a dict, empty at first) and ``keep(found)`` writes it,
``report(found)``, which prints it, and ``totals(found)``, which yields what was tried,
how often, and how often something was lost.
"""

import argparse
import importlib
import json
from pathlib import Path

from measure import HERE, table

COMMANDS = ("fuzz", "training", "files", "concurrency")


def main():
    """Run a command, or print what all have found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", action="store_true", help="print what was found")
    out = {"type": Path, "default": HERE / "results" / "reliability.json"}
    parser.add_argument("--out", **out)
    commands = parser.add_subparsers(dest="command")
    rooms = {name: importlib.import_module(f"reliability_{name}") for name in COMMANDS}
    for name, room in rooms.items():
        room.add_arguments(commands.add_parser(name))
    args = parser.parse_args()
    if args.command is None and not args.report:
        parser.error(f"name a command, one of {', '.join(COMMANDS)}, or --report")

    def results():
        return json.loads(args.out.read_text()) if args.out.exists() else {}

    def keep(found):
        everything = results() | {args.command: found}
        args.out.write_text(json.dumps(everything, indent=1) + "\n")

    if args.command is not None:
        rooms[args.command].run(args, results().get(args.command, {}), keep)
    found = results()
    for name in COMMANDS:
        if name in found and (args.report or name == args.command):
            rooms[name].report(found[name])
            print()
    if args.report:
        rows = [total for name in COMMANDS for total in rooms[name].totals(found[name])]
        table(["", "tried", "lost"], rows)


if __name__ == "__main__":
    main()
