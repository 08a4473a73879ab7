"""The examples that the README and the guide run as scripts."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import pytest

ROOT = Path(__file__).parents[2]


def run_example(name, folder):
    """Run an example in a folder, without a display, and return what it prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "examples" / f"{name}.py"],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_place_in_the_gallery():
    tree = ast.parse((ROOT / "docs" / "site_pages.py").read_text())
    (order,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES"
    )
    files = (ROOT / "docs" / "examples").glob("plot_*.py")
    assert sorted(order) == sorted(path.stem.removeprefix("plot_") for path in files)


@pytest.mark.slow
def test_the_digits_example_prints_accuracies_and_saves_a_figure(tmp_path):
    start = time.perf_counter()
    output = run_example("plot_digits", tmp_path)
    seconds = time.perf_counter() - start
    assert matplotlib.image.imread(tmp_path / "digits.png").std() > 0.1
    accuracy = {
        name: [float(value) for value in values.split()]
        for name, values in re.findall(r"^(.*?)  +((?: +0\.\d{3}){3})$", output, re.M)
    }
    ssvae, spreading, svc = (
        accuracy.pop(name)
        for name in (
            "SSVAEClassifier",
            "LabelSpreading (knn, 7)",
            "SVC, labelled rows only",
        )
    )
    assert not accuracy
    for ours, *others in zip(ssvae, spreading, svc, strict=True):
        assert ours > max(others)
    assert seconds < 60


@pytest.mark.slow
def test_the_latent_size_example_compares_two_criteria(tmp_path):
    output = run_example("plot_latent_size", tmp_path)
    accuracy = [float(value) for value in re.findall(r"accuracy (0\.\d{3})", output)]
    assert len(accuracy) == 3
    assert accuracy[2] == max(accuracy)
    assert min(accuracy) > 0.8


@pytest.mark.slow
def test_the_example_of_views_improves_the_pool(tmp_path):
    output = run_example("plot_views", tmp_path)
    built_in, own = (
        [float(value) for value in line.split()[-3:]] for line in output.splitlines()
    )
    assert sum(own) > sum(built_in)


def test_the_readme_contains_the_commands_that_run_the_example_and_the_tests():
    text = (ROOT / "README.md").read_text()
    for marker, ending in (
        ("run", ".venv/bin/python docs/examples/plot_digits.py"),
        ("test", ".venv/bin/python -m pytest"),
    ):
        (command,) = re.findall(
            rf"^<!-- {marker} -->\n```sh\n(.*)\n```$", text, re.MULTILINE
        )
        assert command.endswith(ending)
        assert "-c constraints.txt" in command
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in pins
