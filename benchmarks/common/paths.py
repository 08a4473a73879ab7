"""Folders that the benchmarks read from and write to."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Root folder of the repository."""

RESULTS = ROOT / "benchmarks" / "results"
"""Committed results, as JSON."""

IMAGES = ROOT / "docs" / "images"
"""Figures that the documentation shows."""
