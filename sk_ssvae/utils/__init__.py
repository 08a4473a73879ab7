"""Utilities independent of any model: random numbers, threads, devices and files."""

__all__: list[str] = []
