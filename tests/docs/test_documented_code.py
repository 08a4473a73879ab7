"""The code of the README and the guide runs, and what they refer to exists."""

import importlib
import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

import sk_ssvae
from sk_ssvae.models import MODELS, VAEModule
from sk_ssvae.utils.files import FORMAT

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LANDING_PAGE = (ROOT / "docs" / "index.md").read_text()
TOP_LEVEL = [
    "README.md",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
PAGES = TOP_LEVEL + [
    path.relative_to(ROOT).as_posix()
    for path in sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/api/*.md")])
]
BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONAL = {"dask", "distributed", "optuna", "pyspark", "ray", "skactiveml"}
"""Packages without which blocks are left out. .ci/slow also runs those with Dask."""

GENERATED = {"gallery/index"}
"""Targets of links that exist only on the built site."""


def python_blocks(text):
    """Return the line number, code and documented output of each block of Python.

    The output is a block of text that follows. It is None if there is none.
    """
    blocks = []
    end = -1  # of the last block of Python
    for match in BLOCK.finditer(text):
        if match[1] == "python":
            blocks.append([text[: match.start(2)].count("\n"), match[2], None])
            end = match.end()
        elif match[1] == "text":
            assert end >= 0, match[0]
            assert not text[end : match.start()].strip(), match[0]
            blocks[-1][2] = match[2]
    return blocks


def is_output(printed, documented):
    """Return whether a block printed what is documented, decimals within 0.02."""
    printed, documented = printed.split(), documented.split()
    return len(printed) == len(documented) and all(
        float(a) == pytest.approx(float(b), abs=0.02)
        if re.fullmatch(r"-?\d+\.\d+", a) and re.fullmatch(r"-?\d+\.\d+", b)
        else a == b
        for a, b in zip(printed, documented, strict=True)
    )


def anchors(path):
    """Return the anchors of the headings of a Markdown file, as GitHub makes them."""
    text = BLOCK.sub("", path.read_text())
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in headings
    }


PAGES_WITH_CODE = [page for page in PAGES if python_blocks((ROOT / page).read_text())]


def test_the_readme_and_the_guide_contain_code():
    assert len(PAGES_WITH_CODE) >= 10
    assert {"README.md", "docs/index.md", "docs/start.md"} <= set(PAGES_WITH_CODE)


@pytest.mark.parametrize("page", PAGES)
def test_code_blocks_name_their_language(page):
    for match in BLOCK.finditer((ROOT / page).read_text()):
        assert match[1] in {"python", "sh", "text", "{toctree}", "{eval-rst}"}, match[0]


def test_documented_output_is_compared():
    page = "x\n```python\na = 1\nprint(a)\n```\n\n```text\n1\n```\n"
    assert python_blocks(page) == [[2, "a = 1\nprint(a)\n", "1\n"]]
    assert python_blocks(page + "```python\nb\n```")[0][2] == "1\n"
    with pytest.raises(AssertionError):
        python_blocks(page.replace("```text", "y\n```text"))
    with pytest.raises(AssertionError):
        python_blocks("```text\n1\n```\n")
    assert is_output("a 0.958\n (450, 10)\n", "a 0.96 (450, 10)")
    for other in ("a 0.9 (450, 10)", "b 0.96 (450, 10)", "a 0.96 (450, 11)", "a 0.96"):
        assert not is_output("a 0.958\n (450, 10)\n", other)


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_code_blocks_import_what_exists(page):
    for _, code, _ in python_blocks((ROOT / page).read_text()):
        for module, names in re.findall(
            r"^from (sk_ssvae[\w.]*) import (\([^)]*\)|.*)$", code, re.MULTILINE
        ):
            for name in re.findall(r"\w+", names):
                assert hasattr(importlib.import_module(module), name), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:FigureCanvasAgg:UserWarning")
@pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")  # of Dask
@pytest.mark.filterwarnings("ignore:`use_.* is deprecated:DeprecationWarning")  # of Ray
@pytest.mark.filterwarnings("ignore:OptunaSearchCV is experimental")
@pytest.mark.filterwarnings("ignore:`optuna.terminator` module:FutureWarning")
@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    before = dict(MODELS)
    namespace = {"__name__": "documented"}
    for line, code, output in python_blocks((ROOT / page).read_text()):
        # Blank lines keep the line numbers of tracebacks those of the page.
        compiled = compile("\n" * line + code, ROOT / page, "exec")
        imported = re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)
        if any(name in OPTIONAL and find_spec(name) is None for name in imported):
            continue
        exec(compiled, namespace)
        printed = capsys.readouterr().out
        assert output is None or is_output(printed, output), printed
    for name in set(MODELS) - set(before):
        del MODELS[name]
    if page == "docs/saving.md":
        assert {"iris.ssvae", "iris.onnx", "training.ssvae"} <= set(os.listdir())


def test_the_readme_names_tests_that_exist():
    named = re.findall(r"\[`(test_\w+)`\]\((tests/[\w/]+\.py)\)", README)
    assert len(named) >= 15
    for name, path in named:
        assert f"\ndef {name}(" in (ROOT / path).read_text(), name
    table = README.split("| feature | test |")[1].split("\n\n")[0].splitlines()[2:]
    assert all("](tests/" in row for row in table)


def test_the_picture_of_the_landing_page_names_methods_that_exist():
    picture = ElementTree.parse(ROOT / "docs" / "images" / "in_and_out.svg")
    texts = [e.text for e in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "SSVAEClassifier().fit(X, y)" in texts
    alt = re.search(r"!\[(.*)\]\(images/in_and_out.svg\)", LANDING_PAGE)[1]
    methods = re.findall(r"\((\w+)\)", alt)
    assert len(methods) == 6
    for method in methods:
        assert callable(getattr(sk_ssvae.SSVAEClassifier, method))
        assert method in texts


def test_the_readme_is_at_most_150_lines():
    assert len(README.splitlines()) <= 150


def test_badges_agree_with_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    badges = re.findall(r"img\.shields\.io/badge/(\S+)-\w+\)", README)
    python, sklearn, license_ = badges
    assert project["requires-python"] == ">=" + python.removeprefix("python-")[:-1]
    assert "scikit-learn>=" + sklearn.rpartition("-")[2][:-1] in project["dependencies"]
    assert license_.removeprefix("license-").replace("--", "-") == project["license"]
    assert "Redistribution and use" in (ROOT / "LICENSE").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_existing_files_and_headings(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists() or name in GENERATED, target
        if anchor:
            assert anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES)
def test_named_files_exist(page):
    text = (ROOT / page).read_text()
    for name in re.findall(r"`((?:tests|benchmarks|sk_ssvae|docs)/[\w/.]+)`", text):
        if "_build" not in name:
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_named_modules_and_objects_exist(page):
    # The changelog also names modules of earlier versions.
    text = (ROOT / page).read_text()
    for name in re.findall(r"`(sk_ssvae(?:\.\w+)+)`", text):
        if page == "CHANGELOG.md" and name == "sk_ssvae.likelihoods":
            continue
        found = sk_ssvae
        for i, part in enumerate(name.split(".")[1:], start=2):
            module = ".".join(name.split(".")[:i])
            if not hasattr(found, part):
                importlib.import_module(module)
            found = getattr(found, part)


def test_the_reference_lists_what_exists():
    text = (ROOT / "docs" / "api" / "index.md").read_text()
    listed = set()
    for module, body in re.findall(
        r"currentmodule:: (\S+)\n(.*?)```", text, re.MULTILINE | re.DOTALL
    ):
        for name in re.findall(r"^   (\w[\w.]*)$", body, re.MULTILINE):
            found = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
            listed.add((module, name))
    for module in ("sk_ssvae", "sk_ssvae.display", "sk_ssvae.model_selection"):
        public = set(importlib.import_module(module).__all__) - {"__version__"}
        assert public == {name for where, name in listed if where == module}


def test_the_symbol_table_names_code_that_exists():
    text = (ROOT / "docs" / "model.md").read_text()
    table = text.split("| symbol | code | module |")[1].split("\n\n")[0]
    rows = table.splitlines()[2:]
    assert len(rows) >= 20
    for row in rows:
        files = [ROOT / name for name in re.findall(r"`(sk_ssvae/[\w/.]+)`", row)]
        assert files, row
        source = "".join(
            path.read_text()
            for file in files
            for path in (file.glob("*.py") if file.is_dir() else [file])
        )
        for code in re.findall(r"`([A-Za-z_][\w.()]*)`", row):
            # "M2Module.posterior_z" and "exp(DiagonalNormal.log_scale)".
            for name in re.findall(r"[A-Za-z_]\w*", re.sub(r"^exp\(|^len\(", "", code)):
                assert re.search(rf"\b{name}\b", source), (name, row)


def test_the_documented_methods_of_a_model_exist():
    text = (ROOT / "docs" / "family.md").read_text()
    table = text.split("| method | returns |")[1].split("\n\n")[0]
    methods = [
        name
        for row in table.splitlines()[2:]
        for name in re.findall(r"`(\w+)(?:\([^`]*\))?`", row.split("|")[1])
    ]
    assert {"sample_auxiliary", "labelled_bound", "importance"} <= set(methods)
    methods += re.findall(r"`self\.(\w+)\(", text)
    for name in methods:
        assert callable(getattr(VAEModule, name)), name


def test_the_documented_file_format_is_the_one_that_is_written():
    text = (ROOT / "docs" / "saving.md").read_text()
    (version,) = re.findall(r"^\| `format_version` \| `([\d.]+)`", text, re.MULTILINE)
    assert version == ".".join(map(str, FORMAT))
