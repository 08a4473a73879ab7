"""Keyword arguments of networks that are not there are refused by name."""

import numpy as np
import pytest
from saved_estimators import FEW, IRIS, make_estimator
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn
from user_modules import BatchNormMLP

import sk_ssvae
from sk_ssvae import SSVAEClassifier, VariationalAutoencoder

pytest.importorskip("safetensors")

ROLES = {
    SSVAEClassifier: ["classifier_module", "encoder_module", "decoder_module"],
    VariationalAutoencoder: ["encoder_module", "decoder_module"],
}
PAIRS = [(kind, role) for kind, roles in ROLES.items() for role in roles]


def message(role, keyword="width"):
    name = f"{role}__{keyword}"
    return (
        f"{name} is a keyword argument of a user-supplied network, but {role} is None. "
        f"Set {role} to a class or factory, or leave {name} out."
    )


@pytest.mark.parametrize(("kind", "role"), PAIRS)
def test_fit_refuses_them(kind, role):
    model = make_estimator(kind, **{f"{role}__width": 3})  # the constructor stores
    assert clone(model).get_params()[f"{role}__width"] == 3
    for call in ("fit", "partial_fit", "fit_transform"):
        if hasattr(model, call):
            kwargs = {"classes": [0, 1, 2]} if call == "partial_fit" else {}
            with pytest.raises(ValueError) as caught:
                getattr(model, call)(IRIS, FEW, **kwargs)
            assert str(caught.value) == message(role)
    model.set_params(**{role: BatchNormMLP}).fit(IRIS, FEW)


@pytest.mark.parametrize(("kind", "role"), PAIRS)
def test_set_params_refuses_them_and_changes_nothing(kind, role):
    model = make_estimator(kind)
    before = model.get_params()
    with pytest.raises(ValueError) as caught:
        model.set_params(**{f"{role}__width": 3, "latent_size": 7, "options__tol": 0.5})
    assert str(caught.value) == message(role)
    assert model.get_params() == before
    model.set_params(**{f"{role}__width": 3, role: BatchNormMLP})
    with pytest.raises(ValueError) as caught:
        model.set_params(**{f"{role}__width": 3, role: None})
    assert str(caught.value) == message(role)
    assert model.get_params()[role] is BatchNormMLP
    assert model.get_params()[f"{role}__width"] == 3


def test_a_fitted_model_that_continues_refuses_them():
    model = make_estimator(warm_start=True).fit(IRIS, FEW)
    model.encoder_module__width = 3
    for call in (model.fit, model.partial_fit):
        with pytest.raises(ValueError) as caught:
            call(IRIS, FEW)
        assert str(caught.value) == message("encoder_module")


@pytest.mark.parametrize("kind", ROLES)
def test_a_name_without_a_keyword_is_unknown(kind):
    with pytest.raises(TypeError) as error:
        kind(encoder_module__=1)
    assert str(error.value) == (
        f"{kind.__name__}.__init__() got an unexpected keyword argument "
        "'encoder_module__'."
    )


def test_a_network_that_is_set_to_none_loses_its_keyword_arguments():
    model = make_estimator(
        classifier_module=BatchNormMLP,
        classifier_module__width=3,
        encoder_module=BatchNormMLP,
        encoder_module__width=4,
    )
    search = GridSearchCV(
        model, {"classifier_module": [None, BatchNormMLP]}, cv=2, error_score="raise"
    )
    search.fit(IRIS, FEW)
    model.set_params(classifier_module=None)
    assert "classifier_module__width" not in model.get_params()
    assert model.get_params()["encoder_module__width"] == 4


def test_load_refuses_networks_and_keywords_that_a_file_does_not_have(tmp_path):
    file = tmp_path / "plain.ssvae"
    model = make_estimator().fit(IRIS, FEW)
    model.save(file)
    with pytest.raises(ValueError) as caught:
        sk_ssvae.load(file, encoder_module__width=3)
    assert message("encoder_module") in str(caught.value)
    with pytest.raises(ValueError) as caught:
        sk_ssvae.load(file, encoder_module=nn.Linear)
    assert str(caught.value) == (
        f"{file} was saved without a user-supplied network as encoder_module. Leave "
        "encoder_module out of the parameters of sk_ssvae.load."
    )
    # Files of versions that ignored such parameters can be read.
    model.classifier_module__width = 3
    model.save(file)
    loaded = sk_ssvae.load(file)
    assert "classifier_module__width" not in loaded.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(IRIS), model.predict_proba(IRIS))
    loaded.set_params(warm_start=True).fit(IRIS, FEW)
