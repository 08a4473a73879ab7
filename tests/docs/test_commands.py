"""The commands of the pages run as they stand.

Cheap commands are executed, in a copy of the folders that they read and write. Of
commands that install packages or run for minutes, everything is checked that can be
checked in a second: files, extras, modules and arguments. A command of another kind is
an error; it needs a case in `CHECKS`.
"""

import argparse
import ast
import functools
import importlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from torch.distributed.run import get_args_parser

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
TOP_LEVEL = (
    "README.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
)
PAGES = [
    *TOP_LEVEL,
    "benchmarks/README.md",
    *(
        path.relative_to(ROOT).as_posix()
        for path in sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("docs/api/*.md")])
    ),
]
MODULES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("benchmarks", "docs", "docs/examples")
    for path in sorted(
        (ROOT / folder).glob("**/*.py" if folder == "benchmarks" else "*.py")
    )
]
"""Scripts, whose docstrings contain their commands."""

PROGRAMS = ("python", "pip", "ruff", "mypy", "pytest", "sphinx", "git", "conda")
NOT_COMMANDS = {"mypy --strict"}
"""Names of programs with their settings."""

BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    "NAME": "accuracy.panel",
    "speed.NAME": "speed.train",
    "R": "2",
    "options": "--jobs 1",
}
"""Values of the placeholders in commands."""


def is_command(line):
    """Return whether a line starts with a program or a script of the repository."""
    program = re.split(r"[\s]", line, maxsplit=1)[0]
    if program.startswith((".ci/", ".venv/bin/")):
        return True
    name = re.sub(r"[\d.]+$", "", program)
    return name in PROGRAMS and (" " in line or name == "mypy")


def commands_of_lines(lines):
    """Return the commands of lines of a shell, without comments."""
    text = "\n".join(lines).replace("\\\n", " ")
    for line in text.splitlines():
        for part in re.sub(r"\s+#.*", "", line).split(" && "):
            if part.strip():
                yield re.sub(r"\s+", " ", part.strip())


def commands_of_page(text):
    """Return the commands in the blocks and the text of a page."""
    found = []
    for match in BLOCK.finditer(text):
        if match[1] == "sh":
            found += commands_of_lines(match[2].splitlines())
    prose = BLOCK.sub("", text)
    indented = re.findall(r"^    (\S(?:.*\\\n)*.*)", prose, re.MULTILINE)
    inline = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", prose)
    inline = [line.replace("\n", " ") for line in inline]
    for line in indented + inline:
        if is_command(line):
            found += commands_of_lines(line.splitlines())
    return [command for command in found if command not in NOT_COMMANDS]


def commands_of_module(text):
    """Return the commands in the docstring of a script."""
    docstring = ast.get_docstring(ast.parse(text)) or ""
    lines = re.findall(r"^ *(\S(?:.*\\\n)*.*)", docstring, re.MULTILINE)
    lines = [line for line in lines if re.match(r"python (-m |\w+/)", line)]
    return [*commands_of_lines(lines)]


def expand(command):
    """Return a command with values for placeholders, with and without its options."""
    parts = re.split(r"\[([^\]]*)\]", command)
    choices = [
        [part] if i % 2 == 0 else ["", *part.split("|")] for i, part in enumerate(parts)
    ]
    for chosen in itertools.product(*choices):
        words = shlex.split(" ".join(chosen))
        values = [EXAMPLES[w].split() if w in EXAMPLES else [w] for w in words]
        yield [word for value in values for word in value]


def arguments(command):
    """Return what follows `python` in a command, or None for other programs."""
    program, *rest = shlex.split(command)
    is_python = re.fullmatch(r"(\.venv/bin/)?python3?", program) is not None
    return rest if is_python else None


# Checks of commands that are not executed.


def check_installation(command):
    words = shlex.split(command)[2:]
    while words:
        word = words.pop(0)
        if word == "-c":
            assert (ROOT / words.pop(0)).is_file(), command
        elif word not in ("-e", "."):
            extras = re.fullmatch(r"\.\[([\w,]+)\]", word)
            # Otherwise a package of PyPI, which this one is not.
            assert extras or word in ("torch", "pre-commit", "scikit-activeml"), command
            for extra in extras[1].split(",") if extras else ():
                assert extra in EXTRAS, command


def check_script(command):
    words = shlex.split(command)
    script, *options = words[1:] if "python" in words[0] else words
    path = ROOT / script
    assert path.is_file(), command
    if script.startswith(".ci/"):
        assert os.access(path, os.X_OK), command
        subprocess.run(["bash", "-n", path], check=True)
    for option in options:
        if option.startswith("--"):
            assert f'"{option}"' in path.read_text(), command


def check_hooks(command):
    assert (ROOT / ".pre-commit-config.yaml").is_file(), command


def check_environment(command):
    assert (ROOT / "environment.yml").is_file(), command  # read if no other is named


def check_pytest(command):
    for word in shlex.split(command.split("pytest", 1)[1]):
        if word == "slow":
            markers = PROJECT["tool"]["pytest"]["ini_options"]["markers"]
            assert any(marker.startswith("slow:") for marker in markers)
        elif not word.startswith("-"):
            assert (ROOT / word).exists(), command


