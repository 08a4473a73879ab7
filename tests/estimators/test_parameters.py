"""Constructor parameters: documentation, nested parameters, short forms, `plain`."""

import inspect
import re

import numpy as np
import pytest
from docstrings import documented_names, documented_types
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.semi_supervised import LabelSpreading
from torch import nn

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder
from sk_ssvae.estimators.parameters import flat_parameters
from sk_ssvae.model_selection import LabeledKFold
from sk_ssvae.models import ADGM, M1M2, M2, SDGM, ModelSpec
from sk_ssvae.training import ClassifierOptions, TrainingOptions

ESTIMATORS = [SSVAEClassifier, VariationalAutoencoder]


@pytest.mark.parametrize(
    ("estimator", "most"), [(SSVAEClassifier, 29), (VariationalAutoencoder, 20)]
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
    cloned = clone(clf).set_params(model__inner_size=4, options__tol=0.2)
    assert (clf.model.inner_size, clf.options.tol) == (3, 0.1)
    assert (cloned.model.inner_size, cloned.options.tol) == (4, 0.2)


def test_a_model_name_is_equivalent_to_its_object_with_default_parameters(iris):
    X, few, _ = iris
    for name, model in [("m2", M2()), ("adgm", ADGM()), ("sdgm", SDGM())]:
        a, b = (
            SSVAEClassifier(
                model=each, teacher=None, max_epochs=1, latent_size=2, random_state=0
            ).fit(X, few)
            for each in (name, model)
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


OPTIONS = {
    SSVAEClassifier: (ClassifierOptions, set()),
    VariationalAutoencoder: (
        TrainingOptions,
        {*ClassifierOptions().get_params()} - {*TrainingOptions().get_params()},
    ),
}
"""Options of each estimator, and names of options that it does not have."""


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_passed_as_parameters_are_errors_that_name_the_options(kind):
    options, others = OPTIONS[kind]
    own = [*options().get_params()]
    assert "max_time" in own
    for name in own:
        with pytest.raises(TypeError) as caught:
            kind(**{name: 600})
        assert str(caught.value) == (
            f"{kind.__name__}.__init__() got an unexpected keyword argument {name!r}. "
            f"{name} is an option: pass options={options.__name__}({name}=...)."
        )
        estimator = kind()
        before = estimator.get_params()
        with pytest.raises(ValueError) as caught:
            estimator.set_params(**{"latent_size": 3, name: 600})
        assert str(caught.value) == (
            f"Invalid parameter {name!r} for estimator {kind.__name__}. "
            f"{name} is an option: set options__{name}."
        )
        assert estimator.get_params() == before
        assert not hasattr(estimator, name)
    for name in others:
        with pytest.raises(TypeError) as caught:
            kind(**{name: 600})
        assert str(caught.value) == (
            f"{kind.__name__}.__init__() got an unexpected keyword argument {name!r}."
        )


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_advice_for_options_passed_as_parameters_works(kind):
    options, _ = OPTIONS[kind]
    assert kind(options=options(max_time=600)).options.max_time == 600
    assert kind().set_params(options__max_time=600).options.max_time == 600


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
    rebuilt = SSVAEClassifier(**direct).set_params(**nested)
    assert flat_parameters(rebuilt) == flat
    assert repr(rebuilt) == repr(clf)
    assert flat_parameters(SSVAEClassifier())["model"] == "m2"
    assert flat_parameters(SSVAEClassifier())["options"] is None


def test_public_names_of_the_package():
    assert set(sk_ssvae.__all__) == {
        "OpinionPoolClassifier",
        "SSVAEClassifier",
        "Scorer",
        "VariationalAutoencoder",
        "__version__",
        "load",
        "to_onnx",
    }


def test_set_params_changes_nothing_if_a_name_is_invalid():
    clf = SSVAEClassifier(model="sdgm")
    with pytest.raises(ValueError, match="Invalid parameter 'foo'"):
        clf.set_params(alpha=3.0, options__tol=0.5, model__foo=1)
    assert (clf.model, clf.alpha, clf.options) == ("sdgm", "auto", None)


def test_options_of_the_classifier_are_an_error_for_the_autoencoder(iris):
    vae = VariationalAutoencoder(options=ClassifierOptions(), max_epochs=1)
    message = (
        r"^The 'options' parameter of VariationalAutoencoder must be TrainingOptions, "
        r"got ClassifierOptions\(\), which has settings that do not apply: "
        r"\['adversarial_radius', .*\]\.$"
    )
    with pytest.raises(TypeError, match=message):
        vae.fit(iris[0])
    assert not hasattr(vae, "net_")


class CountingTeacher(LabelSpreading):
    """A teacher that counts its fits."""

    fits = 0

    def fit(self, X, y):
        type(self).fits += 1
        return super().fit(X, y)


@pytest.mark.parametrize(
    "invalid",
    [{"options": ClassifierOptions(tol=-1.0)}, {"model": SDGM(inner_size=0)}],
    ids=["options", "model"],
)
def test_objects_are_validated_before_the_teacher_is_fitted(iris, invalid):
    X, few, _ = iris
    CountingTeacher.fits = 0
    clf = SSVAEClassifier(teacher=CountingTeacher("knn"), **invalid)
    with pytest.raises(ValueError, match=r"parameter of (ClassifierOptions|SDGM) must"):
        clf.fit(X, few)
    assert CountingTeacher.fits == 0


def test_predictions_do_not_validate_the_options_of_training(iris, quick):
    X, few, _ = iris
    clf = quick(max_epochs=1).fit(X, few)
    before = clf.predict_proba(X)
    clf.set_params(options__tol=-1.0)
    assert np.array_equal(clf.predict_proba(X), before)


def test_single_options_of_the_plain_model():
    clf = SSVAEClassifier.plain(options__n_threads=1)
    options = clf.options
    assert (options.n_threads, options.entropy_weight, options.bound_rows) == (
        1,
        0.0,
        None,
    )


class UnnamedSDGM(SDGM):
    """A model without a registered name."""


class OtherUnnamedSDGM(SDGM):
    """Another model without a registered name."""


def test_unnamed_models_are_distinguished_when_training_continues(iris, quick):
    X, few, _ = iris
    clf = quick(model=UnnamedSDGM(inner_size=2), max_epochs=1, warm_start=True)
    clf.fit(X, few).fit(X, few)
    clf.set_params(model=OtherUnnamedSDGM(inner_size=2))
    message = r"^model was '.*\.UnnamedSDGM' .* cannot change to '.*OtherUnnamedSDGM'"
    with pytest.raises(ValueError, match=message):
        clf.fit(X, few)


def test_unnamed_models_are_distinguished_by_checkpoints(iris, quick, tmp_path):
    X, few, _ = iris
    params = {"max_epochs": 1, "checkpoint": tmp_path / "state"}
    quick(model=UnnamedSDGM(inner_size=2), **params).fit(X, few)
    with pytest.raises(ValueError, match=r"a training run with different \['model'\]"):
        quick(model=OtherUnnamedSDGM(inner_size=2), **params).fit(X, few)


def test_checkpoints_compare_the_objects_that_short_forms_stand_for(
    iris, quick, tmp_path
):
    X, few, _ = iris
    params = {"max_epochs": 1, "checkpoint": tmp_path / "state"}
    first = quick(model="m2", **params).fit(X, few)
    again = quick(model=M2(), options=ClassifierOptions(n_threads=1), **params)
    again.fit(X, few)
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))
    message = r"a training run with different \['options__entropy_weight'\]"
    with pytest.raises(ValueError, match=message):
        quick(options=ClassifierOptions(entropy_weight=0.1), **params).fit(X, few)


