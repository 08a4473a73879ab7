"""Code in the README and on the pages of the guide runs, page by page, as it stands."""

import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import matplotlib as mpl
import pytest

from sk_ssvae.models import MODELS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    """Line and code of the blocks of Python."""
    text = (ROOT / page).read_text()
    return [
        (text[: match.start(2)].count("\n"), match[2])
        for match in BLOCK.finditer(text)
        if match[1] == "python"
    ]


WITH_CODE = [page for page in PAGES if blocks(page)]


def test_there_is_code():
    assert len(WITH_CODE) >= 10
    assert {"README.md", "docs/index.md", "docs/start.md"} <= set(WITH_CODE)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page):
    languages = {match[1] for match in BLOCK.finditer((ROOT / page).read_text())}
    assert languages <= {"python", "sh", ""}
    # What is not fenced as Python is no Python in disguise.
    for match in BLOCK.finditer((ROOT / page).read_text()):
        if match[1] == "":
            assert "import " not in match[2]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg:UserWarning")
@pytest.mark.parametrize("page", WITH_CODE)
def test_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    before = dict(MODELS)
    namespace = {"__name__": "documented"}
    for line, code in blocks(page):
        # Blank lines keep the line numbers of tracebacks those of the page.
        whole = compile("\n" * line + code, ROOT / page, "exec")
        if "from distributed " in code and find_spec("distributed") is None:
            continue  # the extra dask is not installed; tests/test_dask.py runs it
        exec(whole, namespace)
    for name in set(MODELS) - set(before):
        del MODELS[name]
    if page == "docs/saving.md":
        assert {"iris.ssvae", "iris.onnx", "training.ssvae"} <= set(os.listdir())


def test_the_readme_names_tests_that_are_there():
    named = re.findall(r"\[`(test_\w+)`\]\((tests/\w+\.py)\)", README)
    assert len(named) >= 15
    for name, path in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(), name
    table = README.split("| | shown by |")[1].split("\n\n")[0].splitlines()[2:]
    assert all("](tests/" in row for row in table)


def test_badges_are_true():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    badges = re.findall(r"img\.shields\.io/badge/(\S+)-\w+\)", README)
    python, sklearn, license_ = badges
    assert project["requires-python"] == ">=" + python.removeprefix("python-")[:-1]
    assert "scikit-learn>=" + sklearn.rpartition("-")[2][:-1] in project["dependencies"]
    assert license_.removeprefix("license-").replace("--", "-") == project["license"]
    assert "Redistribution and use" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_links_between_files_hold(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text):
        path = (ROOT / page).parent / target
        # Pages that are made when the site is built: the index of the gallery.
        assert path.exists() or target == "gallery/index", target


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page):
    text = (ROOT / page).read_text()
    for name in re.findall(r"`((?:tests|benchmarks|sk_ssvae|docs)/[\w/.]+)`", text):
        if "_build" not in name:
            assert (ROOT / name).exists(), name
