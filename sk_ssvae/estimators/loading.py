"""Fitted estimators from files."""

import os
from typing import Any

from sk_ssvae.estimators.autoencoder import VariationalAutoencoder
from sk_ssvae.estimators.classifier import SSVAEClassifier
from sk_ssvae.estimators.saving import from_state
from sk_ssvae.utils.files import read_file
from sk_ssvae.utils.threads import fork_safe_threads

__all__ = ["load"]

INVALID_STATE = (TypeError, ValueError, AttributeError, RuntimeError, OverflowError)
"""What `from_state` raises for a header that it did not write."""

ESTIMATORS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (SSVAEClassifier, VariationalAutoencoder)
}


def load(
    path: str | os.PathLike[str], *, device: str | None = None, **parameters: Any
) -> SSVAEClassifier | VariationalAutoencoder:
    """Read an estimator that its `save` method has written.

    Loading runs and imports nothing from the file, so untrusted files are safe to load.
    Whether the model in such a file is correct cannot be checked.

    Parameters
    ----------
    path : str or path-like
        The file.

    device : str, default=None
        Device of the networks, such as "cpu", whatever they were trained on. None uses
        the estimator's parameter `device`.

    **parameters : dict
        Parameters that a file cannot hold: user-supplied networks, which are required,
        and `teacher` and `callbacks`, which are optional.

    Returns
    -------
    estimator : SSVAEClassifier or VariationalAutoencoder
        A fitted estimator with the same predictions as the saved one. It continues
        training where that one stopped.

    Raises
    ------
    ValueError
        If the file is damaged, was not written by sk_ssvae, has a newer format, or was
        saved with a network that is not passed.
    OSError
        If the file cannot be read.
    ImportError
        If safetensors is not installed: ``pip install "sk_ssvae[files]"``.

    See Also
    --------
    SSVAEClassifier.save : Write the file.

    Examples
    --------
    >>> import tempfile, sk_ssvae
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = sk_ssvae.SSVAEClassifier(teacher=None, max_epochs=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     clf.fit(X, y).save(Path(folder, "iris.ssvae"))
    ...     loaded = sk_ssvae.load(Path(folder, "iris.ssvae"))
    >>> bool((loaded.predict_proba(X) == clf.predict_proba(X)).all())
    True
    """
    header, arrays = read_file(path)
    name = os.fsdecode(path)
    try:
        with fork_safe_threads():
            estimator: SSVAEClassifier | VariationalAutoencoder = from_state(
                ESTIMATORS, header, arrays, device, parameters
            )
            return estimator
    except LookupError as error:
        if isinstance(error, KeyError | IndexError):
            raise _invalid_file(name, error) from None
        raise ValueError(f"{name} {error}.") from None
    except INVALID_STATE as error:
        raise _invalid_file(name, error) from None


def _invalid_file(name: str, error: Exception) -> ValueError:
    return ValueError(
        f"{name} cannot be read: it was not written by sk_ssvae, or the parameters "
        f"passed to load do not fit it ({type(error).__name__}: {str(error)[:300]})."
    )
