"""Model objects: parameters, validation, stages, and the registry of names."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sk_ssvae.models import (
    ADGM,
    M1M2,
    M2,
    MODELS,
    SDGM,
    ADGMModule,
    M1M2Module,
    M2Module,
    ModelSpec,
    SDGMModule,
    resolve_model,
)
from sk_ssvae.models.m1 import M1

SPECS = [M2(), M1M2(inner_size=3), SDGM(inner_size=3), ADGM(inner_size=3)]


def resolve_epochs(epochs):
    return 70 if epochs == "auto" else int(epochs)


def test_the_registry_holds_the_four_models():
    assert MODELS == {"m2": M2, "m1+m2": M1M2, "sdgm": SDGM, "adgm": ADGM}
    assert {name: spec.module_class for name, spec in MODELS.items()} == {
        "m2": M2Module,
        "m1+m2": M1M2Module,
        "sdgm": SDGMModule,
        "adgm": ADGMModule,
    }
    assert {name: spec.NAME for name, spec in MODELS.items()} == {
        name: name for name in MODELS
    }


@pytest.mark.parametrize("spec", SPECS)
def test_models_are_scikit_learn_parameter_objects(spec):
    twin = clone(spec)
    assert type(twin) is type(spec)
    assert twin is not spec
    assert twin.get_params() == spec.get_params()
    assert pickle.loads(pickle.dumps(spec)).get_params() == spec.get_params()
    with pytest.raises(ValueError, match=r"^Invalid parameter 'inner_sise'"):
        spec.set_params(inner_sise=2)


def test_representations_show_what_is_not_the_default():
    assert repr(M2()) == "M2()"
    assert repr(M1M2(20, finetune_epochs=5)) == "M1M2(finetune_epochs=5, inner_size=20)"


@pytest.mark.parametrize("spec", SPECS)
def test_the_networks_are_constructed_with_the_options(spec):
    module = spec.module_class(
        n_features=4,
        class_prior=(0.5, 0.5),
        latent_size=2,
        hidden_sizes=(6,),
        classifier_hidden_sizes=(5,),
        likelihood="gaussian",
        seed=0,
        **spec.module_options(),
    )
    n_noise = 2 if isinstance(spec, M2) else 2 + 3
    assert module.n_noise == n_noise


@pytest.mark.parametrize("kind", [M1M2, SDGM, ADGM])
def test_options_are_plain_numbers(kind):
    options = kind(inner_size=np.int64(3)).module_options()
    assert options == {"inner_size": 3}
    assert type(options["inner_size"]) is int


@pytest.mark.parametrize("kind", [M2, SDGM, ADGM])
@pytest.mark.parametrize("pretrained", [False, True])
def test_models_without_pretraining_have_one_stage(kind, pretrained):
    assert kind().stages("auto", resolve_epochs, pretrained=pretrained) == [("all", 70)]
    assert kind().stages(5, resolve_epochs, pretrained=pretrained) == [("all", 5)]


def test_m1_m2_is_trained_in_three_stages():
    spec = M1M2(pretrain_epochs=3, finetune_epochs=np.int64(2))
    assert spec.stages("auto", resolve_epochs) == [("m1", 3), ("m2", 70), ("all", 2)]
    assert M1M2().stages(4, resolve_epochs) == [("m1", 70), ("m2", 4), ("all", 0)]


def test_m1_is_not_pretrained_again():
    stages = M1M2(pretrain_epochs=3).stages(4, resolve_epochs, pretrained=True)
    assert stages == [("m1", 0), ("m2", 4), ("all", 0)]


@pytest.mark.parametrize("name", MODELS)
def test_a_name_stands_for_the_model_with_default_parameters(name):
    spec = resolve_model(name)
    assert type(spec) is MODELS[name]
    assert spec.get_params() == MODELS[name]().get_params()


@pytest.mark.parametrize("spec", SPECS)
def test_a_model_object_is_used_as_given(spec):
    assert resolve_model(spec) is spec


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (
            "m3",
            ValueError,
            "model must be one of ['adgm', 'm1+m2', 'm2', 'sdgm'] or a ModelSpec "
            "object, got 'm3'. A model of your own must be imported in every process "
            "that uses it, including joblib workers.",
        ),
        (
            3,
            TypeError,
            "model must be a string or a ModelSpec object such as M2(), got 3 of type "
            "int.",
        ),
        (
            M2,
            TypeError,
            "model must be a string or a ModelSpec object such as M2(), got <class "
            "'sk_ssvae.models.m2.M2'> of type type.",
        ),
        (
            M1(),
            ValueError,
            "model=M1() is a model without classes, for VariationalAutoencoder. Use "
            "one of ['adgm', 'm1+m2', 'm2', 'sdgm'].",
        ),
        (
            M1M2(inner_size=0),
            ValueError,
            "The 'inner_size' parameter of M1M2 must be an int in the range [1, inf). "
            "Got 0 instead.",
        ),
        (
            SDGM(inner_size=2.5),
            ValueError,
            "The 'inner_size' parameter of SDGM must be an int in the range [1, inf). "
            "Got 2.5 instead.",
        ),
        (
            M1M2(pretrain_epochs=0),
            ValueError,
            "The 'pretrain_epochs' parameter of M1M2 must be a str among {'auto'} or "
            "an int in the range [1, inf). Got 0 instead.",
        ),
        (
            M1M2(finetune_epochs=-1),
            ValueError,
            "The 'finetune_epochs' parameter of M1M2 must be an int in the range [0, "
            "inf). Got -1 instead.",
        ),
    ],
)
def test_invalid_models_are_refused(model, error, message):
    with pytest.raises(error) as caught:
        resolve_model(model)
    assert str(caught.value) == message


@pytest.fixture
def registry():
    """Return a copy of the registry, and undo changes of it after the test."""
    before = dict(MODELS)
    yield before
    MODELS.clear()
    MODELS.update(before)


def test_a_registered_subclass_is_found_by_name(registry):
    class Mine(ModelSpec, name="mine"):
        """A model with the networks of M2."""

        module_class = M2Module

    assert Mine.NAME == "mine"
    assert type(resolve_model("mine")) is Mine


def test_a_subclass_without_a_name_is_not_registered(registry):
    class Mine(SDGM):
        """A variant of the SDGM."""

    assert Mine.NAME is None
    assert registry == MODELS
    assert resolve_model(Mine(inner_size=2)).module_options() == {"inner_size": 2}


def test_two_classes_cannot_have_the_same_name(registry):
    with pytest.raises(ValueError) as error:

        class Mine(ModelSpec, name="m2"):
            """A model that would replace M2."""

    assert str(error.value) == (
        f"The model {__name__}.test_two_classes_cannot_have_the_same_name.<locals>.Mine"
        " cannot be registered as 'm2': sk_ssvae.models.m2.M2 has that name. Choose "
        "another name."
    )
    assert registry == MODELS


def test_a_class_may_be_defined_again(registry):
    def define():
        class Mine(ModelSpec, name="mine"):
            """A model with the networks of M2."""

            module_class = M2Module

        return Mine

    define()
    again = define()
    assert MODELS["mine"] is again
