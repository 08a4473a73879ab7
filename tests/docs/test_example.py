"""The README's main job: what it prints, what it saves, and in what time."""

import re
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_main_job(tmp_path):
    picture = tmp_path / "new folder" / "digits.png"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "docs/examples/plot_digits.py", "--out", picture],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    accuracy = dict(re.findall(r"^  (.*?)  +(0\.\d{3})$", done.stdout, re.MULTILINE))
    assert set(accuracy) == {
        "SVC, labelled rows only",
        "LabelSpreading (knn, 7)",
        "SSVAEClassifier",
        "SSVAEClassifier(teacher=None)",
    }
    labelled_only = float(accuracy["SVC, labelled rows only"])
    assert float(accuracy["SSVAEClassifier"]) > labelled_only
    plain = float(accuracy["SSVAEClassifier(teacher=None)"])
    assert float(accuracy["SSVAEClassifier"]) > plain
    assert matplotlib.image.imread(picture).std() > 0.1
    assert seconds < 60


@pytest.mark.slow
def test_latent_size(tmp_path):
    picture = tmp_path / "latent_size.png"
    done = subprocess.run(
        [sys.executable, "docs/examples/plot_latent_size.py", "--out", picture],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    accuracy = [float(a) for a in re.findall(r"accuracy (0\.\d{3})", done.stdout)]
    assert len(accuracy) == 3
    assert accuracy[2] == max(accuracy)
    assert min(accuracy) > 0.8
    assert matplotlib.image.imread(picture).std() > 0.1


def test_the_readme_runs_this_job_and_these_tests():
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
