"""The state of a fitted estimator as arrays and JSON, for such as skops that ask."""

import copyreg
import json
import warnings
from typing import Any

import numpy as np

from sk_ssvae.devices import resolve_device
from sk_ssvae.persistence.saving import OWN, SavingMixin, restore, taken_apart

__all__ = ["PlainStateMixin"]

_JSON, _ARRAYS, _OBJECTS = "fitted", "arrays", "objects"


class PlainStateMixin(SavingMixin):
    """`__getstate__` that tells a fitted estimator in plain types.

    Libraries that look for it, as skops does, are given arrays, a text and parameters;
    pickle and copy, which ask `__reduce_ex__` first, are given the objects themselves.
    """

    def __getstate__(self) -> dict[str, Any]:
        if not self.__sklearn_is_fitted__():
            state: dict[str, Any] = super().__getstate__()
            return state
        header, arrays, lost = taken_apart(self)
        params = self.get_params(deep=False)
        objects = [*lost, *(name for name in OWN if params.get(name) is not None)]
        return {
            _JSON: json.dumps(header, allow_nan=False),
            _ARRAYS: {name: np.array(array) for name, array in arrays.items()},
            _OBJECTS: {name: params[name] for name in objects},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        if _JSON not in state:
            super().__setstate__(state)
            return
        kinds = {type(self).__name__: type(self)}
        header, device = json.loads(state[_JSON]), None
        wanted = header["params"]["device"]
        try:
            resolve_device(wanted)
        except ValueError:
            warnings.warn(
                f"The estimator was saved with device={wanted!r}, which is not here: "
                "it is on the CPU now, with device='cpu'.",
                UserWarning,
                stacklevel=2,
            )
            device = "cpu"
        twin = restore(kinds, header, state[_ARRAYS], device, state[_OBJECTS])
        self.__dict__.update(vars(twin))

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # What `__getstate__` of the classes above gives.
        return copyreg.__newobj__, (type(self),), super().__getstate__()  # type: ignore[attr-defined]
