"""The architecture: layers, imports, exports, and attributes that stay private."""

import ast
import importlib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sk_ssvae

PACKAGE = Path(sk_ssvae.__file__).parent

LAYERS = [
    {"utils"},
    {"data"},
    {"models", "display", "model_selection"},
    {"training"},
    {"teachers"},
    {"estimators"},
]
"""The packages, lowest layer first. A package imports from lower layers only."""


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in SOURCES.items()}


def imported_modules(name):
    """Yield the modules of the package that a module imports from."""
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sk_ssvae"):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in SOURCES else node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("sk_ssvae"))


def package_of(name):
    return name.split(".")[1] if "." in name else ""


def test_the_package_has_these_entries_only():
    found = {p.name for p in PACKAGE.iterdir() if p.name != "__pycache__"}
    assert found == {"__init__.py", "py.typed"}.union(*LAYERS)


@pytest.mark.parametrize("name", SOURCES)
def test_imports_go_downward(name):
    if name == "sk_ssvae":
        return
    layer = next(i for i, packages in enumerate(LAYERS) if package_of(name) in packages)
    allowed = set().union(*LAYERS[:layer]) | {package_of(name)}
    assert {package_of(found) for found in imported_modules(name)} <= allowed


def test_imports_have_no_circle():
    graph = {name: set(imported_modules(name)) - {name} for name in SOURCES}
    # A package imports its modules, and they need not be ordered against it.
    for name, found in graph.items():
        graph[name] = {m for m in found if not name.startswith(f"{m}.")}
    TopologicalSorter(graph).prepare()  # raises CycleError


def written_private_attributes(tree):
    """Yield names of private attributes that a module assigns, and of its methods."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.AnnAssign | ast.Assign):
                    targets = getattr(item, "targets", None) or [item.target]
                    yield from (t.id for t in targets if isinstance(t, ast.Name))
                elif isinstance(item, ast.FunctionDef):
                    yield item.name


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def test_private_attributes_are_read_where_they_are_written():
    state = {}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if stored and is_private(node.attr):
                state.setdefault(node.attr, set()).add(name)
    wrong = [
        (name, node.attr)
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and node.attr in state
        and node.attr not in set(written_private_attributes(tree))
    ]
    assert wrong == []


@pytest.mark.parametrize("library", ["dask", "h5py", "pyarrow", "zarr"])
def test_optional_libraries_are_imported_in_functions_only(library):
    for name, tree in TREES.items():
        for node in tree.body:
            names = [alias.name for alias in getattr(node, "names", [])]
            imported = [getattr(node, "module", None) or "", *names]
            assert library not in {n.partition(".")[0] for n in imported}, name


@pytest.mark.parametrize("estimator", sk_ssvae.__all__)
def test_estimators_have_at_most_four_base_classes_of_this_package(estimator):
    kind = getattr(sk_ssvae, estimator)
    if not isinstance(kind, type):
        return
    own = [c for c in kind.__mro__[1:] if c.__module__.startswith("sk_ssvae")]
    assert len(own) <= 4


@pytest.mark.parametrize("name", SOURCES)
def test_exported_names_exist(name):
    module = importlib.import_module(name)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)
