"""Fitted estimators out of files."""

import os
from typing import Any

from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
from sk_ssvae.estimators.classifier import SSVAEClassifier
from sk_ssvae.estimators.saving import from_state
from sk_ssvae.utils.files import read_file
from sk_ssvae.utils.threads import fork_safe_threads

__all__ = ["load"]

_NOT_OURS = (TypeError, ValueError, AttributeError, RuntimeError, OverflowError)

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (SSVAEClassifier, VariationalAutoencoder)
}


def load(
    path: str | os.PathLike[str], *, device: str | None = None, **parameters: Any
) -> Any:
    """Read an estimator that its `save` has written.

    Files of strangers are safe to load: nothing in them is run or imported. Whether
    what they say is true is another matter.

    Parameters
    ----------
    path : str or path-like
        Where from.

    device : str, default=None
        Where its networks shall be, "cpu" for instance, whatever they were trained on.
        None takes the estimator's parameter `device`.

    **parameters : dict
        Parameters that a file cannot hold: networks of your own, which are needed,
        `teacher` and `callbacks`, which are not.

    Returns
    -------
    estimator : SSVAEClassifier or VariationalAutoencoder
        Fitted; it answers as the saved one did, and goes on training where that
        stopped.

    Raises
    ------
    ValueError
        If the file is damaged, is none of sk_ssvae, has a newer format, or was saved
        with a network that is not given.
    OSError
        If it cannot be read.
    ImportError
        If safetensors is not installed: ``pip install "sk_ssvae[files]"``.

    See Also
    --------
    SSVAEClassifier.save : Write it.

    Examples
    --------
    >>> import tempfile, sk_ssvae
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sk_ssvae.SSVAEClassifier(teacher=None, max_epochs=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf.fit(X, y).save(Path(folder, "iris.ssvae"))
    ...     twin = sk_ssvae.load(Path(folder, "iris.ssvae"))
    >>> bool((twin.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    header, arrays = read_file(path)
    name = os.fsdecode(path)
    try:
        with fork_safe_threads():
            return from_state(KINDS, header, arrays, device, parameters)
    except LookupError as error:
        if isinstance(error, KeyError | IndexError):
            raise _damaged(name, error) from None
        raise ValueError(f"{name} {error}.") from None
    except (
        TypeError,
        ValueError,
        AttributeError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> ValueError:
    return ValueError(
        f"{name} cannot be read: it was not written by sk_ssvae, or what was given to "
        f"load does not fit it ({type(error).__name__}: {str(error)[:300]})."
    )
