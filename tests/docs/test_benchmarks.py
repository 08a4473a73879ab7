"""The command line of the benchmarks."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_all_benchmarks_are_listed_and_in_the_readme():
    names = re.findall(r"^    python -m benchmarks (\S+)$", run().stdout, re.M)
    assert {"accuracy.panel_report", "mnist.train", "speed.train"} <= set(names)
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    assert [name for name in names if f"`{name}" not in readme] == []


def test_commands_in_the_readme_are_benchmarks():
    readme = (ROOT / "benchmarks" / "README.md").read_text()
    listed = run().stdout
    for name in re.findall(r"python -m benchmarks ([\w.]+)", readme):
        if name not in ("NAME", "speed.NAME"):
            assert f"python -m benchmarks {name}\n" in listed, name


def test_a_report_needs_no_arguments():
    done = run("accuracy.ablation_report")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("at most 5,000 rows: 34 settings, seeds [0]; default")


def test_an_unknown_name_is_an_error():
    done = run("accuracy.nothing")
    assert done.returncode == 2
    assert "There is no benchmark 'accuracy.nothing'." in done.stderr
