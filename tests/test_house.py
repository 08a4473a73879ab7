"""The house: imports go down the stairs, and what is public is what is exported."""

import ast
import importlib
from pathlib import Path

import pytest

import sk_ssvae

HOUSE = Path(sk_ssvae.__file__).parent


def room_of(path):
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


ROOMS = sorted({room_of(path) for path in HOUSE.rglob("*.py")} - {""})

FLOORS = [
    {"persistence", "persistence.files", "turns"},
    {"randomness", "chunks", "heap", "threads", "layout", "frames", "borrowing"},
    {"likelihoods.base", "own_networks", "markers", "forms"},
    {
        "likelihoods.normal",
        "likelihoods.bernoulli",
        "likelihoods.categorical",
        "likelihoods.counts",
        "likelihoods.choice",
    },
    {"likelihoods.product"},
    {"likelihoods"},
    {"labels", "columns", "networks", "inputs", "batches", "teachers", "tables"}
    | {"weights"}
    | {
        "devices",
        "doc_links",
        "tasks",
        "marginalization",
        "optimizers",
        "divergence",
        "class_shares",
        "discriminants",
        "network_choice",
    },
    {
        "bounds",
        "module_parameters",
        "kinds",
        "teacher_rows",
        "spreading",
        "linear_generative",
        "opinions",
        "model_selection.masking",
        "persistence.codec",
        "model_selection.scorers",
        "model_selection.dealing",
    },
    {"model_selection.folds", "model_selection.shuffles"},
    {"model_selection"},
    {"calibration"},
    {"models.base"},
    {"models.m1", "models.m2", "models.auxiliary"},
    {"models.stacked"},
    {"models"},
    {"objective", "bound_terms", "inference"},
    {"compilation", "unsupervised"},
    {"net", "views"},
    {"checkpoints"},
    {"training", "repertoire"},
    {"fitted"},
    {"fitting", "predictive", "generative", "pool"},
    {"persistence.saving", "teaching"},
    {"persistence.plain"},
    {"classifier", "vae"},
    {"loading", "exporting"},
    {"display.canvas", "display.asking"},
    {"display.images"},
    {"display.latent_space", "display.samples", "display.training"}
    | {"display.traversal"},
    {"display"},
]
"""Rooms from the ground up. A room imports from floors below its own, never beside."""


def imports_of(room):
    path = HOUSE.joinpath(*room.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "sk_ssvae":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("sk_ssvae."):
            yield node.module.removeprefix("sk_ssvae.")


def test_every_room_has_a_floor():
    assert sorted(set().union(*FLOORS)) == ROOMS
    assert sum(map(len, FLOORS)) == len(ROOMS)


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
