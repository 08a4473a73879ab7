"""Classifiers that provide soft targets for the unlabelled rows."""

__all__: list[str] = []