def test_unnamed_models_are_passed_to_load(iris, quick, tmp_path):
    X, few, _ = iris
    clf = quick(model=UnnamedSDGM(inner_size=2), max_epochs=1).fit(X, few)
    message = r"cannot hold the class of UnnamedSDGM\(inner_size=2\), which has no reg"
    with pytest.warns(UserWarning, match=message):
        clf.save(tmp_path / "file")
    message = (
        r"file was saved with the model .*\.UnnamedSDGM, which has no registered "
        r"name\. Pass it: sk_ssvae\.load\(path, model=\.\.\.\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        sk_ssvae.load(tmp_path / "file")
    model = UnnamedSDGM(inner_size=2)
    loaded = sk_ssvae.load(tmp_path / "file", model=model)
    assert np.array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_objects_passed_to_load_take_precedence_and_are_not_modified(
    iris, quick, tmp_path
):
    X, few, _ = iris
    quick(options=ClassifierOptions(tol=0.5), max_epochs=1).fit(X, few).save(
        tmp_path / "file"
    )
    options = ClassifierOptions(n_threads=1)
    loaded = sk_ssvae.load(tmp_path / "file", options=options)
    assert repr(options) == "ClassifierOptions(n_threads=1)"
    assert repr(loaded.options) == "ClassifierOptions(n_threads=1)"
    assert sk_ssvae.load(tmp_path / "file").options.tol == 0.5


def test_a_model_changed_after_fit_does_not_change_the_file(iris, quick, tmp_path):
    X, few, _ = iris
    clf = quick(max_epochs=1).fit(X, few)
    before = clf.predict_proba(X)
    clf.set_params(model="sdgm").save(tmp_path / "file")
    loaded = sk_ssvae.load(tmp_path / "file")
    assert np.array_equal(loaded.predict_proba(X), before)
    assert loaded.model == "sdgm"


def test_a_checkpoint_after_a_different_first_fit_is_an_error(iris, quick, tmp_path):
    X, few, _ = iris
    params = {"warm_start": True, "max_epochs": 1}
    for seed in (0, 1):
        clf = quick(random_state=seed, **params).fit(X, few)
        clf.set_params(checkpoint=tmp_path / "state")
        if seed == 0:
            clf.fit(X, few)
        else:
            message = r"a training run with different \['seed'\]"
            with pytest.raises(ValueError, match=message):
                clf.fit(X, few)


def test_failing_set_params_does_not_change_nested_objects():
    model = SDGM(inner_size=3)
    clf = SSVAEClassifier(model=model)
    with pytest.raises(ValueError, match="Invalid parameter 'foo'"):
        clf.set_params(model__inner_size=7, model__foo=1)
    assert clf.model is model
    assert model.inner_size == 3


def test_estimators_that_share_an_object_do_not_change_each_other():
    options = ClassifierOptions(tol=0.1)
    first, second = (SSVAEClassifier(options=options) for _ in range(2))
    first.set_params(options__tol=0.2)
    assert (first.options.tol, second.options.tol, options.tol) == (0.2, 0.1, 0.1)


@pytest.mark.parametrize(
    "wrong", [{"tol": 1}, TrainingOptions()], ids=["dict", "other"]
)
def test_options_of_a_wrong_type_are_refused_by_every_method(iris, quick, wrong):
    X, few, _ = iris
    clf = quick(max_epochs=1).fit(X, few)
    clf.options = wrong
    message = r"options.* must be .*ClassifierOptions"
    for call in (
        lambda: clf.predict(X),
        lambda: clf.sample(1),
        lambda: clf.fit(X, few),
        lambda: clf.partial_fit(X, few),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            call()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("alpha", -5.0), ("batch_size", -1), ("marginalization", 0), ("teacher", 5)],
)
def test_partial_fit_of_a_fitted_estimator_validates(iris, quick, parameter, value):
    X, few, _ = iris
    clf = quick(max_epochs=1).fit(X, few)
    message = f"^The '{parameter}' parameter of SSVAEClassifier must be"
    with pytest.raises(ValueError, match=message):
        clf.set_params(**{parameter: value}).partial_fit(X, few)


def test_a_model_without_networks_is_refused(iris, quick):
    message = r"^model=ModelSpec\(\) has no networks: ModelSpec must set module_class"
    with pytest.raises(TypeError, match=message):
        quick(model=ModelSpec()).fit(*iris[:2])


def test_nested_parameters_of_the_plain_model():
    clf = SSVAEClassifier.plain(model="sdgm", model__inner_size=3)
    assert clf.model.inner_size == 3


def test_objects_passed_to_load_are_validated(iris, quick, tmp_path):
    quick(max_epochs=1).fit(*iris[:2]).save(tmp_path / "file")
    with pytest.raises(ValueError, match="The 'options' parameter of SSVAEClassifier"):
        sk_ssvae.load(tmp_path / "file", options={"tol": 1})
