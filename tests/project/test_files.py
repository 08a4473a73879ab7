"""Files of the repository for services, and what the distributions contain."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

import sk_ssvae
from sk_ssvae.utils.estimator import SITE

ROOT = Path(__file__).parents[2]
YAML = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.cff", ".*.yaml", "*.yml", ".github/**/*.yml", "conda/**/*.yaml")
    for path in ROOT.glob(pattern)
)
WORKFLOWS = [name for name in YAML if name.startswith(".github/workflows/")]


@pytest.fixture(scope="module")
def metadata():
    """Return the metadata of the package, as the build backend computes them."""
    return ProjectMetadata(str(ROOT), PluginManager()).core


def names(builder):
    """Return the names of the files that a builder would include."""
    files = builder(str(ROOT)).recurse_included_files()
    return {Path(file.distribution_path).as_posix() for file in files}


def steps(name):
    """Return all steps of a workflow."""
    jobs = yaml.safe_load((ROOT / name).read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_yaml_files_are_found():
    assert len(WORKFLOWS) == 3
    assert {
        ".pre-commit-config.yaml",
        ".readthedocs.yaml",
        "CITATION.cff",
        "conda/recipe/recipe.yaml",
        "environment.yml",
    } <= set(YAML)


@pytest.mark.parametrize("name", YAML)
def test_yaml_files_parse(name):
    assert isinstance(yaml.safe_load((ROOT / name).read_text()), dict)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_the_scripts_that_also_run_elsewhere(name):
    text = (ROOT / name).read_text()
    scripts = {path.name for path in (ROOT / ".ci").iterdir()}
    commands = [step["run"] for step in steps(name) if "run" in step]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(re.sub(r"\$\{\{ (\S+) \}\}", r"\1", command))
        assert arguments in ([], ["$GITHUB_REF_NAME"])
        script = program.removeprefix(".ci/")
        if script == "matrix.script":
            (listed,) = re.findall(r"^ +script: \[(.*)\]$", text, re.MULTILINE)
            assert set(listed.split(", ")) <= scripts
        else:
            assert script in scripts


def test_all_scripts_of_a_change_are_run_by_a_workflow():
    required = re.findall(r"^\.ci/(\w+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert len(required) == 7
    text = (ROOT / ".github/workflows/tests.yml").read_text()
    for script in required:
        assert re.search(rf"run: \.ci/{script}$|script: .*\b{script}\b", text, re.M)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_by_their_commits(name):
    used = re.findall(r"uses: (.*)", (ROOT / name).read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", WORKFLOWS)
def test_only_publishing_has_more_permissions_than_reading(name):
    workflow = yaml.safe_load((ROOT / name).read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for job, settings in workflow["jobs"].items():
        expected = {"id-token": "write"} if job == "publish" else None
        assert settings.get("permissions") == expected


def test_scripts_are_executable():
    for path in (ROOT / ".ci").iterdir():
        assert os.access(path, os.X_OK), path.name


def test_the_wheel_contains_the_package_and_its_types_only():
    package = Path(sk_ssvae.__file__).parent
    found = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names(WheelBuilder) == found
    assert "sk_ssvae/py.typed" in found
    assert {Path(name).suffix for name in found} == {".py", ".typed"}


def test_the_sdist_contains_all_files_of_the_repository():
    sdist = names(SdistBuilder) | {"LICENSE", "pyproject.toml"}  # always added
    if not (ROOT / ".git").exists():
        assert {"CONTRIBUTING.md", "constraints-floors.txt", ".ci/run"} <= sdist
        return  # this is an unpacked sdist
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert {name for name in tracked if name and (ROOT / name).exists()} <= sdist


def test_the_readme_on_pypi_has_no_relative_links(metadata):
    repository = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text())
    published = re.findall(r"\]\(([^)\s]+)\)", metadata.readme)
    assert metadata.readme_content_type == "text/markdown"
    assert any(link.startswith("tests/") for link in repository)
    assert [link for link in published if not link.startswith("https://")] == []
    assert f"{SITE}/_images/digits.png" in published


def test_links_of_the_readme_on_pypi_are_pages_of_the_site(metadata):
    generated = {"made/benchmarks_in_full"}
    source = (ROOT / "docs" / "site_pages.py").read_text()
    top_level = re.search(r"^TOP_LEVEL = \(([^)]*)\)", source, re.MULTILINE)[1]
    for name in re.findall(r'"(\w+)\.md"', top_level):
        generated.add(f"made/{name.lower()}")
    links = re.findall(rf"\]\({re.escape(SITE)}/([^)#]+)", metadata.readme)
    links += [url.removeprefix(f"{SITE}/") for url in metadata.urls.values()]
    assert len(links) > 15
    for link in set(links) - {SITE}:
        page = link.removesuffix(".html")
        if page.startswith("_images/"):
            name = page.removeprefix("_images/")
            assert f"](images/{name})" in (ROOT / "docs" / "index.md").read_text()
        else:
            assert page in generated or (ROOT / "docs" / f"{page}.md").is_file(), link


def test_the_metadata_name_the_site_and_known_classifiers(metadata):
    assert metadata.urls["Documentation"] == SITE
    assert all(url.startswith(SITE) for url in metadata.urls.values())
    assert metadata.classifiers  # of which an unknown one is an error


def test_badges_are_static():
    readme = (ROOT / "README.md").read_text()
    badges = re.findall(r"!\[[^\]]*\]\((https:[^)]+)\)", readme)
    assert badges
    # Text, and no state of a service.
    assert all(url.startswith("https://img.shields.io/badge/") for url in badges)
