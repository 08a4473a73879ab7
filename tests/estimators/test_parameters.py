"""Constructor parameters: documentation, nested parameters, short forms, `plain`."""

import inspect
import re

import numpy as np
import pytest
from docstrings import documented_names, documented_types
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.estimators.parameters import flat_parameters
from sk_ssvae.model_selection import LabeledKFold
from sk_ssvae.models import ADGM, M1M2, M2, SDGM
from sk_ssvae.training import ClassifierOptions, TrainingOptions

ESTIMATORS = [SSVAEClassifier, VariationalAutoencoder]


@pytest.mark.parametrize(
    ("estimator", "most"), [(SSVAEClassifier, 28), (VariationalAutoencoder, 20)]
)
def test_constructors_have_few_parameters(estimator, most):
    assert len(inspect.signature(estimator).parameters) <= most


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_documented_with_its_default(estimator):
    documented = documented_types(estimator, "Parameters", "Other Parameters")
    assert documented.pop("**module_parameters") == "dict"
    parameters = dict(inspect.signature(estimator).parameters)
    del parameters["module_parameters"]
    assert documented.keys() == parameters.keys()
    for name, parameter in parameters.items():
        default = re.search(r"default=(.*)$", documented[name]).group(1)
        assert eval(default) == parameter.default, name


def test_the_docstring_of_the_classifier_is_short():
    assert len(inspect.getdoc(SSVAEClassifier).splitlines()) <= 200


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_has_a_constraint(estimator):
    names = set(inspect.signature(estimator).parameters) - {"module_parameters"}
    assert set(estimator._parameter_constraints) == names


@pytest.mark.parametrize("options", [ClassifierOptions, TrainingOptions])
def test_every_option_is_documented_and_has_a_constraint(options):
    names = set(inspect.signature(options).parameters)
    assert set(options._parameter_constraints) == names
    assert documented_names(options, "Parameters") == names


def test_nested_parameters_of_a_model_given_by_name():
    clf = SSVAEClassifier(model="sdgm").set_params(model__inner_size=7)
    assert isinstance(clf.model, SDGM)
    assert clf.model.inner_size == 7
    both = SSVAEClassifier().set_params(model__finetune_epochs=3, model="m1+m2")
    assert isinstance(both.model, M1M2)
    assert both.model.finetune_epochs == 3


def test_nested_parameters_of_options_that_are_none():
    clf = SSVAEClassifier().set_params(options__tol=0.5)
    assert type(clf.options) is ClassifierOptions
    assert clf.options.tol == 0.5
    vae = VariationalAutoencoder().set_params(options__precision="bf16")
    assert type(vae.options) is TrainingOptions
    assert vae.options.precision == "bf16"


def test_setting_nested_parameters_of_a_clone_leaves_the_original_unchanged():
    clf = SSVAEClassifier(model=SDGM(inner_size=3), options=ClassifierOptions(tol=0.1))
    twin = clone(clf).set_params(model__inner_size=4, options__tol=0.2)
    assert (clf.model.inner_size, clf.options.tol) == (3, 0.1)
    assert (twin.model.inner_size, twin.options.tol) == (4, 0.2)


def test_a_model_name_is_equivalent_to_its_object_with_default_parameters(iris):
    X, few, _ = iris
    for name, model in [("m2", M2()), ("adgm", ADGM()), ("sdgm", SDGM())]:
        a, b = (
            SSVAEClassifier(
                model=given, teacher=None, max_epochs=1, latent_size=2, random_state=0
            ).fit(X, few)
            for given in (name, model)
        )
        assert np.array_equal(a.predict_proba(X), b.predict_proba(X))


def test_unknown_nested_parameters_are_errors():
    message = r"Invalid parameter 'inner_size' for estimator M2\(\)"
    with pytest.raises(ValueError, match=message):
        SSVAEClassifier().set_params(model__inner_size=3)
    message = r"Invalid parameter 'alpha' for estimator ClassifierOptions\(\)"
    with pytest.raises(ValueError, match=message):
        SSVAEClassifier().set_params(options__alpha=3)


