"""Find the private names of other packages that a module imports or reads."""

import ast

__all__ = ["DOCUMENTED", "OWN", "defined_names", "is_private", "private_names"]

OWN = "sk_ssvae"

DOCUMENTED = {"sys._getframe", "_asdict", "_fields", "_replace"}
"""Names with an underscore that the Python reference documents; the last three are
those of named tuples."""

GETTERS = {"getattr", "hasattr"}


def is_private(name):
    return name.startswith("_") and not name.endswith("__") and name != "_"


def defined_names(tree):
    """Yield all names that a module defines or assigns, attributes included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def private_names(source, own_names=(), hooks=()):
    """Return the private names of other packages that a module uses, sorted.

    Parameters
    ----------
    source : str
        Source of the module.
    own_names : collection of str
        Names that the package defines. Attributes of these names are its own.
    hooks : collection of str
        Methods of other packages that the package overrides. Only a class that
        overrides one may call it, of `self` and of `super()`.
    """
    tree = ast.parse(source)
    foreign = {}  # name in the module -> what it is, for imports from other packages
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.split(".")[0]
                if root != OWN:
                    full = alias.name if alias.asname else root
                    foreign[alias.asname or root] = full
                    if any(map(is_private, alias.name.split("."))):
                        found.add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level or node.module.split(".")[0] == OWN:
                continue
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                foreign[alias.asname or alias.name] = full
                if any(map(is_private, full.split("."))):
                    found.add(full)
    allowed = (set(own_names) | DOCUMENTED) - set(hooks)
    found |= set(_read_attributes(tree, foreign, allowed, set()))
    return sorted(found - DOCUMENTED)


def _read_attributes(node, foreign, allowed, methods):
    """Yield private attributes of other packages, by their full name where known."""
    if isinstance(node, ast.ClassDef):
        methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        path = _imported_path(node, foreign)
        if path is not None:
            yield path
        elif isinstance(node.ctx, ast.Load) and node.attr not in allowed:
            own_method = ast.unparse(node.value) in ("self", "super()")
            if not (own_method and node.attr in methods):
                yield node.attr
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in GETTERS:
        name = node.args[1]
        value = name.value if isinstance(name, ast.Constant) else ""
        if is_private(value) and value not in allowed:
            yield value
    for child in ast.iter_child_nodes(node):
        yield from _read_attributes(child, foreign, allowed, methods)


def _imported_path(node, foreign):
    """Return the full name of an attribute of something imported, or None."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in foreign:
        return ".".join([foreign[node.id], *reversed(parts)])
    return None