def check_tool(command):
    name = re.search(r"(ruff|mypy|sphinx)\b", command)[1]
    extra = {"sphinx": "docs"}.get(name, "lint")
    assert any(re.match(name + r"\b", line) for line in EXTRAS[extra]), command
    scripts = [(ROOT / ".ci" / script).read_text() for script in ("lint", "docs")]
    assert any(f"{name} " in text or f"bin/{name}" in text for text in scripts)
    for path in re.findall(r" docs\b(?!/)", command):
        assert (ROOT / path.strip()).exists()


class AcceptedError(Exception):
    """The arguments of a benchmark were accepted."""


def check_benchmark(command):
    """Parse the arguments with the benchmark's own parser, which ends there."""
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *args, **kwargs):
        parse_args(self, *args, **kwargs)
        raise AcceptedError

    for _, *words in expand(command):
        if words[:2] == ["-m", "benchmarks"]:
            module, *rest = words[2:]
            module = f"benchmarks.{module}"
        else:
            module, *rest = words[1:]
        main = importlib.import_module(module).main
        if module == "benchmarks.reliability.write_worker" or rest == ["--help"]:
            continue
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
            with pytest.raises(AcceptedError):
                main(rest)


PYTHON = r"(?:\.venv/bin/)?python "


def check_torchrun(command):
    words = shlex.split(command.split("torchrun", 1)[1])
    assert get_args_parser().parse_args(words).training_script == "train.py"


CHECKS = {
    r"python3 -m venv \.venv": lambda command: None,
    r"(?:\.venv/bin/)?pip install ": check_installation,
    PYTHON + r"-m benchmarks\b": check_benchmark,
    PYTHON + r"-m pytest\b": check_pytest,
    PYTHON + r"-m sphinx\b": check_tool,
    PYTHON + r"docs/[\w/]+\.py\b": check_script,
    r"\.venv/bin/(?:ruff|mypy)\b": check_tool,
    r"\.venv/bin/pre-commit install$": check_hooks,
    r"conda env create$": check_environment,
    r"\.ci/\w+": check_script,
    r"(?:[A-Z_]+=1 )?torchrun ": check_torchrun,
}
"""Checks of commands, by the beginning of the command."""

IS_REPORT = re.compile(
    PYTHON
    + r"-m benchmarks( accuracy\.(gaps|learning_curves|many_rows)| \w+\.\w*report\b.*"
    + r"| .* --report)?"
)
"""Commands that are executed: the list of benchmarks, and tables of results."""


