"""What type checkers and `help` say about the public interface."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_overloads

import pytest

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder, model_selection
from sk_ssvae.data.layout import LIKELIHOOD_NAMES
from sk_ssvae.models import ADGM, M1M2, M2, SDGM
from sk_ssvae.utils.typing import LikelihoodName, ModelName

ROOT = Path(__file__).parents[1]

PROGRAM = """\
import numpy as np
from torch import nn
from sk_ssvae import OpinionPoolClassifier, SSVAEClassifier, VariationalAutoencoder
from sk_ssvae import Scorer, load
from sk_ssvae.model_selection import LabeledTunedThresholdClassifierCV
from sk_ssvae.models import SDGM

X, y = np.zeros((4, 2)), np.zeros(4)
reveal_type(SSVAEClassifier().fit(X, y))  # SSVAEClassifier
reveal_type(SSVAEClassifier().partial_fit(X, y, classes=[0, 1]))  # SSVAEClassifier
reveal_type(VariationalAutoencoder().fit(X))  # VariationalAutoencoder
reveal_type(OpinionPoolClassifier().fit(X, y))  # OpinionPoolClassifier
reveal_type(LabeledTunedThresholdClassifierCV(None).fit(X, y))  # LabeledTuned
reveal_type(SSVAEClassifier.plain())  # SSVAEClassifier
reveal_type(load("a"))  # SSVAEClassifier | VariationalAutoencoder
reveal_type(Scorer("a"))  # Scorer
SSVAEClassifier(hidden_sizes=[128], classifier_hidden_sizes=[64, 64])
SSVAEClassifier(hidden_sizes=(128,), classifier_hidden_sizes=None)
SSVAEClassifier(model=SDGM(inner_size=3), likelihood=[("poisson", ["a"])])
SSVAEClassifier(class_prior=[0.5, 0.5], class_weight={0: 1.0}, teacher=None)
SSVAEClassifier(classifier_module=nn.Linear, classifier_module__bias=False)
VariationalAutoencoder(5, decoder_module=nn.Linear, decoder_module__bias=False)
VariationalAutoencoder(5, hidden_sizes=[3])
SSVAEClassifier(latnet_size=3)  # error
SSVAEClassifier(classifier_module__bias=False)  # error
VariationalAutoencoder(latnet_size=3)  # error
VariationalAutoencoder(teacher=None)  # error
SSVAEClassifier(model="m3")  # error
SSVAEClassifier(likelihood="gausian")  # error
SSVAEClassifier(class_prior="unifrom")  # error
SSVAEClassifier(class_weight="balance")  # error
VariationalAutoencoder(max_epochs="all")  # error
"""


@pytest.mark.slow
def test_a_type_checker_knows_the_types_and_finds_misspelt_parameters(tmp_path):
    pytest.importorskip("mypy")
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    said = {}
    for line in done.stdout.splitlines():
        where, _, rest = line.partition(": ")
        said.setdefault(int(where.rpartition(":")[2]), []).append(rest)
    for number, line in enumerate(PROGRAM.splitlines(), start=1):
        _, _, expected = line.partition("  # ")
        if expected == "error":
            assert any("error:" in text for text in said[number]), line
        elif expected:
            (text,) = said[number]
            assert all(name in text for name in expected.split(" | ")), text
            assert "Any" not in text
        else:
            assert number not in said, said[number]


@pytest.mark.parametrize("kind", [SSVAEClassifier, VariationalAutoencoder])
def test_the_overloads_have_the_parameters_of_the_constructor(kind):
    actual = dict(inspect.signature(kind.__init__).parameters)
    del actual["module_parameters"]
    first, *others = (inspect.signature(f) for f in get_overloads(kind.__init__))
    assert dict(first.parameters) == actual
    modules = {name for name in actual if name.endswith("_module")}
    assert {name for f in others for name in f.parameters} == (
        modules | {"self", "latent_size", "parameters"}
    )


def test_literal_names_are_the_registered_ones():
    assert set(get_args(ModelName)) == {M.NAME for M in (M2, M1M2, SDGM, ADGM)}
    assert set(get_args(LikelihoodName)) == {"auto", *LIKELIHOOD_NAMES}


def public_functions():
    for module in (sk_ssvae, model_selection):
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member):
                for attribute in dir(member):
                    method = getattr(member, attribute)
                    if inspect.isfunction(method) and attribute[0] != "_":
                        yield f"{name}.{attribute}", method
                yield name, member
            elif callable(member):
                yield name, member


@pytest.mark.parametrize(
    "function", [pytest.param(f, id=name) for name, f in public_functions()]
)
def test_help_shows_aliases_of_types_as_they_are_written(function):
    text = str(inspect.signature(function))
    assert "_SupportsArray" not in text
    assert "NestedSequence" not in text
