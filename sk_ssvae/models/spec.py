"""Model objects: the parameters of one generative model, and the registry of names."""

from collections.abc import Callable
from typing import Any, ClassVar

from sklearn.base import BaseEstimator

from sk_ssvae.models.base import VAEModule
from sk_ssvae.utils.sklearn_private import validate_parameters

__all__ = ["MODELS", "Epochs", "ModelSpec", "resolve_model"]

MODELS: dict[str, type["ModelSpec"]] = {}
"""Registered model classes by name, for ``SSVAEClassifier(model="...")``."""

Epochs = int | str
"""A number of epochs, or "few", "auto" or "many"."""


class ModelSpec(BaseEstimator):
    """A generative model and its parameters, for ``SSVAEClassifier(model=...)``.

    Subclasses set `module_class`. Their parameters are those of the constructor, as in
    any scikit-learn estimator, so that `get_params`, `set_params` and `clone` work and
    a grid search reaches them as ``model__inner_size``. They are validated against
    `_parameter_constraints`.

    A subclass with a name, ``class Mine(ModelSpec, name="mine")``, is registered in
    `MODELS`: ``SSVAEClassifier(model="mine")`` then uses it with default parameters, in
    every process that has imported it.

    Attributes
    ----------
    module_class : type of VAEModule
        The networks, a ``torch.nn.Module``. It is constructed with the keyword
        arguments ``n_features``, ``class_prior``, ``latent_size``, ``hidden_sizes``,
        ``classifier_hidden_sizes``, ``likelihood``, ``seed`` and ``networks`` (see
        `sk_ssvae.models.M2Module`), and with those of `module_options`.
    NAME : str or None
        The registered name.
    has_classes : bool
        Whether the model is one of rows and classes, so that a classifier can use it.
    takes_large_steps : bool
        Whether its built-in networks can be trained in fewer and larger steps if there
        is a teacher (`sk_ssvae.training.learning_rates.LARGE_STEPS`). True for M2 and
        classes derived from it. Models with two layers of latent variables may diverge.

    Raises
    ------
    ValueError
        On definition of a subclass, if another class has its name.

    Examples
    --------
    >>> from sk_ssvae.models import M1M2
    >>> M1M2(inner_size=20).set_params(finetune_epochs=5)
    M1M2(finetune_epochs=5, inner_size=20)
    """

    module_class: ClassVar[type[VAEModule]]
    NAME: ClassVar[str | None] = None
    has_classes: ClassVar[bool] = True
    takes_large_steps: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.NAME = name
        if name is None:
            return
        registered, new = (
            None if model is None else f"{model.__module__}.{model.__qualname__}"
            for model in (MODELS.get(name), cls)
        )
        # Reloading a module or running a notebook cell again redefines the same class.
        if registered not in (None, new):
            raise ValueError(
                f"The model {new} cannot be registered as {name!r}: {registered} has "
                "that name. Choose another name."
            )
        MODELS[name] = cls

    def module_options(self) -> dict[str, Any]:
        """Return keyword arguments of `module_class` beyond the common ones."""
        return {}

    def stages(
        self,
        max_epochs: Epochs,
        resolve_epochs: Callable[[Epochs], int],
        *,
        pretrained: bool = False,
    ) -> list[tuple[str, int]]:
        """Return the training stages of `fit`, in order.

        Parameters
        ----------
        max_epochs : int or str
            Number of epochs of the main stage.
        resolve_epochs : callable
            Turns it into an int.
        pretrained : bool, default=False
            Whether training continues a fitted model, which skips pretraining.

        Returns
        -------
        stages : list of (str, int)
            Name and number of epochs of each stage. The name is passed to
            `VAEModule.start_stage`; "all" trains all networks. Stages of 0 epochs are
            skipped.
        """
        return [("all", resolve_epochs(max_epochs))]


def resolve_model(model: str | ModelSpec) -> ModelSpec:
    """Validate the model of a classifier and return it as an object.

    Parameters
    ----------
    model : str or ModelSpec
        A name in `MODELS`, which stands for that model with default parameters, or a
        model object.

    Returns
    -------
    model : ModelSpec

    Raises
    ------
    TypeError
        If `model` is neither a string nor a model object.
    ValueError
        If the name is unknown, a parameter of the model object is invalid, or it is a
        model without classes.
    """
    if isinstance(model, str):
        if model not in MODELS:
            raise ValueError(
                f"model must be one of {sorted(MODELS)} or a ModelSpec object, got "
                f"{model!r}. A model of your own must be imported in every process "
                "that uses it, including joblib workers."
            )
        model = MODELS[model]()
    if not isinstance(model, ModelSpec):
        raise TypeError(
            f"model must be a string or a ModelSpec object such as M2(), got {model!r} "
            f"of type {type(model).__name__}."
        )
    if not hasattr(model, "module_class"):
        raise TypeError(
            f"model={model!r} has no networks: {type(model).__name__} must set "
            "module_class, a subclass of VAEModule."
        )
    if not model.has_classes:
        raise ValueError(
            f"model={model!r} is a model without classes, for VariationalAutoencoder. "
            f"Use one of {sorted(MODELS)}."
        )
    validate_parameters(model)
    return model
