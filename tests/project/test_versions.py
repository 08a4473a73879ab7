"""Versions and dependencies are the same in all files that name them."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import sk_ssvae

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "dask": "dask-core"}
"""Names on conda-forge, where they differ from those on PyPI."""

PYTHONS = [
    found[1]
    for line in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]
"""The supported versions of Python."""


def load(name):
    return yaml.safe_load((ROOT / name).read_text())


def requirements(lines):
    """Return the version specifiers of requirements, by the normalised name."""
    parsed = [Requirement(line) for line in lines]
    return {
        canonicalize_name(requirement.name): requirement.specifier
        for requirement in parsed
        if requirement.name != PROJECT["name"]
    }


def pins(name):
    """Return the versions in a file of constraints, by the normalised name."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    found = {canonicalize_name(package): Version(v) for package, v in pairs}
    assert len(found) == len(pairs), f"{name} names a package twice"
    return found


def conda(lines):
    """Return the version specifiers of a list of conda packages."""
    pairs = [line.split(maxsplit=1) for line in lines if isinstance(line, str)]
    return {name: SpecifierSet("".join(version)) for name, *version in pairs}


def for_conda(*groups):
    """Return the specifiers of groups of requirements, by the name on conda-forge."""
    found = requirements([line for group in groups for line in group])
    return {CONDA_NAMES.get(name, name): version for name, version in found.items()}


RUNTIME = requirements(PROJECT["dependencies"])
CONSTRAINTS = pins("constraints.txt")
FLOORS = pins("constraints-floors.txt")
WORKFLOWS = sorted(path.name for path in (ROOT / ".github/workflows").glob("*.yml"))


def test_the_citation_has_the_version_licence_and_keywords_of_the_package():
    citation = load("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == sk_ssvae.__version__
    assert citation["license"] == PROJECT["license"]
    assert set(citation["keywords"]) <= set(PROJECT["keywords"])
    assert citation["references"][0]["url"].endswith("/1406.5298")


def test_the_supported_versions_of_python_are_consecutive_and_start_with_the_oldest():
    minors = [int(version.removeprefix("3.")) for version in PYTHONS]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    oldest = "py" + PYTHONS[0].replace(".", "")
    assert PYPROJECT["tool"]["ruff"]["target-version"] == oldest


@pytest.mark.parametrize("page", ["README.md", "docs/install.md", "constraints.txt"])
def test_documents_name_the_supported_versions_of_python(page):
    named = f"Python {PYTHONS[0]} to {PYTHONS[-1]}"
    assert named in (ROOT / page).read_text()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_use_the_supported_versions_of_python(name):
    for job in load(f".github/workflows/{name}")["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        assert matrix.get("python", PYTHONS) == PYTHONS
        for step in job["steps"]:
            version = step.get("with", {}).get("python-version", PYTHONS[0])
            assert version in (PYTHONS[0], "${{ matrix.python }}")


def test_constraints_satisfy_all_requirements():
    needed = requirements(
        [
            *PYPROJECT["build-system"]["requires"],
            *PROJECT["dependencies"],
            *(line for lines in EXTRAS.values() for line in lines),
        ]
    )
    assert set(needed) - set(CONSTRAINTS) == set()
    for name, specifier in needed.items():
        assert specifier.contains(CONSTRAINTS[name]), name


def test_the_tests_have_the_build_backend_of_the_package():
    test = requirements(EXTRAS["test"])
    backend = requirements(PYPROJECT["build-system"]["requires"])
    assert test.items() >= backend.items()


def test_the_oldest_tested_versions_are_the_lower_bounds():
    optional = requirements([*EXTRAS["files"], *EXTRAS["plot"]])
    assert set(RUNTIME) | set(optional) <= set(FLOORS)
    for name, specifier in (RUNTIME | optional).items():
        (bound,) = specifier
        assert bound.operator == ">="
        assert Version(bound.version) == FLOORS[name], name


def test_the_oldest_tested_versions_are_documented():
    text = (ROOT / "docs" / "install.md").read_text()
    (sentence,) = re.findall(r"The oldest tested versions are ([^\n]+\n[^\n]+)\.", text)
    documented = re.findall(r"([a-z-]+) (\d+(?:\.\d+)+)", sentence.replace("\n", " "))
    assert len(documented) == 5
    for name, version in documented:
        assert Version(version) == FLOORS[name], name


def test_the_conda_environment_has_the_dependencies_and_the_extras_of_users():
    environment = load("environment.yml")
    expected = for_conda(
        PROJECT["dependencies"], EXTRAS["files"], EXTRAS["onnx"], EXTRAS["plot"]
    )
    python = {"python": SpecifierSet(PROJECT["requires-python"])}
    found = conda(environment["dependencies"])
    assert found == python | {"pip": SpecifierSet()} | expected
    assert environment["name"] == PROJECT["name"]
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}


def test_the_conda_recipe_has_the_metadata_of_the_package():
    recipe = load("conda/recipe/recipe.yaml")
    context, about = recipe["context"], recipe["about"]
    assert context["name"] == PROJECT["name"]
    assert context["version"] == sk_ssvae.__version__
    assert context["python_min"] == PYTHONS[0]
    assert about["summary"] == PROJECT["description"]
    assert about["license"] == PROJECT["license"]
    assert (ROOT / about["license_file"]).is_file()
    assert about["documentation"] == PROJECT["urls"]["Documentation"]


def test_the_conda_recipe_has_the_dependencies_of_the_package():
    needed = load("conda/recipe/recipe.yaml")["requirements"]
    host_python, host_pip, *host = needed["host"]
    assert [host_python, host_pip] == ["python ${{ python_min }}.*", "pip"]
    assert conda(host) == for_conda(PYPROJECT["build-system"]["requires"])
    run_python, *run = needed["run"]
    assert run_python == "python >=${{ python_min }}"
    assert conda(run) == for_conda(PROJECT["dependencies"])
    optional = (EXTRAS[name] for name in ("files", "onnx", "plot", "dask"))
    assert conda(needed["run_constraints"]) == for_conda(*optional)


def test_hooks_have_the_versions_of_the_linters():
    repositories = load(".pre-commit-config.yaml")["repos"]
    revisions = {entry["repo"]: entry.get("rev") for entry in repositories}
    (ruff,) = (rev for name, rev in revisions.items() if "ruff" in name)
    assert Version(ruff.removeprefix("v")) == CONSTRAINTS["ruff"]
    hooks = {hook["id"]: hook for entry in repositories for hook in entry["hooks"]}
    # mypy comes from the environment that constraints.txt describes.
    assert f"\n{hooks['mypy']['entry']}\n" in (ROOT / ".ci/lint").read_text()
