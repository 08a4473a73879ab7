"""Private names of other packages are used in the modules for them only."""

import ast
import importlib
from pathlib import Path

import pytest
from private_names import OWN, defined_names, is_private, private_names

import sk_ssvae

PACKAGE = Path(sk_ssvae.__file__).parent
DEVELOPER_GUIDE = Path(__file__).parents[2] / "docs" / "developing.md"
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text()
    for path in sorted(PACKAGE.rglob("*.py"))
}
EXEMPT = {"utils/sklearn_private.py", "utils/torch_private.py"}
OWN_NAMES = {
    name
    for path, source in SOURCES.items()
    if path not in EXEMPT
    for name in defined_names(ast.parse(source))
}

OVERRIDDEN = {
    "_default_callbacks",
    "_doc_link_module",
    "_doc_link_template",
    "_load_from_state_dict",
    "_set_training",
    "_validate_params",
}
"""Private attributes of base classes in other packages that this package overrides."""

EXPECTED_BY_SCIKIT_LEARN = {
    "_accept_sample_weight",
    "_n_features_out",
    "_parameter_constraints",
}
"""Private attributes that scikit-learn reads, and whose base classes lack them."""


@pytest.mark.parametrize("path", sorted(set(SOURCES) - EXEMPT))
def test_modules_use_no_private_names_of_other_packages(path):
    assert private_names(SOURCES[path], OWN_NAMES, OVERRIDDEN) == []


@pytest.mark.parametrize("path", sorted(EXEMPT))
def test_the_modules_for_private_names_are_used_and_explain_each_name(path):
    tree = ast.parse(SOURCES[path])
    documented = ast.get_docstring(tree)
    used = private_names(SOURCES[path], set(defined_names(tree)))
    assert used
    for name in used:
        last = [part for part in name.split(".") if is_private(part)][-1]
        assert f"{last}`` (" in documented, name


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch._dynamo", ["torch._dynamo"]),
        ("import sklearn.utils._indexing as i", ["sklearn.utils._indexing"]),
        ("from torch._C import Generator", ["torch._C.Generator"]),
        ("from sklearn.base import _fit_context as f", ["sklearn.base._fit_context"]),
        ("def f():\n    from skorch import _x", ["skorch._x"]),
        ("import torch\ntorch._foreach_add([], 1)", ["torch._foreach_add"]),
        ("import numpy as np\nnp.lib._x.y", ["numpy.lib._x"]),
        (
            "from torch import nn\nx = nn.modules.batchnorm._NormBase",
            ["torch.nn.modules.batchnorm._NormBase"],
        ),
        ("import sys\nsys._current_frames()", ["sys._current_frames"]),
        ("class A(B):\n    def f(self):\n        self._theirs()", ["_theirs"]),
        ("def f(x):\n    return x.y._theirs", ["_theirs"]),
        ("getattr(x, '_theirs', None)", ["_theirs"]),
        ("hasattr(x, '_theirs')", ["_theirs"]),
        ("options._hook()", ["_hook"]),
        ("class A(B):\n    def f(self):\n        super()._hook()", ["_hook"]),
        ("class A(B):\n    def _hook(self):\n        x._hook()", ["_hook"]),
        # What may stay:
        ("class A(B):\n    def _hook(self):\n        super()._hook()", []),
        ("from sk_ssvae.utils import _x\nimport sk_ssvae._y", []),
        ("self._ours()\ngetattr(x, '_ours')", []),
        ("import sys\nsys._getframe(1)", []),
        ("targets._replace(x=1)\nLoss._fields", []),
        ("import torch\ntorch.__version__\nfrom numpy import __version__", []),
        ("for _, x in y: pass", []),
        ("self._theirs = 1", []),
    ],
)
def test_the_check_finds_private_names(source, expected):
    assert private_names(source, {"_ours", "_hook"}, {"_hook"}) == expected


def private_attributes_of_classes():
    """Yield classes of the package and the private names that their bodies define."""
    for path, source in SOURCES.items():
        name = f"{OWN}/{path}".removesuffix(".py").removesuffix("/__init__")
        module = importlib.import_module(name.replace("/", "."))
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef):
                names = set()
                for item in node.body:
                    targets = getattr(item, "targets", [getattr(item, "target", item)])
                    for target in targets:
                        text = getattr(target, "id", getattr(target, "name", ""))
                        names |= {text} if is_private(text) else set()
                yield getattr(module, node.name), names


def test_overridden_private_attributes_are_known_and_documented():
    overridden, others = set(), set()
    for kind, names in private_attributes_of_classes():
        bases = [b for b in kind.__mro__[1:] if b.__module__.split(".")[0] != OWN]
        inherited = {name for base in bases for name in vars(base)}
        overridden |= names & inherited
        others |= names
    assert overridden - {"_parameter_constraints"} == OVERRIDDEN
    assert others >= EXPECTED_BY_SCIKIT_LEARN
    guide = DEVELOPER_GUIDE.read_text()
    for name in OVERRIDDEN | EXPECTED_BY_SCIKIT_LEARN:
        assert f"`{name}`" in guide
