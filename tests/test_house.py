"""The house: imports go down the stairs, and what is public is what is exported."""

import ast
import importlib
from pathlib import Path

import pytest

import sk_ssvae

ROOMS = sorted(p.stem for p in Path(sk_ssvae.__file__).parent.glob("[a-z]*.py"))

FLOORS = [
    {"randomness", "chunks", "heap", "threads"},
    {"labels", "columns", "networks", "likelihoods", "batches", "teachers"}
    | {
        "devices",
        "tasks",
        "marginalization",
        "optimizers",
        "class_shares",
        "discriminants",
    },
    {"model", "spreading", "linear_generative", "opinions"},
    {"objective", "inference"},
    {"compilation", "unsupervised"},
    {"net", "views"},
    {"training", "repertoire"},
    {"fitted"},
    {"predictive", "generative", "pool"},
    {"classifier"},
]
"""Rooms from the ground up. A room imports from floors below its own, never beside."""


def imports_of(room):
    path = Path(sk_ssvae.__file__).parent / f"{room}.py"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "sk_ssvae":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("sk_ssvae."):
            yield node.module.removeprefix("sk_ssvae.")


def test_every_room_has_a_floor():
    assert sorted(set().union(*FLOORS)) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down(room):
    floor = next(i for i, rooms in enumerate(FLOORS) if room in rooms)
    below = set().union(*FLOORS[:floor])
    assert set(imports_of(room)) <= below


@pytest.mark.parametrize("room", ["__init__", *ROOMS])
def test_what_is_exported_exists(room):
    name = "sk_ssvae" if room == "__init__" else f"sk_ssvae.{room}"
    module = importlib.import_module(name)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)
