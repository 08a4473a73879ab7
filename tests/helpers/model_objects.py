"""Model objects by name."""

from sk_ssvae.models import MODELS


def make_spec(name, **params):
    """Return a model object, with those of the parameters that the model has."""
    spec = MODELS[name]()
    return spec.set_params(
        **{key: params[key] for key in params.keys() & spec.get_params().keys()}
    )
