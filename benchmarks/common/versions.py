"""Versions of the packages that a benchmark ran with."""

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
)


def package_versions(packages=PACKAGES):
    """Return the versions of packages and of Python, by name."""
    return {name: metadata.version(name) for name in packages} | {
        "python": platform.python_version()
    }
