"""Size and shape of the package: modules, layers, imports, longest file and function.

    python -m benchmarks reliability.structure
    python -m benchmarks reliability.structure path/to/another/checkout

Layers are counted from the imports: a module is one layer above the highest one that it
imports from.
"""

import ast
from functools import cache
from pathlib import Path

from benchmarks.common.command_line import make_parser

PACKAGE = "sk_ssvae"


def module_name(path, root):
    """Return the dotted name of a module from the path of its file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported(tree, modules):
    """Yield the modules of the package that a module imports from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in modules else node.module


def code_lines(function):
    """Count the lines of a function without its docstring."""
    doc = ast.get_docstring(function, clean=False)
    return (
        function.end_lineno
        - function.lineno
        + 1
        - (len(doc.splitlines()) if doc else 0)
    )


def measures(root):
    """Return the measures of the package in a checkout, by name."""
    paths = sorted((root / PACKAGE).rglob("*.py"))
    sources = {module_name(p, root): p.read_text() for p in paths}
    trees = {name: ast.parse(text) for name, text in sources.items()}
    graph = {
        name: {m for m in imported(tree, trees) if m != name}
        for name, tree in trees.items()
    }

    @cache
    def layer(name):
        below = {m for m in graph[name] if not name.startswith(f"{m}.")}
        return 1 + max((layer(m) for m in below if m in graph), default=0)

    def package(name):
        return name.split(".")[1] if name.count(".") else ""

    between = {
        (package(a), package(b))
        for a, targets in graph.items()
        for b in targets
        if package(a) != package(b)
    }
    functions = [
        (code_lines(node), f"{name}.{node.name}")
        for name, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    files = [(len(text.splitlines()), name) for name, text in sources.items()]
    n_files = sum(not p.name.startswith("__") for p in paths)
    entries = [p.name for p in (root / PACKAGE).iterdir() if p.name != "__pycache__"]
    return {
        "entries of the package folder": len(entries),
        "modules": n_files,
        "lines": sum(n for n, _ in files),
        "layers of modules": max(layer(name) for name in graph),
        "imports between modules": sum(map(len, graph.values())),
        "arrows between packages": len(between),
        "longest file": "{} ({})".format(*max(files)),
        "longest function, without docstring": "{} ({})".format(*max(functions)),
        "files of more than 300 lines": sum(n > 300 for n, _ in files),
    }


def main(argv=None):
    """Print the measures."""
    parser = make_parser("reliability.structure", __doc__)
    parser.add_argument("checkout", nargs="?", default=".", help="default: this one")
    for name, value in measures(Path(parser.parse_args(argv).checkout)).items():
        print(f"{name:38s} {value}")


if __name__ == "__main__":
    main()
