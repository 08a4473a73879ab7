"""Parameters of networks of the user's own, as parameters of the estimator."""

from typing import Any, Self

from sklearn.base import BaseEstimator

from sk_ssvae.network_choice import Networks, check_modules
from sk_ssvae.own_networks import ROLES

__all__ = ["ModuleParameters"]

_ITSELF = "module_parameters"


class ModuleParameters(BaseEstimator):
    """Parameters such as ``classifier_module__channels``, beside those of `__init__`.

    They are among what `get_params` gives and `set_params` takes, so that clones have
    them and searches find them.
    """

    def _is_own(self, name: str) -> bool:
        # scikit-learn expects of every name in the signature that it is stored, and
        # refused in fit at the earliest.
        role, separator, _ = name.partition("__")
        has_role = role in ROLES and hasattr(self, role)
        return (bool(separator) and has_role) or name == _ITSELF

    def _set_module_parameters(self, parameters: dict[str, Any]) -> None:
        """Store what `__init__` was given beside its own parameters."""
        for name, value in parameters.items():
            if not self._is_own(name):
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword "
                    f"argument {name!r}."
                )
            setattr(self, name, value)

    def _module_parameters(self) -> dict[str, Any]:
        found = vars(self).items()
        return {name: value for name, value in found if self._is_own(name)}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters, with those of networks of the user's own.

        Parameters
        ----------
        deep : bool, default=True
            Whether parameters of estimators among the parameters are included.

        Returns
        -------
        params : dict
            Values by name.
        """
        own: dict[str, Any] = super().get_params(deep)
        return own | self._module_parameters()

    def set_params(self, **params: Any) -> Self:
        """Set parameters, of networks of the user's own too.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : estimator
            This estimator.
        """
        for_modules = {k: v for k, v in params.items() if self._is_own(k)}
        super().set_params(**{k: v for k, v in params.items() if k not in for_modules})
        for name, value in for_modules.items():
            setattr(self, name, value)
        return self

    def _networks(self) -> Networks:
        """Networks as asked for; errors in the parameters."""
        if hasattr(self, _ITSELF):
            raise TypeError(
                f"{_ITSELF}={getattr(self, _ITSELF)!r} cannot be passed as one "
                "parameter. Pass each by its name, e.g. encoder_module__channels=16."
            )
        names = [role for role in ROLES if hasattr(self, role)]
        return check_modules(
            {name: getattr(self, name) for name in names}, self._module_parameters()
        )
