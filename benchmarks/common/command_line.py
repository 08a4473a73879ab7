"""Command line of a single benchmark."""

import argparse

__all__ = ["make_parser"]


def make_parser(name, description):
    """Return an argument parser for a benchmark.

    Parameters
    ----------
    name : str
        Name as listed by ``python -m benchmarks``, such as "accuracy.panel".
    description : str
        Docstring of the module, shown unchanged by ``--help``.

    Returns
    -------
    argparse.ArgumentParser
    """
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
