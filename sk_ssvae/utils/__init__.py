"""Helpers that know nothing of models: random numbers, threads, devices, files."""

__all__: list[str] = []