def test_commands_of_a_page_are_found():
    page = (
        "Text `python -m a` and `python`, `pip install\nb`, `-m slow`, `mypy`.\n\n"
        "```sh\nx && .venv/bin/y  # z\n```\n\n"
        "```python\npython = 1\n```\n\n"
        "    python -m c \\\n        --d\n    other\n"
    )
    assert commands_of_page(page) == [
        "x",
        ".venv/bin/y",
        "python -m c --d",
        "python -m a",
        "pip install b",
        "mypy",
    ]
    assert [" ".join(words) for words in expand("a [--b R] [--c | --d]")] == [
        "a",
        "a --c",
        "a --d",
        "a --b 2",
        "a --b 2 --c",
        "a --b 2 --d",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "conda install x",
        "pip install sk_ssvae",
        'pip install "sk_ssvae[plot]"',
        'pip install ".[plots]"',
        "pip install -c constraint.txt .",
        "python -m pytest tests/nothing",
        "python docs/examples/plot_nothing.py",
        "python docs/read_site.py docs/_build/html --nothing x",
        "python -m benchmarks accuracy.nothing",
        "python -m benchmarks accuracy.panel --nothing",
        "python -m benchmarks accuracy.choose_defaults",
        ".ci/nothing",
        "torchrun --nothing 2 train.py",
    ],
)
def test_commands_that_do_not_run_are_found(command, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    with pytest.raises((AssertionError, ModuleNotFoundError, SystemExit)):
        check(command)


def check(command):
    """Check a command; AssertionError if it cannot run or is of no known kind."""
    checks = [f for beginning, f in CHECKS.items() if re.match(beginning, command)]
    assert len(checks) == 1, f"{command} is of no known kind: add it to CHECKS"
    if IS_REPORT.fullmatch(command):
        return  # executed below
    checks[0](command)


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_pages(page, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    for command in commands_of_page((ROOT / page).read_text()):
        check(command)


def test_commands_in_the_docstrings_of_scripts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    found = 0
    for module in MODULES:
        for command in commands_of_module((ROOT / module).read_text()):
            found += 1
            check(command)
    assert found > 30


# Commands that are executed.

HEADLINE = "-m benchmarks accuracy.panel_report"
"""Arguments of the command that prints the table of the README."""


def reports():
    """Return the arguments of all reports of the pages, but for the README's."""
    found = {
        shlex.join(arguments(command))  # an argument with blanks stays one
        for page in PAGES
        for command in commands_of_page((ROOT / page).read_text())
        if IS_REPORT.fullmatch(command)
    }
    return sorted(found - {HEADLINE})


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Return a copy of the files that the reports read and write."""
    folder = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=ignored)
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    # Only the packages of the extra plot, which the reports need: no others.
    names = {"pandas", "polars", "pyarrow", "safetensors", "onnx", "hypothesis", "pyro"}
    blocked = "import sys\n" + "".join(f"sys.modules[{n!r}] = None\n" for n in names)
    (folder / "environment").mkdir()
    (folder / "environment" / "sitecustomize.py").write_text(blocked)
    return folder


def run_in(folder, words):
    """Run Python in a folder, as in an environment with the extra plot."""
    path = os.pathsep.join([str(folder / "environment"), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path}
    environment.pop("SK_SSVAE_DATA", None)
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


@functools.cache
def print_report(folder, words):
    """Return what a command prints; AssertionError if it fails."""
    done = run_in(folder, shlex.split(words))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", reports())
def test_reports_run_as_they_stand(command, clone):
    done = run_in(clone, shlex.split(command))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "python -m benchmarks" in done.stdout or "|" in done.stdout


def test_the_table_of_the_readme_is_printed_by_its_command(clone):
    readme = (ROOT / "README.md").read_text()
    assert f".venv/bin/python {HEADLINE}" in commands_of_page(readme)
    report = print_report(clone, HEADLINE)
    printed = report.split("## Labels by class, at most 5,000 rows")[1]
    table = readme.split("## Results")[1]
    means = re.findall(r"^\| .+? \| ([\d.]+ ± [\d.]+) \|", table, re.MULTILINE)
    assert len(means) >= 10
    for mean in means:
        assert f"| {mean} |" in printed


LANDING_PAGE = {
    "accuracy.panel_report": ["SSVAEClassifier", "SelfTraining(SVC)"],
    "mnist.report": [
        "default",
        "Kingma 2014, M2",
        "Kingma 2014, M1+M2",
        "Maaloe 2016, SDGM",
        "Maaloe 2016, ADGM",
    ],
    "accuracy.gaps": [
        "SSVAEClassifier",
        "IterativeImputer, LogisticRegression",
        ("SSVAEClassifier", "IterativeImputer, LogisticRegression"),
    ],
}
"""The benchmarks of the landing page, and the rows of its figures, in this order. Of a
figure that several rows have, all are named."""


@pytest.mark.parametrize("name", LANDING_PAGE)
def test_the_figures_of_the_landing_page_are_printed_by_its_commands(name, clone):
    page = (ROOT / "docs" / "index.md").read_text()
    (reason,) = (text for text in page.split("\n- ") if name in text)
    words = f"-m benchmarks {name}"
    assert commands_of_page(reason) == [f"python {words}"]
    report = print_report(clone, words)
    figures = re.findall(r"([\d.]+) %", reason)
    for figure, rows in zip(figures, LANDING_PAGE[name], strict=True):
        for row in [rows] if isinstance(rows, str) else rows:
            printed = rf"^\| {re.escape(row)} \|.* {re.escape(figure)} "
            assert re.search(printed, report, re.MULTILINE), (figure, row)


def test_a_missing_package_is_named_with_the_command_that_installs_it(clone):
    done = run_in(clone, ["-m", "benchmarks", "reliability.bits"])
    assert done.returncode == 1
    assert done.stderr == (
        "reliability.bits needs the package pandas, which is not installed. The extra "
        "bench has all packages of the benchmarks:\n"
        'pip install -c constraints.txt -e ".[bench]"\n'
    )


def test_output_may_be_cut_off(clone):
    command = f"{shlex.quote(sys.executable)} -m benchmarks | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=clone,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("accuracy: ")
    assert done.stderr == ""


def test_pictures_of_the_pages_are_complete():
    from PIL import Image  # installed with matplotlib

    for path in sorted((ROOT / "docs" / "images").glob("*.png")):
        with Image.open(path) as image:
            image.load()  # an OSError if the file is truncated


def test_the_build_of_the_site_names_the_step_that_failed_and_the_cause(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "docs", tmp_path / ".ci" / "docs")
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$*" in *sphinx*) echo why >&2; exit 3;; esac\n')
    python.chmod(0o755)
    done = subprocess.run([tmp_path / ".ci" / "docs"], capture_output=True, text=True)
    assert done.returncode == 1
    before, after = done.stderr.split("\n.ci/docs: failed: .venv/bin/python -m sphinx")
    assert before.startswith("+ the packages of the extra docs\n")
    assert after.endswith("The end of its output:\n    why\n")


def test_the_build_of_the_site_runs_in_a_clone_without_an_environment():
    script = (ROOT / ".ci" / "docs").read_text()
    assert "[ -x .venv/bin/python ] || step" in script
    assert EXTRAS["docs"][0] == "sk_ssvae[test]"  # tests/conftest.py needs hypothesis
    pins = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    for requirement in EXTRAS["docs"][1:] + EXTRAS["test"][1:]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert re.search(rf"^{name}==", pins, re.MULTILINE), name
