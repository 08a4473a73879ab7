"""Versions of the packages that a benchmark ran with."""

import contextlib
import platform
from importlib import metadata

__all__ = ["PACKAGES", "package_versions"]

PACKAGES = (
    "sk_ssvae",
    "scikit-learn",
    "skorch",
    "torch",
    "numpy",
    "pyro-ppl",
    "pyroved",
    "graphlearning",
)


def package_versions(packages=PACKAGES):
    """Return the versions of Python and of the installed packages, by name."""
    versions = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions | {"python": platform.python_version()}