def test_parameters_that_have_moved_are_errors():
    message = (
        r"^SSVAEClassifier.__init__\(\) got an unexpected keyword argument 'top_k'\.$"
    )
    with pytest.raises(TypeError, match=message):
        SSVAEClassifier(top_k=3)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (
            {"model": M1M2(inner_size=0)},
            ValueError,
            "The 'inner_size' parameter of M1M2 must be an int in the range [1, inf). "
            "Got 0 instead.",
        ),
        (
            {"options": ClassifierOptions(tol=-1.0)},
            ValueError,
            "The 'tol' parameter of ClassifierOptions must be a float in the range "
            "[0.0, inf). Got -1.0 instead.",
        ),
        (
            {"options": TrainingOptions()},
            ValueError,
            "The 'options' parameter of SSVAEClassifier must be an instance of "
            "'sk_ssvae.training.options.ClassifierOptions' or None. Got "
            "TrainingOptions() instead.",
        ),
        (
            {"model": 3},
            ValueError,
            "The 'model' parameter of SSVAEClassifier must be an instance of 'str' or "
            "an instance of 'sk_ssvae.models.spec.ModelSpec'. Got 3 instead.",
        ),
    ],
)
def test_invalid_model_and_options_objects_are_errors_before_training(
    iris, params, error, message
):
    X, few, _ = iris
    clf = SSVAEClassifier(teacher=None, max_epochs=1, **params)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        clf.fit(X, few)
    assert not hasattr(clf, "net_")


def test_grid_search_reaches_nested_parameters(iris, quick):
    X, few, _ = iris
    grid = {
        "model__inner_size": [2, 3],
        "options__entropy_weight": [0.0, 0.3],
        "encoder_module__bias": [False],
    }
    search = GridSearchCV(
        quick(model="sdgm", encoder_module=nn.Linear, max_epochs=1),
        grid,
        cv=LabeledKFold(n_splits=2),
    ).fit(X, few)
    best = search.best_estimator_
    assert best.model.inner_size in (2, 3)
    assert best.module_.inner_size == best.model.inner_size
    assert best.net_.objective.entropy_weight == best.options.entropy_weight


def test_plain_has_the_objective_of_the_paper(iris):
    clf = SSVAEClassifier.plain(max_epochs=1, random_state=0)
    assert clf.get_params(deep=False).keys() == SSVAEClassifier().get_params().keys()
    X, few, _ = iris
    objective = clf.fit(X, few).net_.objective
    assert (objective.alpha, objective.teacher_weight) == (0.1, 1.0)
    assert (objective.entropy_weight, objective.adversarial_weight) == (0.0, 0.0)
    assert (objective.top_k, objective.bound_rows) == (None, None)
    assert np.allclose(clf.class_prior_, 1 / 3)
    assert set(clf.history_[:, "teacher"]) == {0.0}  # no soft targets
    assert clf.temperature_ == 1.0


def test_parameters_passed_to_plain_take_precedence():
    clf = SSVAEClassifier.plain(alpha=1.0, latent_size=3)
    assert (clf.alpha, clf.latent_size, clf.teacher) == (1.0, 3, None)
    changed = clf.set_params(options__bound_rows=5)
    assert changed.options.entropy_weight == 0.0


def test_flat_parameters_rebuild_the_estimator():
    clf = SSVAEClassifier(
        model=M1M2(inner_size=3, finetune_epochs=2),
        options=ClassifierOptions(tol=0.5),
        encoder_module=nn.Linear,
        encoder_module__bias=False,
    )
    flat = flat_parameters(clf)
    nested = {k: v for k, v in flat.items() if k.startswith(("model__", "options__"))}
    direct = {k: v for k, v in flat.items() if k not in nested}
    twin = SSVAEClassifier(**direct).set_params(**nested)
    assert flat_parameters(twin) == flat
    assert repr(twin) == repr(clf)
    assert flat_parameters(SSVAEClassifier())["model"] == "m2"
    assert flat_parameters(SSVAEClassifier())["options"] is None


def test_public_names_of_the_package():
    assert set(sk_ssvae.__all__) == {
        "OpinionPoolClassifier",
        "SSVAEClassifier",
        "VariationalAutoencoder",
        "__version__",
        "load",
        "to_onnx",
    }
