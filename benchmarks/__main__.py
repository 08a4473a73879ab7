"""List the benchmarks, or run one of them.

python -m benchmarks
python -m benchmarks NAME [options]
python -m benchmarks NAME --help
"""

import argparse
import ast
import importlib
import os
import sys
from pathlib import Path

from benchmarks.common.fresh_process import ONE_THREAD

INSTALL = 'pip install -c constraints.txt -e ".[bench]"'
GROUPS = ("accuracy", "mnist", "speed", "reliability")


def first_line(text):
    """Return the first line of a docstring."""
    return text.partition("\n")[0]


def describe(path):
    """Return the first line of a module's docstring, or None if it has no `main`.

    The module is parsed, not imported: imports take seconds, and some benchmarks need
    packages that are not always installed.
    """
    tree = ast.parse(path.read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if "main" not in [function.name for function in functions]:
        return None
    return first_line(ast.get_docstring(tree))


def find_benchmarks():
    """Return the description of every benchmark, by its name."""
    folder = Path(__file__).parent
    descriptions = {
        f"{group}.{path.stem}": describe(path)
        for group in GROUPS
        for path in sorted((folder / group).glob("[!_]*.py"))
    }
    return {name: line for name, line in descriptions.items() if line is not None}


def print_list(descriptions):
    """Print what each benchmark measures, and its command."""
    for group in GROUPS:
        package = importlib.import_module(f"benchmarks.{group}")
        print(f"{group}: {first_line(package.__doc__)}\n")
        for name, line in descriptions.items():
            if name.startswith(f"{group}."):
                print(f"  {line}\n    python -m benchmarks {name}")
        print()
    print("Options of a benchmark: python -m benchmarks NAME --help")


def main(argv=None):
    """List the benchmarks or run one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="name of a benchmark")
    argv = sys.argv[1:] if argv is None else argv
    name = parser.parse_args(argv[:1]).name
    descriptions = find_benchmarks()
    if name is None:
        print_list(descriptions)
        return
    if name not in descriptions:
        parser.error(
            f"There is no benchmark {name!r}. `python -m benchmarks` lists them."
        )
    if name.startswith("speed."):
        os.environ |= ONE_THREAD  # before numpy and torch are imported
    try:
        importlib.import_module(f"benchmarks.{name}").main(argv[1:])
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"{name} needs the package {error.name}, which is not installed. The extra "
            f"bench has all packages of the benchmarks:\n{INSTALL}"
        ) from None


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as head, has enough. Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
